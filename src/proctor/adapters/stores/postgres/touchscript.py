"""Rows that a called service wrote, taken back by psql alone, with queries that verify it."""

from __future__ import annotations

from collections.abc import Sequence

from proctor.adapters.stores import records, touchbook
from proctor.adapters.stores.postgres import catalog
from proctor.adapters.stores.postgres.catalog import Relation
from proctor.adapters.stores.postgres.literal import comment, ident, text
from proctor.adapters.stores.postgres.pool import IMAGE_SETTINGS, Transaction
from proctor.adapters.stores.touchbook import Delta
from proctor.model import Change, Image, Key, Run

THERE = "SELECT pg_catalog.to_regclass('proctor.touches') IS NOT NULL"


async def pieces(work: Transaction, run: Run) -> list[str]:
    """One transaction for each unit, newest first; nothing where no service wrote."""
    ((there,),) = await work.fetch(THERE)
    rows = []
    if there:
        rows = await work.fetch(
            f"SELECT unit, seen, after FROM proctor.touches WHERE run = {text(run.id)} "
            "AND NOT undone ORDER BY coalesce(seen, noted) DESC, unit DESC"
        )
    if not rows:
        return []
    said = [touchbook.SCRIPT]
    known: dict[str, Relation] = {}
    for unit, seen, after in rows:
        key = records.key_from_json(unit) or ()
        if seen is None or after is None:
            said.append(touchbook.unknown_comment(key, pruned=seen is not None))
            continue
        found = touchbook.unpack_deltas(after)
        for name in {d.touch.table for d in found} - known.keys():
            known[name] = await catalog.relation(work, name)
        if found:
            said.append(_unit(run, key, found, known))
    return said


def _unit(run: Run, key: Key, found: Sequence[Delta], known: dict[str, Relation]) -> str:
    order = touchbook.backwards(found)
    new = [d for d in order if d.change is Change.INSERTED]
    # Twice: what referred to a row may go in the first round.
    steps = [_step(known[d.touch.table], d) for d in (*new, *order)]
    checks = "\n    + ".join(
        f"(SELECT (count(*) {'> 0' if d.after is not None else '= 0'})::int4 "
        f"FROM {_from(known[d.touch.table])} WHERE {_as_written(known[d.touch.table], d)})"
        for d in found
    )
    settings = "".join(
        f"SET LOCAL {ident(name)} = {text(value)};\n" for name, value in IMAGE_SETTINGS.items()
    )
    mark = (
        "DO $proctor$ BEGIN IF to_regclass('proctor.touches') IS NOT NULL THEN "
        f"UPDATE proctor.touches SET undone = true WHERE run = {text(run.id)} "
        f"AND unit = {text(records.to_json(key))}; END IF; END $proctor$;"
    )
    if "$proctor$" in records.to_json(key):
        mark = "-- Proctor goes on saying that this one was not undone."
    return (
        f"{touchbook.unit_comment(key, found)}{comment(run.id)} BEGIN;\n{settings}"
        + "\n".join(steps)
        + f"\n{touchbook.VERIFY}SELECT {checks} AS still_written;\n{mark}\nCOMMIT;\n\n"
    )


def _from(table: Relation) -> str:
    return f"{table.sql} AS {table.alias}"


def _where(table: Relation, delta: Delta) -> str:
    return " AND ".join(
        f"{table.column(n)} = {table.fields[n].compared(text(str(part)))}"
        for n, part in zip(delta.touch.key, delta.key, strict=True)
    )


def _as_written(table: Relation, delta: Delta) -> str:
    """The condition of a row that is as the service left it; of a deleted one, its key's."""
    where = _where(table, delta)
    if delta.after is None:
        return where
    same = (
        f"({table.fields[n].image(table.column(n))}) IS NOT DISTINCT FROM {_text(v)}"
        for n, v in delta.compared.items()
    )
    return " AND ".join([where, *same])


def _text(image: Image) -> str:
    return text(image) if isinstance(image, str) else "NULL"


def _assigned(table: Relation, name: str, image: Image) -> str:
    return table.fields[name].assigned(text(image)) if isinstance(image, str) else "NULL"


def _step(table: Relation, delta: Delta) -> str:
    where = _as_written(table, delta)
    if delta.change is Change.INSERTED:
        free = "".join(
            f" AND NOT EXISTS (SELECT FROM {r.table} AS proctor_ref WHERE "
            + " AND ".join(
                f"proctor_ref.{ident(c)} = {table.column(t)}"
                for c, t in zip(r.columns, r.targets, strict=True)
            )
            + ")"
            for r in table.references
        )
        return f"DELETE FROM {_from(table)} WHERE {where}{free};"
    if delta.change is Change.CHANGED:
        sets = ", ".join(f"{ident(n)} = {_assigned(table, n, v)}" for n, v in delta.back.items())
        return f"UPDATE {_from(table)} SET {sets} WHERE {where};"
    names = ", ".join(map(ident, delta.whole))
    values = ", ".join(_assigned(table, n, v) for n, v in delta.whole.items())
    return (
        f"INSERT INTO {table.sql} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} "
        f"WHERE NOT EXISTS (SELECT FROM {_from(table)} WHERE {where});"
    )
