"""Fields that Proctor writes: whole columns, and places inside JSON documents, as SQL.

An image is the server's text. For a place in a document, SQL NULL stands for a document that is
null, the empty text for a place that is not there (JSON text is never empty), and in the undo
journal `^2` for a place whose parents from level 2 on were made by the write.
"""

from __future__ import annotations

import json
import operator
import re

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

from proctor.adapters.stores.journal import digest
from proctor.adapters.stores.postgres.catalog import Field, Relation
from proctor.adapters.stores.postgres.literal import ident, text, texts
from proctor.errors import TargetError
from proctor.model import ABSENT, Image, Spec

SIGNS: Final = (b"e+", b"e-", b"E+", b"E-")
"""One of them stands in every number with an exponent that our encoder prints."""
EXPONENT: Final = re.compile(rb"\d[eE][-+]\d")
LOOKED: Final = 4
"""Documents of a page from which it is told in which order the author puts their keys."""
FORESEEN: Final = frozenset({"int2", "int4", "int8", "bool", "uuid", "date", "bytea"})
"""Types whose values our encoder prints as the server does."""
_PLAIN: Final = frozenset({str, type(None)})
DIGEST: Final = 33
"""Characters of a digest in the journal."""
NOT_THERE: Final = ""
OBJECT: Final = "'{}'::pg_catalog.jsonb"
REFUSED: Final = "'strict $.parent'"
"""What the server refuses to follow in anything but an object: see faults.NO_PARENT."""


@dataclass(frozen=True, kw_only=True)
class Fill:
    """One entry of `Spec.writes`, resolved."""

    name: str
    field: Field
    path: tuple[str, ...] = ()

    @property
    def nested(self) -> bool:
        """Whether it is a place inside a JSON document."""
        return bool(self.path)

    @property
    def deep(self) -> bool:
        """Whether writing it can make parents that were not there."""
        return len(self.path) > 1

    def image(self, column: str) -> str:
        """The image in SQL."""
        if not self.nested:
            return self.field.image(column)
        place = f"({column} #> {texts(self.path)})::pg_catalog.text"
        return f"CASE WHEN {column} IS NOT NULL THEN coalesce({place}, '') END"

    def level(self, column: str) -> str:
        """The first level of a deep place that is not there, as text; its depth if none."""
        whens = " ".join(
            f"WHEN ({column} #> {texts(self.path[:i])}) IS NULL THEN '{i}'"
            for i in range(1, len(self.path))
        )
        return f"CASE {whens} ELSE '{len(self.path)}' END"

    def is_null(self, column: str) -> str:
        """Whether nothing has been filled: SQL NULL, JSON null or not there."""
        return f"({column} #>> {texts(self.path)}) IS NULL" if self.nested else f"{column} IS NULL"

    def differs(self, column: str, version: str) -> str:
        """Whether a stamp holds another version."""
        if self.nested:
            return f"({column} #>> {texts(self.path)}) IS DISTINCT FROM {text(version)}"
        return f"{column} IS DISTINCT FROM {self.field.compared(text(version))}"

    def would_be(self, value: str) -> str:
        """The image that a cell would leave behind, to find writes that change nothing.

        An approximation on the safe side: where it errs, a row is written that need not be.
        """
        if self.nested:
            return f"{value}::pg_catalog.jsonb::pg_catalog.text"
        if self.field.type.is_text:
            return f"pg_catalog.rtrim({value}, ' ')" if self.field.padded else value
        if self.field.domain or self.field.typmod < 0:
            return f"{value}::{self.field.type.sql}::pg_catalog.text"
        # The declared type cuts or rounds as the assignment will, or refuses as it will.
        return f"{value}::{self.field.declared}::pg_catalog.text"

    def answer(self, column: str, cell: str) -> str:
        """What a write answers of a field whose image is foreseen: null where it is the cell.

        Where a trigger or the type has made another image of it, that image behind a `=`, and
        the empty text where the field has become null. Bytes are compared, whatever the
        collation of the column says of them.
        """
        image = self.image(column)
        return (
            f'CASE WHEN ({image}) COLLATE "C" IS DISTINCT FROM {cell} '
            f"THEN coalesce('=' || ({image}), '') END"
        )

    def foresees(self, cells: Sequence[bytes | None]) -> bool:
        """Whether the server will most likely print each cell as it was sent."""
        kind = self.field.type
        if kind.name == "jsonb":
            looked = [cell for cell in cells[:: max(1, len(cells) // LOOKED)] if cell is not None]
            return all(_in_order(json.loads(cell)) for cell in looked)
        return (kind.is_text and not self.field.padded) or kind.name in FORESEEN

    def judge(self, cells: Sequence[bytes | None], images: Sequence[Image]) -> list[bool | None]:
        """Whether each cell would leave another image; None where only the server can tell.

        A jsonb document is printed with its keys in another order, but as long as our encoder
        prints it, unless a number is written with an exponent.
        """
        kind = self.field.type
        if kind.is_text and not self.field.padded:
            return [self._told(c, b, alike=False) for c, b in zip(cells, images, strict=True)]
        if kind.name != "jsonb":
            return [self._told(c, b, alike=True) for c, b in zip(cells, images, strict=True)]
        joined = b" ".join(c for c in cells if c is not None)
        exponents = any(sign in joined for sign in SIGNS) and EXPONENT.search(joined)
        if {str}.issuperset(map(type, images)) and None not in cells and not exponents:
            there = cast("Sequence[str]", images)
            return _told_all(cast("Sequence[bytes]", cells), there, plain=joined.isascii())
        return [
            self._told(
                c,
                b,
                alike=bool(exponents)
                or c is None
                or not isinstance(b, str)
                or len(c) == len(b.encode()),
            )
            for c, b in zip(cells, images, strict=True)
        ]

    def _told(self, cell: bytes | None, image: Image, *, alike: bool) -> bool | None:
        """`alike` says whether other bytes could still print as the same image."""
        if not isinstance(image, str):
            return self.nested or cell is not None
        if cell is None or not alike:
            return cell is None or cell != image.encode()
        return False if cell == image.encode() else None

    def python(self, image: str | None) -> Image:
        """An image from SQL as the rest of Proctor knows it."""
        return ABSENT if self.nested and image == NOT_THERE else image

    def journalled(self, image: Image) -> Image:
        """A before-image of the journal without the mark of the parents that the write made."""
        marked = self.nested and isinstance(image, str) and image[:1] in (NOT_THERE, "^")
        return ABSENT if marked else image

    def sql(self, image: Image) -> str | None:
        """An image as SQL compares it."""
        return NOT_THERE if image is ABSENT else image


def _told_all(cells: Sequence[bytes], images: Sequence[str], *, plain: bool) -> list[bool | None]:
    """`judge` of documents that are there, all at once; `plain` where the cells are ASCII."""
    if plain and "".join(images).isascii():
        there: list[int] = list(map(len, images))
    else:
        there = [len(image.encode()) for image in images]
    here = list(map(len, cells))
    if not any(map(operator.eq, here, there)):
        return [True] * len(here)
    return [
        a != b or (False if cell == image.encode() else None)
        for a, b, cell, image in zip(here, there, cells, images, strict=True)
    ]


def _in_order(document: Any) -> bool:
    """Whether the keys of a document stand as jsonb has them: the shorter first, then by bytes."""
    if isinstance(document, dict):
        names = [(len(name.encode()), name.encode()) for name in document]
        return names == sorted(names) and all(map(_in_order, document.values()))
    return not isinstance(document, list) or all(map(_in_order, document))


@dataclass(frozen=True, kw_only=True)
class Document:
    """One column of the target with everything that is written into it."""

    field: Field
    fills: tuple[tuple[int, Fill], ...]
    """Each with its position in `Spec.writes`."""

    @cached_property
    def sql(self) -> str:
        """The column's bare name, for SET."""
        return ident(self.field.name)

    def assigned(self, column: str, value: str) -> str:
        """The new column: `value.format(i)` is the cell of the i-th written field."""
        if not self.fills[0][1].nested:
            return self.field.assigned(value.format(self.fills[0][0]))
        document = f"coalesce({column}, {OBJECT})"
        for position, fill in self.fills:
            cell = f"{value.format(position)}::pg_catalog.jsonb"
            document = _put(document, fill.path, cell)
        return f"CASE {self._refused(column)} ELSE {document} END"

    def _refused(self, column: str) -> str:
        """Refuse a document in which a parent of a place is a list or a plain value.

        The server itself takes the name 5 for an index, and lengthens a list by what it cannot
        take away again.
        """
        inner = (f.path[:n] for _, f in self.fills for n in range(1, len(f.path)))
        places = [column, *(f"({column} #> {texts(path)})" for path in dict.fromkeys(inner))]
        return " ".join(
            f"WHEN pg_catalog.jsonb_typeof({place}) <> 'object' "
            f"THEN pg_catalog.jsonb_path_query_first({place}, {REFUSED})"
            for place in places
        )

    def restored(self, column: str, before: str) -> str:
        """The old column from before-images; `before.format(i)` is the i-th one.

        Of a document only our places go back: what others wrote beside them stays.
        """
        if not self.fills[0][1].nested:
            return self.field.assigned(before.format(self.fills[0][0]))
        steps: list[str] = []
        document = column
        for position, fill in self.fills:
            for expression in _put_back(document, fill, before.format(position), len(steps)):
                steps.append(expression)
                document = f"x{len(steps)}.d"
        chain = ", LATERAL ".join(f"(SELECT {e} AS d) AS x{n}" for n, e in enumerate(steps, 1))
        was_null = " OR ".join(f"{before.format(p)} IS NULL" for p, _ in self.fills)
        whole = f"CASE WHEN ({was_null}) AND {document} = {OBJECT} THEN NULL ELSE {document} END"
        return f"(SELECT {whole} FROM {chain})"


def _put(document: str, path: Sequence[str], value: str) -> str:
    """Set a place, making the objects on the way to it."""
    step = texts(path[:1])
    if len(path) > 1:
        inner = f"coalesce({document} #> {step}, {OBJECT})"
        value = _put(inner, path[1:], value)
    return f"pg_catalog.jsonb_set({document}, {step}, {value}, true)"


def _put_back(document: str, fill: Fill, before: str, done: int) -> list[str]:
    """The steps that restore one place; each names the document of the step before it."""
    place = texts(fill.path)
    first = (
        f"CASE WHEN {before} IS NULL OR {before} = '' OR {before} LIKE '^%' "
        f"THEN {document} #- {place} "
        f"ELSE pg_catalog.jsonb_set({document}, {place}, {before}::pg_catalog.jsonb, true) END"
    )
    steps = [first]
    made = (
        f"CASE WHEN {before} IS NULL THEN 0 WHEN {before} LIKE '^%' "
        f"THEN pg_catalog.substr({before}, 2)::pg_catalog.int4 ELSE {len(fill.path)} END"
    )
    for level in range(len(fill.path) - 1, 0, -1):
        last = f"x{done + len(steps)}.d"
        parent = texts(fill.path[:level])
        steps.append(
            f"CASE WHEN {made} <= {level} AND {last} #> {parent} = {OBJECT} "
            f"THEN {last} #- {parent} ELSE {last} END"
        )
    return steps


def kept(column: Sequence[Image], *, short: bool) -> list[Image]:
    """After-images for the journal: their digests, or themselves where that packs smaller."""
    if short:
        return [digest(image) for image in column]
    if _PLAIN.issuperset(map(type, column)):
        there = cast("Iterable[str]", filter(None, column))
        if DIGEST not in map(len, there):
            return list(column)
    return [digest(image) if looks_like_digest(image) else image for image in column]


def looks_like_digest(image: Image) -> bool:
    """Whether an image has the form of a digest; one that only looks so is digested itself."""
    return isinstance(image, str) and len(image) == DIGEST and image.startswith("#")


def holds(kept_image: Image, now: Image) -> bool:
    """Whether what stands now is what the journal says was written."""
    return kept_image == (digest(now) if looks_like_digest(kept_image) else now)


def resolve(spec: Spec, target: Relation) -> tuple[Fill, ...]:
    """Every written field of a spec; TargetError for one that cannot be written."""
    found = tuple(_resolve(name, target) for name in spec.writes)
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            if one.field.name == other.field.name and _overlap(one.path, other.path):
                raise TargetError(
                    f"the fills {one.name} and {other.name} overlap",
                    fix="fill the outer one alone, or name only its parts",
                )
    return found


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    shorter = min(len(one), len(other))
    return tuple(one[:shorter]) == tuple(other[:shorter])


def _resolve(name: str, target: Relation) -> Fill:
    if name in target.fields:
        return Fill(name=name, field=target.fields[name])
    parts = name.split(".")
    for i in range(len(parts) - 1, 0, -1):
        head, path = ".".join(parts[:i]), tuple(parts[i:])
        if head not in target.fields:
            continue
        field = target.fields[head]
        if field.type.name != "jsonb" or field.type.schema != "pg_catalog":
            raise TargetError(
                f"{name} is a place inside {head}, which must be jsonb",
                found=f"{head} is {field.declared}",
                fix="a place in json cannot be changed without printing the document anew: "
                "fill the whole column, or alter its type to jsonb",
            )
        if not all(path):
            raise TargetError(f"the fill {name} has an empty part in its path")
        return Fill(name=name, field=field, path=path)
    near = ", ".join(target.fields)
    raise TargetError(
        f"table {target.schema}.{target.name} has no column {parts[0]}",
        found=f"its columns are {near}",
        fix="correct fills=, or add the column first",
    )
