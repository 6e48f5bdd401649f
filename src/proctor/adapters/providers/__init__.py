"""Providers of paid answers: chat and embeddings of any vendor through one seam."""

from proctor.adapters.providers.embedders import most_input, most_tokens, sends_dimensions
from proctor.adapters.providers.open import (
    list_batch_price,
    list_price,
    open_batches,
    open_local,
    open_provider,
)

__all__ = [
    "list_batch_price",
    "list_price",
    "most_input",
    "most_tokens",
    "open_batches",
    "open_local",
    "open_provider",
    "sends_dimensions",
]
