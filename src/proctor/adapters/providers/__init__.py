"""Providers of paid answers: chat and embeddings of any vendor through one seam."""

from proctor.adapters.providers.open import open_provider

__all__ = ["open_provider"]
