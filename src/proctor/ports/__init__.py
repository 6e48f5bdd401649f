"""The seams: what the engine asks of the outside world, as Protocols."""

from proctor.ports.outside import Clock, Conditions, Executor, Ledger, Statistics
from proctor.ports.paying import Asking, BatchProvider, Provider, Purse, Settlement, TooLong, Word
from proctor.ports.rolling import Crew, Flag, Hand, Meter, Notifier, RolloutLog
from proctor.ports.store import Permit, Store, Surveying, Undoing, Watching, Working, granted
from proctor.ports.terms import Manners, Opening, Terms, UndoTerms

__all__ = [
    "Asking",
    "BatchProvider",
    "Clock",
    "Conditions",
    "Crew",
    "Executor",
    "Flag",
    "Hand",
    "Ledger",
    "Manners",
    "Meter",
    "Notifier",
    "Opening",
    "Permit",
    "Provider",
    "Purse",
    "RolloutLog",
    "Settlement",
    "Statistics",
    "Store",
    "Surveying",
    "Terms",
    "TooLong",
    "UndoTerms",
    "Undoing",
    "Watching",
    "Word",
    "Working",
    "granted",
]
