"""The rows of one write: their keys, versions, cells and before-images, packed for the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

from proctor.adapters.stores.postgres import codecs, values
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.fills import Fill
from proctor.adapters.stores.postgres.keys import SENT
from proctor.adapters.stores.postgres.reading import version_of
from proctor.model import ABSENT, Image, Key, Settled

Cells = list[bytes | None]
STRINGS = frozenset({str})
T = TypeVar("T")


@dataclass(kw_only=True)
class Batch:
    """Rows in columns, in step with `keys`; `cells[f]` and `before[f]` by written field.

    `before` is None for a row that is not there yet. `bad` are rows that cannot be sent at
    all, by position, with the reason.
    """

    binding: Binding
    keys: Sequence[Key]
    versions: Sequence[Any]
    """As the page has them: see `version_of`."""
    cells: list[Cells]
    before: Sequence[tuple[Image, ...] | None]
    bad: dict[int, str] = field(default_factory=dict)
    packed: dict[bool, list[codecs.Packed]] = field(default_factory=dict)
    """The parameters of all rows at once, with images or without, where `pack` has made them."""
    undo: bytes | None = None
    """The undo data for the case that all rows are written as foreseen, where it was made ahead."""

    def pack(self) -> None:
        """Make the parameters of all rows ahead; of a part of them they are made when needed."""
        if self.keys and not (self.bad or self.still or None in self.before):
            every = range(len(self.keys))
            images = self.compares(every)
            self.packed[images] = self.arrays(every, images=images)

    @cached_property
    def _judged(self) -> tuple[frozenset[int], frozenset[int]]:
        """Rows that would certainly not change, and rows of which only the server can tell."""
        there: Sequence[int] = range(len(self.before))
        if self.bad or None in self.before:
            there = [i for i in there if self.before[i] is not None and i not in self.bad]
        images = picked(self.before, there)
        told = [
            fill.judge(picked(self.cells[n], there), [image[n] for image in images if image])
            for n, fill in enumerate(self.binding.writes)
        ]
        if any(column.count(True) == len(there) for column in told):
            return frozenset(), frozenset()
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

    @cached_property
    def foreseen(self) -> bool:
        """Whether the server is asked only for images that are not the cells that were sent."""
        if self.binding.fires_after_update:
            return False  # they are looked at again anyway, all of them
        fills = zip(self.binding.writes, self.cells, strict=True)
        return all(fill.foresees(cells) for fill, cells in fills)

    def as_sent(self, positions: Sequence[int]) -> list[Sequence[Image]]:
        """The cells of these rows as images, by field."""
        return [_images(picked(column, positions)) for column in self.cells]

    def absent(self, position: int) -> bool:
        """Whether the row is not there yet and is to be inserted."""
        return self.before[position] is None

    def compares(self, positions: Sequence[int]) -> bool:
        """Whether the server has to compare images for any of these rows."""
        return not self.doubtful.isdisjoint(positions)

    def arrays(self, positions: Sequence[int], *, images: bool) -> list[codecs.Packed]:
        """The parameters `$1` …: key parts, versions, cells and, with `images`, before-images."""
        if images in self.packed and len(positions) == len(self.keys):
            return self.packed[images]
        binding = self.binding
        keys = picked(self.keys, positions)
        packed = [c.packed([k[i] for k in keys]) for i, c in enumerate(binding.key)]
        versions = picked(self.versions, positions)
        if binding.apart:
            packed.append(codecs.texts([_bytes(version_of(v)[0]) for v in versions]))
        if STRINGS.issuperset(map(type, versions)):
            packed.append(codecs.xids(versions))
        else:
            packed.append(codecs.xids(version_of(v)[1] or "0" for v in versions))
        packed += [codecs.texts(picked(column, positions)) for column in self.cells]
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
        rows = picked(self.before, positions)
        columns: list[list[Image]] = []
        if None not in rows and not any(f.deep for f in self.binding.writes):
            return [list(column) for column in zip(*rows, strict=True)]
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
        level = version_of(self.versions[position])[2][deep]
        return f"^{level}" if int(level) < len(fill.path) else image


def picked(column: Sequence[T], positions: Sequence[int]) -> Sequence[T]:
    """The members at these positions, which rise: most often that is all of them."""
    if len(positions) == len(column):
        return column
    return [column[p] for p in positions]


def text_of(cell: bytes | None) -> str | None:
    """A cell as the image that the server would print of it."""
    return None if cell is None else cell.decode()


def _images(cells: Sequence[bytes | None]) -> Sequence[Image]:
    """A column of them, most often in one go."""
    if None not in cells:
        whole = b"\0".join(cast("Sequence[bytes]", cells)).decode().split("\0")
        if len(whole) == len(cells):
            return whole
    return list(map(text_of, cells))


def _bytes(image: str | None) -> bytes | None:
    return None if image is None else image.encode()


def batch(binding: Binding, settled: Settled) -> Batch:
    """A settled page's rows to write, encoded; those that cannot be are in `bad`."""
    page, index = settled.page, settled.index
    made = Batch(
        binding=binding,
        keys=picked(page.keys, index),
        versions=picked(page.versions, index),
        cells=[],
        before=picked(page.images, index),
    )
    columns = zip(*settled.values, strict=True) if settled.values else [()] * len(binding.writes)
    for fill, column in zip(binding.writes, columns, strict=True):
        made.cells.append(_cells(fill, column, made.bad))
    if binding.apart:
        refuse_half_filled(made)
    return made


def _cells(fill: Fill, column: Sequence[Any], bad: dict[int, str]) -> Cells:
    """One column of cells; an unencodable value marks its row."""
    try:
        return values.cells(fill.field, column, nested=fill.nested)
    except values.Unencodable:
        pass
    to_cell = values.cell(fill.field, nested=fill.nested)
    cells: Cells = []
    for i, value in enumerate(column):
        try:
            cells.append(to_cell(value))
        except values.Unencodable as error:
            cells.append(None)
            bad.setdefault(i, f"{fill.name}: {error}")
    return cells


def refuse_half_filled(made: Batch) -> None:
    """A row that is not there is inserted whole or not at all."""
    fills = made.binding.writes
    for i in range(len(made.keys)):
        if made.absent(i) and i not in made.bad:
            empty = [f.name for f, c in zip(fills, made.cells, strict=True) if c[i] is None]
            if empty:
                made.bad[i] = f"a new row would be half-filled: {', '.join(empty)} is null"
