"""The statements of `sql=`: a chunk is read, computed and written by one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from proctor.adapters.stores import keyset
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.fills import Fill
from proctor.adapters.stores.postgres.literal import ident, text
from proctor.model import Chunk

OLD: Final = '"proctor_old"'
NEW: Final = '"proctor_new"'


@dataclass(kw_only=True)
class Statements:
    """What one chunk is told in."""

    binding: Binding
    chunk: Chunk

    @cached_property
    def range(self) -> str:
        """The chunk's part of the table."""
        return self.binding.between(self.chunk.after, self.chunk.upto)

    @cached_property
    def values(self) -> list[str]:
        """The new value of each written field, in the type of its column."""
        binding = self.binding
        given = dict(binding.spec.sql)
        made = []
        for fill in binding.writes:
            if fill.name in given:
                made.append(fill.field.assigned(f"({binding.bound(given[fill.name])}\n)"))
            else:
                made.append(fill.field.compared(text(binding.spec.version)))
        return made

    @cached_property
    def columns(self) -> list[str]:
        """The written columns."""
        return [self.binding.target.column(f.field.name) for f in self.binding.writes]

    @cached_property
    def named(self) -> list[str]:
        """Keys, before-images and new values, as both statements select them first."""
        binding = self.binding
        named = [f"{sql} AS proctor_k{i}" for i, (sql, _) in enumerate(binding.target_parts)]
        for i, (fill, column) in enumerate(zip(binding.writes, self.columns, strict=True)):
            named += [f"{fill.image(column)} AS proctor_b{i}", f"{self.values[i]} AS proctor_n{i}"]
        return named

    @cached_property
    def on(self) -> str:
        """The row that is written is the one that was selected."""
        parts = enumerate(self.binding.target_parts)
        return " AND ".join(f"{sql} = {OLD}.proctor_k{i}" for i, (sql, _) in parts)

    @cached_property
    def sets(self) -> list[str]:
        """The assignments."""
        binding = self.binding
        sets = [f"{ident(f.field.name)} = {OLD}.proctor_n{i}" for i, f in enumerate(binding.writes)]
        return [
            *sets,
            *(f"{ident(n)} = {binding.target.alias}.{ident(n)}" for n in binding.spec.preserve),
        ]

    def swift(self) -> str:
        """Rows of the range that are eligible and would change, before and after, unlocked.

        How many are eligible stands in the last place of each.
        """
        binding = self.binding
        target = binding.target
        named = ", ".join([*self.named, f"{target.alias}.xmin AS proctor_x"])
        back = [c.printed(f"{OLD}.proctor_k{i}") for i, c in enumerate(binding.key)]
        back += [f"{OLD}.proctor_b{i}" for i in range(len(self.columns))]
        back += [f.image(c) for f, c in zip(binding.writes, self.columns, strict=True)]
        return (
            f"UPDATE {target.sql} AS {target.alias} SET {', '.join(self.sets)} "
            f"FROM (SELECT {named}, count(*) OVER () AS proctor_all "
            f"FROM {target.sql} AS {target.alias} "
            f"WHERE {self.only} AND {binding.eligible}) AS {OLD} "
            f"WHERE {self.on} AND ({self.range}) AND {target.alias}.xmin = {OLD}.proctor_x "
            f"AND ({self.changed}) RETURNING {', '.join(back)}, NULL, {OLD}.proctor_all"
        )

    def statement(self, only: str, *, within: str) -> str:
        """The whole, with locks: rows of `only` that are eligible, before and after."""
        binding = self.binding
        target, width = binding.target, len(binding.key)
        columns, on, sets = self.columns, self.on, self.sets
        preserved = [target.column(name) for name in binding.spec.preserve]
        named = [*self.named]
        named += [f"{c}::pg_catalog.text AS proctor_p{i}" for i, c in enumerate(preserved)]
        shown = [f.image(c) for f, c in zip(binding.writes, columns, strict=True)]
        shown += [f"{c}::pg_catalog.text" for c in preserved]
        returned = [f"{OLD}.proctor_k{i}" for i in range(width)]
        returned += [f"{sql} AS proctor_a{i}" for i, sql in enumerate(shown)]
        order = keyset.order_by(
            [(f"{OLD}.proctor_k{i}", c.descending) for i, c in enumerate(binding.key)]
        )
        same = " AND ".join(f"{NEW}.proctor_k{i} = {OLD}.proctor_k{i}" for i in range(width))
        back = [c.printed(f"{OLD}.proctor_k{i}") for i, c in enumerate(binding.key)]
        back += [f"{OLD}.proctor_b{i}" for i in range(len(columns))]
        back += [f"{OLD}.proctor_p{i}" for i in range(len(preserved))]
        back += [f"{NEW}.proctor_a{i}" for i in range(len(shown))]
        return (
            f"WITH {OLD} AS MATERIALIZED (SELECT {', '.join(named)} "
            f"FROM {target.sql} AS {target.alias} WHERE {only} AND {binding.eligible} "
            f"FOR NO KEY UPDATE OF {target.alias}), "
            f"{NEW} AS (UPDATE {target.sql} AS {target.alias} SET {', '.join(sets)} FROM {OLD} "
            f"WHERE {on} AND ({within}) AND ({self.changed}) RETURNING {', '.join(returned)}) "
            f"SELECT {', '.join(back)}, "
            # Of a written row nobody asks: printing its new value once more would cost.
            f"CASE WHEN {NEW}.proctor_k0 IS NULL THEN {' OR '.join(self._differs)} END, "
            f"{NEW}.proctor_k0 IS NOT NULL "
            f"FROM {OLD} LEFT JOIN {NEW} ON {same} ORDER BY {order}"
        )

    @cached_property
    def changed(self) -> str:
        """Whether what is written would leave other images behind.

        Different documents have different images, and are told apart in a third of the time.
        """
        pairs = enumerate(zip(self.binding.writes, self.columns, strict=True))
        quick = [
            f"{OLD}.proctor_n{i} IS DISTINCT FROM {column}"
            for i, (fill, column) in pairs
            if fill.field.type.name == "jsonb" and not fill.field.domain
        ]
        return " OR ".join([*quick, *self._differs])

    @cached_property
    def _differs(self) -> list[str]:
        """The same by images alone."""
        return [
            f"{_image_of(fill, f'{OLD}.proctor_n{i}')} IS DISTINCT FROM {OLD}.proctor_b{i}"
            for i, fill in enumerate(self.binding.writes)
        ]

    @property
    def only(self) -> str:
        """The rows of the chunk."""
        if self.chunk.keys is not None:
            return self.binding.among(self.chunk.keys)
        return f"({self.range})"


def _image_of(fill: Fill, value: str) -> str:
    """The image that a typed value would leave behind."""
    kind = fill.field.type
    if kind.is_text:
        shown = f"{value}::pg_catalog.text"
        return f"pg_catalog.rtrim({shown}, ' ')" if fill.field.padded else shown
    if fill.field.domain or fill.field.typmod < 0:
        return f"{value}::pg_catalog.text"
    return f"{value}::{fill.field.declared}::pg_catalog.text"
