"""Find the rows that the server refuses: try all, and where that fails, halves of halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import psycopg

from proctor.adapters.stores.postgres.faults import of_a_row
from proctor.adapters.stores.postgres.pool import Transaction

T = TypeVar("T")


class Writing(Protocol[T]):
    """Something that is done to rows by the same few statements, however many they are."""

    async def attempt(self, work: Transaction, positions: Sequence[int]) -> dict[int, T]:
        """Do it to the rows at these positions; what came of each, by position."""

    async def idle(self, work: Transaction) -> None:
        """Send the same statements for no row at all."""


class Spoilt(Exception):
    """Rows that the server took, but not as they must be; by position, with the reason."""

    def __init__(self, rows: dict[int, str]) -> None:
        """The rows are to be left as they were."""
        super().__init__(len(rows))
        self.rows = rows


@dataclass(kw_only=True)
class Found(Generic[T]):
    """What an attempt came to: rows written, and rows refused with the error or the reason."""

    written: dict[int, T] = field(default_factory=dict)
    refused: dict[int, psycopg.Error | str] = field(default_factory=dict)


async def bisect(work: Transaction, positions: Sequence[int], writing: Writing[T]) -> Found[T]:
    """Write what can be written, inside savepoints; row errors end as `refused`.

    A statement that fails without any row is wrong in itself: a privilege, a column, a constant.
    That, and whatever no row can be blamed for, goes up. n rows of which k are bad take about
    k log n statements; where most are bad, about n.
    """
    await writing.idle(work)
    found: Found[T] = Found()
    todo = [list(positions)]
    while todo:
        some = todo.pop()
        if not some:
            continue
        await work.run("SAVEPOINT proctor_rows")
        try:
            found.written |= await writing.attempt(work, some)
        except Spoilt as spoilt:
            await work.run("ROLLBACK TO SAVEPOINT proctor_rows")
            found.refused |= spoilt.rows
            todo.append([p for p in some if p not in spoilt.rows])
            continue
        except psycopg.Error as error:
            if not of_a_row(error):
                raise
            await work.run("ROLLBACK TO SAVEPOINT proctor_rows")
            if len(some) == 1:
                found.refused[some[0]] = error
            else:
                half = len(some) // 2
                todo += [some[half:], some[:half]]
            continue
        await work.run("RELEASE SAVEPOINT proctor_rows")
    return found
