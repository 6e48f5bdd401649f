"""The undo blob of one chunk: keys, before- and after-images, packed in columns.

Layout: the two bytes ``PU``, one byte of version, then zlib-compressed text: JSON, and behind it
the columns of plain images, each after one separator and its images after another. A column of
one field packs several times smaller and faster than a row at a time, most columns are all null,
which costs nothing, and images are most often JSON themselves, full of quotes to escape.
"""

from __future__ import annotations

import hashlib
import json
import zlib

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import sub
from typing import Any, Final, TypeAlias, cast

from proctor.errors import TargetError
from proctor.model import ABSENT, Image, Journalled, Key

MAGIC: Final = b"PU"
VERSION: Final = 2
COLUMN: Final = "\x1e"
"""Stands before each column behind the JSON, which escapes control characters."""
CELL: Final = "\x1f"
NULL: Final = "\x1d"
"""A null among the images of a column."""
APART: Final = 1
"""In place of a column: it stands behind the JSON, in the order of these marks."""
DIGEST_OVER: Final = 32
"""Bytes of an after-image above which a store may keep its digest instead."""

_NULLS: Final = frozenset({type(None)})
_PLAIN: Final = _NULLS | {str}

Images: TypeAlias = Sequence[Image]
"""One field of many rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What undoing one chunk needs. All columns run in step with `keys`.

    `before[f]` and `after[f]` are the images of `fields[f]`; a store may name more fields than
    a spec writes (SQLite adds the whole document around a nested fill). `inserted` are the
    positions of rows that were not there before, in rising order: their before-images mean
    nothing, and `whole[c][i]` is the image of `columns[c]` in the i-th of them.
    """

    fields: tuple[str, ...]
    keys: Sequence[Key]
    before: Sequence[Images]
    after: Sequence[Images]
    inserted: Sequence[int] = ()
    columns: tuple[str, ...] = ()
    whole: Sequence[Images] = ()


def pack(undo: Undo) -> bytes:
    """Press one chunk's undo data into a blob."""
    apart: list[str] = []
    body = {
        "fields": undo.fields,
        "rows": len(undo.keys),
        "keys": _pack_keys(undo.keys),
        "before": [_pack_column(c, apart) for c in undo.before],
        "after": [_pack_column(c, apart) for c in undo.after],
    }
    if undo.inserted:
        body["inserted"] = list(undo.inserted)
        body["columns"] = undo.columns
        body["whole"] = [_pack_column(c, apart) for c in undo.whole]
    return MAGIC + bytes([VERSION]) + _press(COLUMN.join([_json(body), *apart]))


def assemble(
    fields: Sequence[str],
    rows: int,
    keys: Sequence[str],
    before: Sequence[str],
    after: Sequence[str],
) -> bytes:
    """The same blob from columns that a database gave as JSON arrays, without looking inside.

    Each column is the text of an array in step with the others: one a part of the key, one a
    field's images before and after. For rows that exist, without absent paths.
    """
    parts = ",".join(f'["=",{part[1:]}' for part in keys)
    text = (
        f'{{"fields":{json.dumps(list(fields))},"rows":{rows},"keys":[{parts}],'
        f'"before":[{",".join(before)}],"after":[{",".join(after)}]}}'
    )
    return MAGIC + bytes([VERSION]) + _press(text)


def unpack(blob: bytes) -> Undo:
    """Read a blob back. TargetError when a newer Proctor wrote it, or it is damaged."""
    if blob[:2] != MAGIC or blob[2] > VERSION:
        raise TargetError(
            "the undo data of a chunk cannot be read",
            found="it is damaged" if blob[:2] != MAGIC else f"it has version {blob[2]}",
            fix=f"use the Proctor that wrote it; this one reads up to version {VERSION}",
        )
    head, *columns = _text(blob[3:]).split(COLUMN)
    body, apart = json.loads(head), iter(columns)
    rows, inserted = body["rows"], body.get("inserted", ())
    return Undo(
        fields=tuple(body["fields"]),
        keys=_unpack_keys(body["keys"], rows),
        before=[_unpack_column(c, rows, apart) for c in body["before"]],
        after=[_unpack_column(c, rows, apart) for c in body["after"]],
        inserted=inserted,
        columns=tuple(body.get("columns", ())),
        whole=[_unpack_column(c, len(inserted), apart) for c in body.get("whole", ())],
    )


def subset(undo: Undo, positions: Sequence[int]) -> Undo:
    """The same undo data with only these rows, given by position in rising order."""
    keep = {old: new for new, old in enumerate(positions)}
    stays = [(i, keep[old]) for i, old in enumerate(undo.inserted) if old in keep]
    return Undo(
        fields=undo.fields,
        keys=[undo.keys[i] for i in positions],
        before=[[c[i] for i in positions] for c in undo.before],
        after=[[c[i] for i in positions] for c in undo.after],
        inserted=[new for _, new in stays],
        columns=undo.columns,
        whole=[[c[i] for i, _ in stays] for c in undo.whole],
    )


def some(undo: Undo, count: int, fields: int) -> list[Journalled]:
    """At most `count` rows, evenly spread, with their first `fields` images as they were kept."""
    rows = len(undo.keys)
    few = min(count, rows)
    inserted = set(undo.inserted)
    return [
        Journalled(
            key=undo.keys[i],
            before=None if i in inserted else tuple(c[i] for c in undo.before[:fields]),
            after=tuple(c[i] for c in undo.after[:fields]),
        )
        for i in (n * rows // few for n in range(few))
    ]


def digest(image: Image) -> Image:
    """A long after-image as `#` and 16 bytes of its SHA-256 in hex; a short one as it is."""
    if image is None or image is ABSENT or len(image) <= DIGEST_OVER // 4:
        return image
    raw = image.encode("utf-8", "surrogatepass")
    return image if len(raw) <= DIGEST_OVER else "#" + hashlib.sha256(raw).hexdigest()[:32]


def squeeze(body: Any) -> bytes:
    """JSON, compressed at the fastest level; text may hold lone surrogates."""
    return _press(_json(body))


def _json(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), check_circular=False)


def _press(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 1)


def unsqueeze(blob: bytes) -> Any:
    """The other way round."""
    return json.loads(_text(blob))


def _text(blob: bytes) -> str:
    return zlib.decompress(blob).decode("utf-8", "surrogatepass")


def _pack_column(column: Images, apart: list[str]) -> Any:
    """What stands for a column in the JSON; plain text and nulls go `apart`.

    Null for a column of nulls; an object where paths are absent; else a list.
    """
    rows, kinds = len(column), set(map(type, column))
    # By type, for a comparison of each with None or ABSENT costs many times as much.
    if kinds <= _NULLS:
        return None
    if kinds <= _PLAIN:
        nulls = column.count(None) if kinds & _NULLS else 0
        cells = [NULL if v is None else v for v in column] if nulls else column
        joined = CELL.join(cast("Sequence[str]", cells))
        if _is_clean(joined, rows - 1, nulls):
            apart.append(joined)
            return APART
        return column if isinstance(column, list | tuple) else list(column)
    if absent := column.count(ABSENT):
        if absent == rows:
            return 0
        gaps = [i for i, image in enumerate(column) if image is ABSENT]
        return {"absent": gaps, "text": [None if v is ABSENT else v for v in column]}
    return column if isinstance(column, list | tuple) else list(column)


def _is_clean(joined: str, cells: int, nulls: int) -> bool:
    """Whether the separators in a joined column are only those that joining put there."""
    counts = joined.count(CELL), joined.count(NULL), joined.count(COLUMN)
    return counts == (cells, nulls, 0)


def _unpack_column(packed: Any, rows: int, apart: Iterator[str]) -> Images:
    if packed is None:
        return [None] * rows
    if packed == APART:
        joined = next(apart)
        cells: list[Image] = list(joined.split(CELL))
        return [None if v == NULL else v for v in cells] if NULL in joined else cells
    if packed == 0:
        return [ABSENT] * rows
    if isinstance(packed, dict):
        column: list[Image] = packed["text"]
        for i in packed["absent"]:
            column[i] = ABSENT
        return column
    return list(packed)


def _pack_keys(keys: Sequence[Key]) -> list[Any]:
    """One column for each part of the key; whole numbers as steps, which pack to almost nothing."""
    return [_steps(part) for part in zip(*keys, strict=True)]


def _steps(part: tuple[Any, ...]) -> list[Any]:
    if set(map(type, part)) == {int}:
        return ["+", part[0], *map(sub, part[1:], part)]
    return ["=", *part]


def _unpack_keys(parts: Sequence[Sequence[Any]], rows: int) -> list[Key]:
    columns: list[Iterable[Any]] = [
        accumulate(rest) if mark == "+" else rest for mark, *rest in parts
    ]
    return list(zip(*columns, strict=True)) if rows else []
