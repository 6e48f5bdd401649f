"""What is kept of the attempts at units: noted, and looked up by whoever takes them back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from proctor.adapters.stores import records, unitbook
from proctor.adapters.stores.postgres.literal import text
from proctor.adapters.stores.postgres.pool import Transaction
from proctor.core.attempts import Attempt, after
from proctor.model import Key, Spec

COLUMNS: Final = ", ".join(unitbook.COLUMNS)
_TYPES: Final = {"attempts": "int4", "emitted": "int4", "metrics": "jsonb"} | dict.fromkeys(
    ("started", "completed"), "timestamptz"
)
READ: Final = ", ".join(
    f"pg_catalog.to_char({c} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
    if _TYPES.get(c) == "timestamptz"
    else f"{c}::pg_catalog.text"
    if c == "metrics"
    else c
    for c in unitbook.COLUMNS
)


async def lose(work: Transaction, spec: Spec, run: str, numbers: Iterable[int]) -> None:
    """Note attempts of which nobody will say how they ended, chunk by chunk."""
    for number in numbers if spec.attempts else ():
        key = await unit_of_chunk(work, run, number)
        await note(work, spec, unitbook.attempt_lost(spec, run, key, datetime.now(UTC)))


async def note(work: Transaction, spec: Spec, attempt: Attempt) -> None:
    """Note how one attempt at a unit ended."""
    name = unitbook.name_of(spec, attempt.key)
    mine = is_of(attempt.run, name)
    rows = await work.fetch(f"SELECT before, {READ} FROM proctor.units WHERE {mine}")
    kept, former = (rows[0][0], rows[0][1:]) if rows else (None, None)
    unit = after(unitbook.unit_of(attempt.key, former) if former else None, attempt)
    if unit is not None:
        before = unitbook.before_of(former, kept, attempt.run)
        await work.run(written(attempt.run, name, (before, *unitbook.values_of(unit))))


def home_of(run: str) -> str:
    """What the units of a run's backfill are kept under, as SQL."""
    home = f"backfill || {text(unitbook.IN)} || place"
    return f"(SELECT {home} FROM proctor.runs WHERE id = {text(run)})"


def is_of(run: str, name: str) -> str:
    """The condition that a row is that unit's, of the backfill and target of a run."""
    return f"backfill = {home_of(run)} AND unit = {text(name)}::pg_catalog.jsonb"


def written(run: str, name: str, values: Sequence[Any]) -> str:
    """What keeps a unit, also where it is kept; `values` are `before`, then those of COLUMNS."""
    given = ", ".join(
        _literal(value, _TYPES.get(column, "text"))
        for column, value in zip(("before", *unitbook.COLUMNS), values, strict=True)
    )
    sets = ", ".join(f"{c} = excluded.{c}" for c in ("before", *unitbook.COLUMNS))
    return (
        f"INSERT INTO proctor.units (backfill, unit, before, {COLUMNS}) VALUES "
        f"({home_of(run)}, {text(name)}::pg_catalog.jsonb, {given}) "
        f"ON CONFLICT (backfill, unit) DO UPDATE SET {sets}"
    )


def _literal(value: Any, kind: str) -> str:
    return "NULL" if value is None else f"{text(str(value))}::pg_catalog.{kind}"


async def unit_of_chunk(work: Transaction, run: str, number: int) -> Key:
    """The key of the unit that a chunk is about; a chunk of units has one."""
    ((upto, keys),) = await work.fetch(
        f"SELECT upto, keys FROM proctor.chunks WHERE run = {text(run)} AND number = {number}"
    )
    listed = records.keys_from_json(keys)
    return listed[0] if listed else records.key_from_json(upto) or ()
