"""Where the record of what happened lives."""

from proctor.adapters.ledger.chain import Chain
from proctor.adapters.ledger.memory import MemoryLedger
from proctor.adapters.ledger.open import open_ledger

__all__ = ["Chain", "MemoryLedger", "open_ledger"]
