"""Where the record of what happened lives, and what all who share it share of paid answers.

The purse is imported when it is first used: a run that asks nobody need not wait for it.
"""

import importlib

from typing import TYPE_CHECKING, Final

from proctor.adapters.ledger.chain import Chain
from proctor.adapters.ledger.memory import MemoryLedger
from proctor.adapters.ledger.open import open_ledger

if TYPE_CHECKING:
    from proctor.adapters.ledger.memory_purse import MemoryPurse, Pocket
    from proctor.adapters.ledger.opened_purse import open_purse

__all__ = ["Chain", "MemoryLedger", "MemoryPurse", "Pocket", "open_ledger", "open_purse"]
_HOMES: Final = {
    "MemoryPurse": "memory_purse",
    "Pocket": "memory_purse",
    "open_purse": "opened_purse",
}


def __getattr__(name: str) -> object:
    """Import what is of the purse when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
