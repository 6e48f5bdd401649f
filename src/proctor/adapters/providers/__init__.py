"""Providers of paid answers: chat and embeddings of any vendor through one seam."""

from proctor.adapters.providers.open import list_price, open_provider

__all__ = ["list_price", "open_provider"]
