"""Where the record of what happened lives, and what all who share it share of paid answers."""

from proctor.adapters.ledger.chain import Chain
from proctor.adapters.ledger.memory import MemoryLedger
from proctor.adapters.ledger.memory_purse import MemoryPurse, Pocket
from proctor.adapters.ledger.open import open_ledger, open_purse

__all__ = ["Chain", "MemoryLedger", "MemoryPurse", "Pocket", "open_ledger", "open_purse"]
