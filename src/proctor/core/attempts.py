"""What becomes of a unit after an attempt: its state, and whether there will be another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from proctor.model import Bucket, Key, Unit, UnitNote, UnitState

_DONE = frozenset({Bucket.WRITTEN, Bucket.UNCHANGED})
_TRIED = frozenset({Bucket.FAILED, Bucket.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt at a unit ended, and when."""

    key: Key
    bucket: Bucket
    run: str
    version: str
    ended: datetime
    most: int
    """Attempts that a unit has."""
    reason: str = ""
    emitted: int = 0
    note: UnitNote | None = None


def after(before: Unit | None, attempt: Attempt) -> Unit | None:
    """The unit after an attempt; None where nothing is to be kept of it.

    Only a final state has a time of completion, and it is never before the attempt's begin,
    whosever clock was late. Attempts begin anew with another version, and after a completion.
    """
    fresh = before is None or before.version != attempt.version
    fresh = fresh or before is None or before.state is UnitState.COMPLETED
    tries = 0 if fresh or before is None else before.attempts
    started = attempt.note.started if attempt.note else attempt.ended
    unit = Unit(
        key=attempt.key,
        state=UnitState.PENDING,
        attempts=tries + 1,
        run=attempt.run,
        version=attempt.version,
        started=started,
        emitted=attempt.emitted,
        metrics=attempt.note.metrics if attempt.note else {},
        reason=attempt.reason,
    )
    if attempt.bucket in _DONE:
        return replace(unit, state=UnitState.COMPLETED, completed=max(started, attempt.ended))
    if attempt.bucket in _TRIED:
        if unit.attempts < attempt.most:
            return replace(unit, state=UnitState.RETRY)
        return replace(unit, state=UnitState.FAILED, completed=max(started, attempt.ended))
    if attempt.bucket is Bucket.SKIPPED:  # it was not tried: it waits as it did before
        state = UnitState.RETRY if tries else UnitState.PENDING
        return replace(unit, state=state, attempts=tries)
    return None
