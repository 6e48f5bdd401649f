"""The rows of one write: their keys, versions, cells and before-images, packed for the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from proctor.adapters.stores.postgres import codecs, values
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.fills import Fill
from proctor.adapters.stores.postgres.keys import SENT
from proctor.adapters.stores.postgres.reading import Version, version_of
from proctor.model import ABSENT, Image, Key, Settled

Cells = list[bytes | None]


@dataclass(kw_only=True)
class Batch:
    """Rows in columns, in step with `keys`; `cells[f]` and `before[f]` by written field.

    `before` is None for a row that is not there yet. `bad` are rows that cannot be sent at
    all, by position, with the reason.
    """

    binding: Binding
    keys: Sequence[Key]
    versions: Sequence[Version]
    cells: list[Cells]
    before: Sequence[tuple[Image, ...] | None]
    bad: dict[int, str] = field(default_factory=dict)

    @cached_property
    def _judged(self) -> tuple[frozenset[int], frozenset[int]]:
        """Rows that would certainly not change, and rows of which only the server can tell."""
        there = [i for i, b in enumerate(self.before) if b is not None and i not in self.bad]
        told: list[list[bool | None]] = []
        for n, fill in enumerate(self.binding.writes):
            cells = self.cells[n]
            images = [(self.before[i] or ())[n] for i in there]
            told.append(fill.judge([cells[i] for i in there], images))
        if len(told) == 1:
            (only,) = told
            doubtful = {i for i, differs in zip(there, only, strict=True) if differs is None}
            still = {i for i, differs in zip(there, only, strict=True) if differs is False}
            return frozenset(still), frozenset(doubtful)
        rows = list(zip(there, zip(*told, strict=True), strict=True))
        doubtful = {i for i, row in rows if None in row and True not in row}
        still = {i for i, row in rows if None not in row and True not in row}
        return frozenset(still), frozenset(doubtful)

    @property
    def still(self) -> frozenset[int]:
        """Rows that would certainly not change: they are not sent."""
        return self._judged[0]

    @property
    def doubtful(self) -> frozenset[int]:
        """Rows that may or may not change: the server compares their images."""
        return self._judged[1]

    def absent(self, position: int) -> bool:
        """Whether the row is not there yet and is to be inserted."""
        return self.before[position] is None

    def compares(self, positions: Sequence[int]) -> bool:
        """Whether the server has to compare images for any of these rows."""
        return not self.doubtful.isdisjoint(positions)

    def arrays(self, positions: Sequence[int], *, images: bool) -> list[codecs.Packed]:
        """The parameters `$1` …: key parts, versions, cells and, with `images`, before-images."""
        binding = self.binding
        keys = [self.keys[p] for p in positions]
        packed = [c.packed([k[i] for k in keys]) for i, c in enumerate(binding.key)]
        versions = [self.versions[p] for p in positions]
        if binding.apart:
            packed.append(codecs.texts([_bytes(v[0]) for v in versions]))
        packed.append(codecs.xids(v[1] or "0" for v in versions))
        packed += [codecs.texts([column[p] for p in positions]) for column in self.cells]
        if images:
            packed.append(codecs.int4s([int(p in self.doubtful) for p in positions]))
            for i, fill in enumerate(binding.writes):
                column = [self.before[p] if p in self.doubtful else None for p in positions]
                shown = [_bytes(fill.sql(b[i])) if b is not None else None for b in column]
                packed.append(codecs.texts(shown))
        return packed

    def sent(self, *, images: bool) -> str:
        """The FROM item of these parameters."""
        binding = self.binding
        types = [c.array for c in binding.key]
        names = [f"proctor_k{i}" for i in range(len(binding.key))]
        if binding.apart:
            types.append("pg_catalog.text[]")
            names.append("proctor_source")
        types.append("pg_catalog.xid[]")
        names.append("proctor_version")
        types += ["pg_catalog.text[]"] * len(self.cells)
        names += [f"proctor_v{i}" for i in range(len(self.cells))]
        if images:
            types += ["pg_catalog.int4[]", *["pg_catalog.text[]"] * len(self.cells)]
            names += ["proctor_doubt", *(f"proctor_b{i}" for i in range(len(self.cells)))]
        arrays = ", ".join(f"${n}::{kind}" for n, kind in enumerate(types, 1))
        return f"unnest({arrays}) WITH ORDINALITY AS {SENT}({', '.join(names)}, proctor_at)"

    @cached_property
    def changed(self) -> str:
        """Whether a sent row would leave other images behind than it found."""
        differs = (
            f"{fill.would_be(f'{SENT}.proctor_v{i}')} IS DISTINCT FROM {SENT}.proctor_b{i}"
            for i, fill in enumerate(self.binding.writes)
        )
        return f"({SENT}.proctor_doubt = 0 OR {' OR '.join(differs)})"

    def before_columns(self, positions: Sequence[int]) -> list[list[Image]]:
        """Before-images by field, as the journal keeps them, null for rows to be inserted.

        A deep place says from which level on its write will make the way to it.
        """
        rows = [self.before[p] for p in positions]
        columns = []
        deep = 0
        for n, fill in enumerate(self.binding.writes):
            column = [None if images is None else images[n] for images in rows]
            if fill.deep:
                column = [
                    self._made(fill, image, position, deep) if image is ABSENT else image
                    for image, position in zip(column, positions, strict=True)
                ]
                deep += 1
            columns.append(column)
        return columns

    def _made(self, fill: Fill, image: Image, position: int, deep: int) -> Image:
        level = self.versions[position][2][deep]
        return f"^{level}" if int(level) < len(fill.path) else image


def _bytes(image: str | None) -> bytes | None:
    return None if image is None else image.encode()


def batch(binding: Binding, settled: Settled) -> Batch:
    """A settled page's rows to write, encoded; those that cannot be are in `bad`."""
    page, index = settled.page, settled.index
    made = Batch(
        binding=binding,
        keys=[page.keys[i] for i in index],
        versions=[version_of(page.versions[i]) for i in index],
        cells=[],
        before=[page.images[i] for i in index],
    )
    columns = zip(*settled.values, strict=True) if settled.values else [()] * len(binding.writes)
    for fill, column in zip(binding.writes, columns, strict=True):
        to_cell = values.cell(fill.field, nested=fill.nested)
        made.cells.append(_cells(to_cell, column, fill.name, made.bad))
    if binding.apart:
        refuse_half_filled(made)
    return made


def _cells(to_cell: Any, column: Sequence[Any], name: str, bad: dict[int, str]) -> Cells:
    """One column of cells; an unencodable value marks its row."""
    try:
        return list(map(to_cell, column))
    except values.Unencodable:
        pass
    cells: Cells = []
    for i, value in enumerate(column):
        try:
            cells.append(to_cell(value))
        except values.Unencodable as error:
            cells.append(None)
            bad.setdefault(i, f"{name}: {error}")
    return cells


def refuse_half_filled(made: Batch) -> None:
    """A row that is not there is inserted whole or not at all."""
    fills = made.binding.writes
    for i in range(len(made.keys)):
        if made.absent(i) and i not in made.bad:
            empty = [f.name for f, c in zip(fills, made.cells, strict=True) if c[i] is None]
            if empty:
                made.bad[i] = f"a new row would be half-filled: {', '.join(empty)} is null"
