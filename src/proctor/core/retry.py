"""What to do about an error of the engine: a pure choice, made in one place."""

from __future__ import annotations

import enum

from dataclasses import dataclass

from proctor.errors import (
    Busy,
    ConnectionLost,
    Fenced,
    InDoubt,
    Limited,
    Overloaded,
    ProctorError,
    TooSlow,
    Unreachable,
)


class Do(enum.StrEnum):
    """What the worker does next with the chunk in hand."""

    LEAVE = "leave"
    """Drop it quietly: somebody else owns it."""
    AGAIN = "again"
    """Read, compute and write it again after a wait."""
    RECLAIM = "reclaim"
    """Claim it again first: only that tells whether the write took place."""
    SPLIT = "split"
    """Cut it in two: it is too slow as it is."""
    FAIL = "fail"
    """Stop the run: a person must act."""


@dataclass(frozen=True, slots=True)
class Step:
    """The choice and the wait before it, in seconds."""

    do: Do
    wait: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient the engine is with one chunk."""

    attempts: int = 13
    """With the waits below about half a minute: a database that restarts is waited for."""
    first: float = 0.05
    most: float = 8.0


DEFAULT = RetryPolicy()


def next_step(
    error: BaseException, attempt: int, dice: float, policy: RetryPolicy = DEFAULT
) -> Step:
    """The choice for the `attempt`-th failure of one chunk; `dice` in [0, 1) is the jitter."""
    match error:
        case Fenced():
            return Step(Do.LEAVE)
        case InDoubt():
            do = Do.RECLAIM
        case Busy() | ConnectionLost() | Unreachable() | Limited() | Overloaded():
            do = Do.AGAIN
        case TooSlow():
            do = Do.SPLIT if attempt >= 2 else Do.AGAIN
        case ProctorError() | _:
            return Step(Do.FAIL)
    if attempt >= policy.attempts:
        return Step(Do.FAIL)
    return Step(do, _wait(attempt, dice, policy))


def _wait(attempt: int, dice: float, policy: RetryPolicy) -> float:
    """Exponential with jitter, so that two that collided do not meet again; never none at all."""
    ceiling = min(policy.most, policy.first * 2.0 ** min(attempt - 1, 60))
    return float(ceiling * (0.25 + 0.75 * dice))
