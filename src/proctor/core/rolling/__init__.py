"""Where a rollout stands and what may follow: read from its log, decided without asking anybody."""

from proctor.core.rolling.approvals import (
    Approved,
    approved,
    refuse_approval,
    refuse_retry,
    same_person,
)
from proctor.core.rolling.moves import MOVES, state_of
from proctor.core.rolling.standing import Held, Standing, fold, stumble
from proctor.core.rolling.telling import still_open, where, why

__all__ = [
    "MOVES",
    "Approved",
    "Held",
    "Standing",
    "approved",
    "fold",
    "refuse_approval",
    "refuse_retry",
    "same_person",
    "state_of",
    "still_open",
    "stumble",
    "where",
    "why",
]
