"""Let the server compute what `sql=` gives, and find the rows of which it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from proctor.adapters.stores.postgres import reading
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.bisect import bisect
from proctor.adapters.stores.postgres.faults import of_a_row, row_reason
from proctor.adapters.stores.postgres.pool import Pool, Rows, Transaction
from proctor.model import Chunk, Key

NO_ROW = "(SELECT false)"
"""A condition that no row meets and that the planner cannot see through."""


@dataclass(kw_only=True)
class Computing:
    """The eligible rows of one chunk, with values behind their columns.

    `values` is the select list of the values, with a comma before each.
    """

    binding: Binding
    chunk: Chunk
    values: str
    listed: Sequence[Key] = ()

    async def read(self, pool: Pool) -> tuple[Rows, dict[Key, str]]:
        """The rows behind a column of the listing's own, and why others cannot be computed."""
        keys = self.chunk.keys
        async with pool.read(self.chunk.run) as work:
            try:
                return await work.commit(self._range() if keys is None else self._listing(keys)), {}
            except psycopg.Error as error:
                if not of_a_row(error):
                    raise
            await work.rollback()
            self.listed = keys if keys is not None else await self._keys(work)
            found = await bisect(work, range(len(self.listed)), self)
            refused = {
                self.listed[p]: why if isinstance(why, str) else row_reason(why, self.listed[p])
                for p, why in found.refused.items()
            }
            return [found.written[p] for p in sorted(found.written)], refused

    async def attempt(
        self, work: Transaction, positions: Sequence[int]
    ) -> dict[int, tuple[Any, ...]]:
        """Some of the listed rows."""
        found = await work.fetch(self._listing([self.listed[p] for p in positions]))
        return {positions[row[0] - 1]: row for row in found}

    async def idle(self, work: Transaction) -> None:
        """The same statement, for no row."""
        await work.fetch(self._range(NO_ROW))

    def _listing(self, keys: Sequence[Key]) -> str:
        return reading.listing(self.binding, keys, eligible=True, extra=self.values)

    def _range(self, only: str = "true") -> str:
        return (
            f"SELECT 0, {self.binding.selected}{self.values} FROM {self.binding.joined} "
            f"WHERE {only} AND {self._eligible}"
        )

    @property
    def _eligible(self) -> str:
        binding, chunk = self.binding, self.chunk
        return (
            f"{binding.after(chunk.after)} AND {binding.upto(chunk.upto)} "
            f"AND {binding.eligible} ORDER BY {binding.order}"
        )

    async def _keys(self, work: Transaction) -> Sequence[Key]:
        binding = self.binding
        found = await work.fetch(
            f"SELECT {binding.printed_key} FROM {binding.joined} WHERE {self._eligible}"
        )
        return [tuple(row) for row in found]
