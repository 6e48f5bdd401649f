"""A rollback as SQL that a person can read and run with psql alone, without Proctor.

One transaction for each chunk. It puts back only what still is as the run left it, counts before
and after, lists what it left alone, and marks the chunk undone where Proctor's tables are there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.literal import comment, ident, text
from proctor.adapters.stores.postgres.pool import IMAGE_SETTINGS, Pool, Transaction
from proctor.adapters.stores.postgres.rollback import Beside, Keeper, undoer_of
from proctor.adapters.stores.postgres.undoing import Undoer
from proctor.model import ABSENT, Image, Run

Also: TypeAlias = Callable[[Transaction, int], Awaitable[str]]
"""Statements beside those of a chunk's rows, where Proctor's tables are there."""
ROWS_A_LINE = 500
"""Rows of one INSERT."""


async def script(
    pool: Pool,
    binding: Binding,
    run: Run,
    numbers: Sequence[int],
    *,
    keeper: Keeper | None = None,
    also: Also | None = None,
) -> AsyncIterator[str]:
    """The script piece by piece, in the order of the numbers: newest first, as a rollback goes."""
    keeper = keeper or Beside()
    yield _preface(binding, run, len(numbers))
    for number in numbers:
        async with pool.read(run.id) as work:
            found = await keeper.kept(work, run.id, number)
            undoer, more = None, ""
            if found.undoable is not None:
                more = await also(work, number) if also else ""
                undoer = await undoer_of(work, binding, found, found.undoable)
            await work.commit()
        if undoer is None:
            yield f"-- Chunk {number}: nothing to undo.\n\n"
            continue
        for piece in _chunk(run, number, undoer, more):
            yield piece


def _preface(binding: Binding, run: Run, chunks: int) -> str:
    target = binding.target
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    backfill = " ".join(run.backfill.split())
    return (
        f"-- Undo of run {run.id} of {backfill}, made {made}: {chunks} chunks.\n"
        f"-- It puts back {', '.join(_plain(f) for f in run.fills)} in "
        f"{_plain(target.schema)}.{_plain(target.name)} where they still hold what the run wrote.\n"
        f"-- Rows that somebody changed since are left alone and listed. Run it with:\n"
        f"--   psql --set ON_ERROR_STOP=1 --file THIS_FILE\n"
        f"-- Every chunk is one transaction; a chunk that was undone before changes nothing.\n\n"
    )


def _plain(name: str) -> str:
    """A name inside a comment: on one line."""
    return " ".join(name.split())


def _chunk(run: Run, number: int, undoer: Undoer, more: str) -> list[str]:
    undo = undoer.journal
    old = [p for p in range(len(undo.keys)) if p not in undoer.inserted]
    new = sorted(undoer.inserted)
    settings = "".join(
        f"SET LOCAL {ident(name)} = {text(value)};\n" for name, value in IMAGE_SETTINGS.items()
    )
    pieces = [f"{comment(run.id)} BEGIN;\n-- Chunk {number}: {len(undo.keys)} rows.\n{settings}"]
    for some, whole in ((old, False), (new, True)):
        if some:
            pieces += _part(undoer, some, whole=whole)
    mark = (
        f"UPDATE proctor.chunks SET undone = true WHERE run = {text(run.id)} AND number = {number};"
    )
    tag = "$proctor$"
    while tag in more:  # the reason of a unit is anybody's words
        tag = f"{tag[:-1]}_$"
    pieces.append(
        f"DO {tag} BEGIN IF to_regclass('proctor.chunks') IS NOT NULL THEN {mark} {more}"
        f"END IF; END {tag};\nCOMMIT;\n\n"
    )
    return pieces


def _part(undoer: Undoer, positions: Sequence[int], *, whole: bool) -> list[str]:
    """Rows to restore, or inserted rows to delete: their table, the counts, the statement."""
    binding = undoer.binding
    target = binding.target
    columns = undoer.columns(whole=whole)
    declared = ", ".join(f"{name} {kind}" for name, kind in columns)
    table = f'CREATE TEMP TABLE "proctor_sent" ({declared}, proctor_at serial) ON COMMIT DROP;\n'
    names = ", ".join(name for name, _ in columns)
    pieces = [table]
    for start in range(0, len(positions), ROWS_A_LINE):
        some = positions[start : start + ROWS_A_LINE]
        rows = ",\n  ".join(
            f"({', '.join(_literal(v) for v in undoer.row(p, whole=whole))})" for p in some
        )
        pieces.append(f'INSERT INTO "proctor_sent" ({names}) VALUES\n  {rows};\n')
    holds = undoer.whole_holds if whole else undoer.holds
    free = f" AND NOT ({undoer.referenced})" if whole else ""
    there = f'{target.sql} AS {target.alias}, "proctor_sent" WHERE {undoer.joined}'
    pieces.append(
        f"-- Verify first: how many of the {len(positions)} rows still hold what was written?\n"
        f"SELECT count(*) AS rows_that_hold FROM {there} AND {holds};\n"
    )
    if whole:
        pieces.append(
            f'DELETE FROM {target.sql} AS {target.alias} USING "proctor_sent" '
            f"WHERE {undoer.joined} AND {holds}{free};\n"
        )
    else:
        pieces.append(
            f"UPDATE {target.sql} AS {target.alias} SET {undoer.sets} "
            f'FROM "proctor_sent" WHERE {undoer.joined} AND {holds};\n'
        )
    left = "true" if whole else f"NOT ({undoer.is_back})"
    keys = ", ".join(sql for sql, _ in binding.target_parts)
    pieces.append(
        f"-- Verify after: rows that were left alone, because somebody changed them.\n"
        f"SELECT {keys} FROM {there} AND {left};\n"
        f'DROP TABLE "proctor_sent";\n'
    )
    return pieces


def _literal(value: Image | int) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return text("" if value is ABSENT else str(value))
