"""The rows of one write: their keys, versions, cells and before-images, packed for the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from proctor.adapters.stores.postgres import codecs, values
from proctor.adapters.stores.postgres.binding import Binding
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
        still: set[int] = set()
        doubtful: set[int] = set()
        fills = self.binding.writes
        for i, (images, *cells) in enumerate(zip(self.before, *self.cells, strict=True)):
            if images is None or i in self.bad:
                continue
            told = [f.differs_from(c, b) for f, c, b in zip(fills, cells, images, strict=True)]
            if True in told:
                continue
            (doubtful if None in told else still).add(i)
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

    def before_of(self, position: int) -> tuple[Image, ...]:
        """Before-images as the journal keeps them: a deep place says what its write will make."""
        images = self.before[position]
        if images is None:
            return (None,) * len(self.binding.writes)
        levels = iter(self.versions[position][2])
        kept: list[Image] = []
        for fill, image in zip(self.binding.writes, images, strict=True):
            level = next(levels) if fill.deep else ""
            made = fill.deep and image is ABSENT and int(level) < len(fill.path)
            kept.append(f"^{level}" if made else image)
        return tuple(kept)


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
