"""One chunk's journal held against the rows as they stand: before they are undone, and after."""

from __future__ import annotations

import sqlite3

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proctor.adapters.stores.journal import Undo
from proctor.adapters.stores.sqlite.frame import Frame
from proctor.adapters.stores.sqlite.keys import among, to_keys
from proctor.adapters.stores.sqlite.rows import field_images, target_rows
from proctor.adapters.stores.sqlite.session import Session
from proctor.adapters.stores.sqlite.values import image
from proctor.model import ABSENT, Image, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The journal of one chunk."""

    run: str
    number: int
    blob: bytes


@dataclass(kw_only=True)
class Standing:
    """One chunk's journal held against the rows as they stand.

    `same`, `changed` and `gone` are positions in the journal. `columns` are the columns to put
    back, and `now` holds their stored values for every row that still exists.
    """

    frame: Frame
    undo: Undo
    columns: tuple[str, ...]
    now: dict[Key, tuple[Any, ...]]
    same: list[int]
    changed: list[int]
    gone: list[int]


def standing(
    session: Session, connection: sqlite3.Connection, frame: Frame, journal: Undo
) -> Standing:
    """Compare every row's after-images with what is there."""
    columns = tuple(dict.fromkeys(f.column.name for f in frame.fills))
    extra = tuple(dict.fromkeys((*frame.spec.preserve, *journal.columns)))
    names = tuple(dict.fromkeys((*columns, *extra)))
    now = target_rows(session, connection, frame, names, journal.keys)
    there = [i for i, k in enumerate(journal.keys) if k in now]
    rows = [now[journal.keys[i]] for i in there]
    found: list[list[Image]] = [
        field_images(f, [r[names.index(f.column.name)] for r in rows]) for f in frame.fills
    ]
    wrote = [[c[i] for i in there] for c in journal.after[: len(frame.fills)]]
    whole = dict(zip(journal.inserted, zip(*journal.whole, strict=True), strict=True))
    touched = _touched(session, connection, frame, journal)
    same: list[int] = []
    changed: list[int] = []
    for n, (i, is_, was) in enumerate(
        zip(there, zip(*found, strict=True), zip(*wrote, strict=True), strict=True)
    ):
        holds = is_ == was
        if holds and i in whole:
            row = dict(zip(names, rows[n], strict=True))
            holds = tuple(image(row[c]) for c in journal.columns) == whole[i]
            holds = holds and journal.keys[i] not in touched
        (same if holds else changed).append(i)
    standing = set(there)
    return Standing(
        frame=frame,
        undo=journal,
        columns=names,
        now=now,
        same=same,
        changed=changed,
        gone=[i for i in range(len(journal.keys)) if i not in standing],
    )


def _touched(
    session: Session, connection: sqlite3.Connection, frame: Frame, journal: Undo
) -> set[Key]:
    """Inserted rows into whose later columns, which no image shows, somebody wrote."""
    added = frame.target.as_added(journal.columns)
    keys = [journal.keys[i] for i in journal.inserted]
    if not added:
        return set()
    columns = [frame.target.column(n) for n in frame.target_key]
    found: list[tuple[Any, ...]] = []
    for at in range(0, len(keys), 5000):
        condition, values = among(columns, keys[at : at + 5000])
        found += session.fetch(
            connection,
            f"SELECT {', '.join(columns)} FROM {frame.target.sql} "
            f"WHERE {condition} AND NOT ({' AND '.join(added)})",
            values,
        )
    return set(to_keys(list(zip(*found, strict=True)))) if found else set()


def not_back(
    session: Session, connection: sqlite3.Connection, found: Standing, positions: Sequence[int]
) -> set[int]:
    """Rows of which a field does not hold its before-image after it was put back."""
    frame, journal = found.frame, found.undo
    names = tuple(dict.fromkeys(f.column.name for f in frame.fills))
    now = target_rows(session, connection, frame, names, [journal.keys[i] for i in positions])
    there = [i for i in positions if journal.keys[i] in now]
    wrong = set(positions).difference(there)  # a trigger deleted it, or gave it another key
    for fill, before in zip(frame.fills, journal.before, strict=False):
        at = names.index(fill.column.name)
        stands = field_images(fill, [now[journal.keys[i]][at] for i in there])
        pairs = zip(there, stands, strict=True)
        wrong |= {i for i, image in pairs if _plain(image) != _plain(before[i])}
    return wrong


def _plain(image: Image) -> Image:
    """A place in a document that is null again is as absent as it was."""
    return None if image is ABSENT else image
