"""The units of a grid as the file remembers them: kept with the books, taken back with the rows."""

from __future__ import annotations

import sqlite3

from collections.abc import Iterable, Sequence
from typing import Final

from proctor.adapters.stores import unitbook
from proctor.adapters.stores.journal import unpack
from proctor.adapters.stores.records import key_from_json, keys_from_json, spec_from_json
from proctor.adapters.stores.sqlite import tables
from proctor.adapters.stores.sqlite.keys import to_keys
from proctor.adapters.stores.sqlite.rows import framed
from proctor.adapters.stores.sqlite.session import Session, utc_now
from proctor.adapters.stores.sqlite.standing import Standing
from proctor.adapters.stores.sqlite.values import literal
from proctor.core.attempts import Attempt, after
from proctor.model import Issue, Key, Lease, Settled, Spec, Unit

COLUMNS: Final = ", ".join(unitbook.COLUMNS)


HOME: Final = f"(SELECT backfill || '{unitbook.IN}' || target FROM proctor_runs WHERE id = ?)"
"""What the units of a run's backfill are kept under."""


def keep(
    connection: sqlite3.Connection,
    spec: Spec,
    lease: Lease,
    settled: Settled,
    *,
    written: Sequence[Key],
    issues: Sequence[Issue],
    emitted: int = 0,
) -> None:
    """Note how the attempts at a chunk's units ended, in the transaction of its books."""
    ends = unitbook.attempts_of(
        spec, lease, settled.notes, written=written, issues=issues, now=utc_now(), emitted=emitted
    )
    for attempt in ends:
        _note(connection, spec, attempt)


def lose(connection: sqlite3.Connection, spec: Spec, run: str, numbers: Iterable[int]) -> None:
    """Note attempts of which nobody will say how they ended, chunk by chunk."""
    for number in numbers if spec.attempts else ():
        key = unit_of_chunk(connection, run, number)
        _note(connection, spec, unitbook.attempt_lost(spec, run, key, utc_now()))


def _note(connection: sqlite3.Connection, spec: Spec, attempt: Attempt) -> None:
    name = unitbook.name_of(spec, attempt.key)
    row = connection.execute(
        f"SELECT before, {COLUMNS} FROM proctor_units WHERE backfill = {HOME} AND unit = ?",
        (attempt.run, name),
    ).fetchone()
    kept, former = (row[0], row[1:]) if row else (None, None)
    unit = after(unitbook.unit_of(attempt.key, former) if former else None, attempt)
    if unit is not None:
        before = unitbook.before_of(former, kept, attempt.run)
        _write(connection, attempt.run, name, (before, *unitbook.values_of(unit)))


def _write(connection: sqlite3.Connection, run: str, name: str, values: Sequence[object]) -> None:
    places = ", ".join("?" for _ in range(len(values) + 1))
    connection.execute(
        f"INSERT OR REPLACE INTO proctor_units (backfill, unit, before, {COLUMNS}) "
        f"VALUES ({HOME}, {places})",
        (run, name, *values),
    )


def unit_of_chunk(connection: sqlite3.Connection, run: str, number: int) -> Key:
    """The key of the unit that a chunk is about; a chunk of units has one."""
    upto, keys = connection.execute(
        "SELECT upto, keys FROM proctor_chunks WHERE run = ? AND number = ?", (run, number)
    ).fetchone()
    listed = keys_from_json(keys)
    return listed[0] if listed else key_from_json(upto) or ()


def every(session: Session, run: str) -> list[Unit]:
    """The units of a run's grid as they stand."""
    with session.reading(session.quiet) as connection:
        spec = spec_of_run(connection, tables.find_run(connection, run).id)
        if not spec.attempts:
            return []
        frame = framed(session, connection, spec).frame
        names = ", ".join(k.sql for k in frame.key)
        raw = session.fetch(
            connection,
            f"SELECT {names} FROM {frame.origin} WHERE {frame.where} ORDER BY {frame.order}",
            frame.values,
        )
        keys = to_keys(list(zip(*raw, strict=True))) if raw else []
        rows = connection.execute(
            f"SELECT unit, {COLUMNS} FROM proctor_units WHERE backfill IN ({HOME}, ?)",
            (run, spec.backfill),
        )
        claimed = connection.execute(
            "SELECT number FROM proctor_chunks WHERE run = ? AND state = 'claimed'", (run,)
        ).fetchall()
        busy = {unit_of_chunk(connection, run, number) for (number,) in claimed}
        return unitbook.standing(spec, keys, {row[0]: row[1:] for row in rows}, busy)


def overlaid(connection: sqlite3.Connection, run: str, number: int, found: Standing) -> None:
    """Take rows that a later unit of the run wrote too for what they are: not somebody else's.

    Looked up only where rows are not what this unit wrote, for each later journal is opened.
    """
    spec = spec_of_run(connection, run)
    if not (spec.emits and found.changed):
        return
    keys = {found.undo.keys[i]: i for i in found.changed}
    later = connection.execute(
        "SELECT undo FROM proctor_chunks WHERE run = ? AND state = 'applied' "
        "AND NOT undone AND undo IS NOT NULL AND (applied, number) > "
        "(SELECT applied, number FROM proctor_chunks WHERE run = ? AND number = ?)",
        (run, run, number),
    )
    mine = {keys[key] for (blob,) in later for key in unpack(blob).keys if key in keys}
    found.same += sorted(mine)
    found.changed = [i for i in found.changed if i not in mine]


def spec_of_run(connection: sqlite3.Connection, run: str) -> Spec:
    """The spec on a run's row, by its whole id."""
    (text,) = connection.execute("SELECT spec FROM proctor_runs WHERE id = ?", (run,)).fetchone()
    return spec_from_json(text)


def take_back(
    connection: sqlite3.Connection, spec: Spec, run: str, number: int, keys: Sequence[Key]
) -> None:
    """The units whose rows were undone stand as they did before the run.

    `keys` are those of the rows: where they are not the units', the chunk tells its unit.
    """
    if spec.emits:
        keys = [unit_of_chunk(connection, run, number)]
    for key in keys:
        unit_back(connection, spec, run, key)


def unit_back(connection: sqlite3.Connection, spec: Spec, run: str, key: Key) -> None:
    """One unit stands as it did before the run."""
    _back(connection, run, "AND unit = ?", (unitbook.name_of(spec, key),))


def take_all_back(connection: sqlite3.Connection, run: str) -> None:
    """So do all of them once a whole run is undone, also those that wrote nothing."""
    _back(connection, run, "AND run = ?", (run,))


def _back(connection: sqlite3.Connection, run: str, where: str, values: Sequence[object]) -> None:
    for name, former in _former(connection, run, where, values):
        if former is not None:
            _write(connection, run, name, former)
        else:
            connection.execute(
                f"DELETE FROM proctor_units WHERE backfill = {HOME} AND unit = ?", (run, name)
            )


def _former(
    connection: sqlite3.Connection, run: str, where: str, values: Sequence[object]
) -> list[tuple[str, Sequence[object] | None]]:
    """The units that a run tried, each with what it goes back to: None where it was not there."""
    rows = connection.execute(
        f"SELECT unit, before, {COLUMNS} FROM proctor_units WHERE backfill = {HOME} {where}",
        (run, *values),
    ).fetchall()
    found = [(name, *unitbook.former_of(row, kept, run)) for name, kept, *row in rows]
    return [(name, former) for name, tried, former in found if tried]


def script(connection: sqlite3.Connection, run: str, number: int) -> list[str]:
    """Statements that take the unit of a chunk back, for a script that does so with its rows."""
    spec = spec_of_run(connection, run)
    if not spec.attempts:
        return []
    name = unitbook.name_of(spec, unit_of_chunk(connection, run, number))

    def told(*values: object) -> list[str]:
        return [literal(connection, value) for value in values]

    found = tables.find_run(connection, run)
    home, unit = told(unitbook.home_of(found.backfill, found.target), name)
    lines = []
    for _, former in _former(connection, run, "AND unit = ?", (name,)):
        if former is None:
            lines.append(f"DELETE FROM proctor_units WHERE backfill = {home} AND unit = {unit};")
        else:
            lines.append(
                f"INSERT OR REPLACE INTO proctor_units (backfill, unit, before, {COLUMNS}) "
                f"VALUES ({', '.join((home, unit, *told(*former)))});"
            )
    return lines
