"""What Proctor's own tables keep of units: the same words beside every kind of data."""

from __future__ import annotations

import json

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from proctor.adapters.stores.records import time_from_text, time_to_text, to_json
from proctor.core.attempts import Attempt
from proctor.model import Bucket, Issue, Key, Lease, Spec, Unit, UnitNote, UnitState

COLUMNS: Final = (
    "state",
    "attempts",
    "run",
    "version",
    "started",
    "completed",
    "emitted",
    "metrics",
    "reason",
)
"""The columns of a unit behind its backfill and name, in the order of `values_of`."""
_RUN: Final = COLUMNS.index("run")


IN: Final = " in "


def home_of(backfill: str, place: str) -> str:
    """What units are kept under: for another target the same work is still to be done."""
    return f"{backfill}{IN}{place}"


def axes(spec: Spec) -> list[tuple[str, int]]:
    """The axes by name, each with its place in the key: a unit is itself in whatever order."""
    return sorted((part.column, place) for place, part in enumerate(spec.key))


def name_of(spec: Spec, key: Key) -> str:
    """What a unit is kept under: JSON of its axes, as the database itself would print it."""
    named = {axis: key[place] for axis, place in axes(spec)}
    return json.dumps(named, separators=(",", ":"), ensure_ascii=False)


def values_of(unit: Unit) -> tuple[Any, ...]:
    """A unit in the order of COLUMNS."""
    return (
        unit.state.value,
        unit.attempts,
        unit.run,
        unit.version,
        time_to_text(unit.started),
        time_to_text(unit.completed),
        unit.emitted,
        to_json(dict(unit.metrics)),
        unit.reason,
    )


def unit_of(key: Key, row: Sequence[Any]) -> Unit:
    """A unit from its row in the order of COLUMNS."""
    state, attempts, run, version, started, completed, emitted, metrics, reason = row
    return Unit(
        key=key,
        state=UnitState(state),
        attempts=attempts,
        run=run,
        version=version,
        started=time_from_text(started),
        completed=time_from_text(completed),
        emitted=emitted,
        metrics=json.loads(metrics),
        reason=reason,
    )


def standing(
    spec: Spec,
    keys: Sequence[Key],
    rows: Mapping[str, Sequence[Any]],
    claimed: Collection[Key],
) -> list[Unit]:
    """The units of a grid as they stand, from what is kept of some, by name.

    What was done in another version is to be done anew, and more attempts open a unit again.
    """
    found: list[Unit] = []
    for key in keys:
        row = rows.get(name_of(spec, key))
        unit = Unit(key=key, state=UnitState.PENDING) if row is None else unit_of(key, row)
        if row is not None and unit.version != spec.version:
            unit = Unit(key=key, state=UnitState.PENDING)
        if unit.state is UnitState.FAILED and unit.attempts < spec.attempts:
            unit = replace(unit, state=UnitState.RETRY, completed=None)
        if key in claimed:
            unit = replace(unit, state=UnitState.PROCESSING, completed=None)
        found.append(unit)
    return found


def before_of(former: Sequence[Any] | None, kept: str | None, run: str) -> str | None:
    """What a unit goes back to when the run is taken back: how it stood before that run.

    `former` is its row now, in the order of COLUMNS, and `kept` what that row goes back to: it
    comes along behind the columns, so that run after run can be taken back.
    """
    if former is None:
        return None
    return kept if former[_RUN] == run else to_json(_link(former, kept))


def former_of(
    row: Sequence[Any], kept: str | None, run: str
) -> tuple[bool, tuple[Any, ...] | None]:
    """Whether a unit was tried in a run, and `before` and the row that it goes back to, if any.

    What later runs noted goes with it: they wrote nothing, or they would be taken back first,
    and what they found there is not there any more.
    """
    link: list[Any] | None = _link(row, kept)
    while link is not None:
        earlier = link[len(COLUMNS)] if len(link) > len(COLUMNS) else None
        if link[_RUN] == run:
            if earlier is None:
                return True, None
            more = earlier[len(COLUMNS) :]
            before = to_json(more[0]) if more and more[0] is not None else None
            return True, (before, *earlier[: len(COLUMNS)])
        link = earlier
    return False, None


def attempt_lost(spec: Spec, run: str, key: Key, now: datetime) -> Attempt:
    """An attempt whose process did not live to say how it ended."""
    return Attempt(
        key=key,
        bucket=Bucket.FAILED,
        run=run,
        version=spec.version,
        ended=now,
        most=spec.attempts,
        reason="its process ended, or said nothing for too long, before the unit was done",
    )


def _link(row: Sequence[Any], kept: str | None) -> list[Any]:
    return [*row, None if kept is None else json.loads(kept)]


def attempts_of(
    spec: Spec,
    lease: Lease,
    notes: Mapping[Key, UnitNote],
    *,
    written: Sequence[Key],
    issues: Sequence[Issue],
    now: datetime,
    emitted: int = 0,
) -> Iterator[Attempt]:
    """How the attempts at a chunk's units ended, by the chunk's own books."""
    ends = [(key, Bucket.WRITTEN, "") for key in written]
    ends += [(issue.key, issue.bucket, issue.reason) for issue in issues]
    for key, bucket, reason in ends:
        yield Attempt(
            key=key,
            bucket=bucket,
            run=lease.chunk.run,
            version=spec.version,
            ended=now,
            most=spec.attempts,
            reason=reason,
            emitted=emitted if bucket is Bucket.WRITTEN else 0,
            note=notes.get(key),
        )
