"""Rows of one write in columns: prepared, written, and their images kept."""

from __future__ import annotations

import sqlite3

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import eq
from typing import Any

from proctor.adapters.stores.journal import Undo, digest, pack
from proctor.adapters.stores.sqlite import documents
from proctor.adapters.stores.sqlite.preserving import put_back
from proctor.adapters.stores.sqlite.rows import Layout, field_images, target_rows
from proctor.adapters.stores.sqlite.session import Session
from proctor.adapters.stores.sqlite.values import (
    Unstorable,
    adapt,
    as_text,
    bindable,
    images,
    prepare,
    to_json,
)
from proctor.adapters.stores.sqlite.writing import Batch, write, write_carefully
from proctor.model import Bucket, Image, Issue, Key, Settled

INCOMPLETE = "a row is only inserted when every field is there; missing: {}"


@dataclass(kw_only=True)
class Work:
    """Rows to write, in columns: all lists run in step with `keys`.

    `raw` are the rows as selected, `before` the images of the fields (None where an `into`
    row is absent), `values` one column a field.
    """

    session: Session
    connection: sqlite3.Connection
    form: Layout
    careful: bool
    keys: list[Key]
    raw: Sequence[Sequence[Any]]
    before: Sequence[tuple[Image, ...] | None]
    values: list[list[Any]]
    issues: list[Issue] = field(default_factory=list)
    written: int = 0
    undo: bytes | None = None

    def refuse(self, bad: dict[int, str], bucket: Bucket = Bucket.FAILED) -> None:
        """Take rows out, listed with their reasons."""
        if not bad:
            return
        self.issues += [
            Issue(key=self.keys[i], bucket=bucket, reason=why) for i, why in sorted(bad.items())
        ]
        self.keep([i for i in range(len(self.keys)) if i not in bad])

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with these rows only."""
        if len(positions) == len(self.keys):
            return
        self.keys = [self.keys[i] for i in positions]
        self.raw = [self.raw[i] for i in positions]
        self.before = [self.before[i] for i in positions]
        self.values = [[c[i] for i in positions] for c in self.values]


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What becomes of the rows of a work: columns to set and the images that come of them."""

    names: Sequence[str]
    columns: list[list[Any]]
    after: list[list[Image]]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A work decided ahead of its transaction, and packed, for rows that stand as they were read.

    `schema` is the version of the file's schema that it was decided for.
    """

    work: Work
    decided: Decided
    schema: int
    rows: int
    """Rows that the page had to write."""

    def fits(self, work: Work, schema: int) -> bool:
        """Whether this is what would be decided now: no row fell out, and none is looked at."""
        return not work.careful and len(work.keys) == self.rows and schema == self.schema

    def anew(self, work: Work) -> Work:
        """The same rows for the transaction that `work` is in."""
        return replace(
            work,
            keys=self.work.keys,
            raw=self.work.raw,
            before=self.work.before,
            values=self.work.values,
            issues=list(self.work.issues),
            undo=self.work.undo,
        )


def decide(work: Work) -> Decided:
    """Prepare values, and take out rows that are incomplete or would not change."""
    frame = work.form.frame
    names, columns, after = _prepared(work)
    if frame.into:
        incomplete = {
            i: INCOMPLETE.format(", ".join(n for n, v in _named_row(work, i) if v is None))
            for i, before in enumerate(work.before)
            if before is None and any(v is None for _, v in _named_row(work, i))
        }
        columns, after = _without(work, incomplete, Bucket.FAILED, columns, after)
    held = list(map(eq, zip(*after, strict=True), work.before))
    same = {i: "" for i, is_same in enumerate(held) if is_same} if True in held else {}
    columns, after = _without(work, same, Bucket.UNCHANGED, columns, after)
    return Decided(names=names, columns=columns, after=after)


def make_ready(work: Work, schema: int) -> Ready:
    """Decide a work, and pack its journal where the database has no say in it."""
    rows = len(work.keys)
    decided = decide(work)
    if work.keys and None not in work.before and not work.form.frame.target.fires("UPDATE"):
        work.undo = _journal(work, decided)
    return Ready(work=work, decided=decided, schema=schema, rows=rows)


def write_work(work: Work, decided: Decided | None = None) -> None:
    """Write the rows whose images would change and keep their images; list the others.

    `decided` where that was done ahead, together with the journal if it could be foreseen.
    """
    decided = decided or decide(work)
    existing = [i for i, before in enumerate(work.before) if before is not None]
    absent = [i for i, before in enumerate(work.before) if before is None]
    batch = Batch(
        table=work.form.frame.target,
        key_names=work.form.frame.target_key,
        names=decided.names,
        keys=work.keys,
        columns=decided.columns,
    )
    refused = _run(work, batch if not absent else batch.some(existing), existing)
    if absent:
        refused |= _run(work, replace(batch.some(absent), insert=True), absent)
    columns, after = _without(work, refused, Bucket.FAILED, decided.columns, decided.after)
    work.written = len(work.keys)
    if work.keys and work.undo is None:
        work.undo = _journal(work, replace(decided, columns=columns, after=after))


def unstorable(form: Layout, settled: Settled) -> dict[int, str]:
    """Which rows of a page cannot be stored, by position in it; what `_prepared` would find."""
    bad: dict[int, str] = {}
    frame, page = form.frame, settled.page
    names = [fill.name for fill in frame.fills]
    for at, values in zip(settled.index, settled.values, strict=True):
        for fill, value in zip(frame.fills, values, strict=True):
            try:
                if fill.path:
                    document = page.versions[at][form.at(fill.column.name)]
                    bindable(documents.put(document, fill.path, to_json(value)))
                else:
                    bindable(adapt(value))
            except Unstorable as error:
                bad[at] = f"{fill.name}: {error}"
        missing = [name for name, value in zip(names, values, strict=True) if value is None]
        if missing and page.images[at] is None:
            bad.setdefault(at, INCOMPLETE.format(", ".join(missing)))
    return bad


def _named_row(work: Work, i: int) -> list[tuple[str, Any]]:
    return [(f.name, c[i]) for f, c in zip(work.form.frame.fills, work.values, strict=True)]


def _without(
    work: Work,
    bad: dict[int, str],
    bucket: Bucket,
    columns: list[list[Any]],
    after: list[list[Image]],
) -> tuple[list[list[Any]], list[list[Image]]]:
    """Take rows out of the work and of the columns that run in step with it."""
    if not bad:
        return columns, after
    stay = [i for i in range(len(work.keys)) if i not in bad]
    work.refuse(bad, bucket)
    return [[c[i] for i in stay] for c in columns], [[c[i] for i in stay] for c in after]


def _prepared(work: Work) -> tuple[list[str], list[list[Any]], list[list[Image]]]:
    """Columns to set with what to bind, and the images that the fields will have."""
    frame = work.form.frame
    bad: dict[int, str] = {}
    columns: dict[str, list[Any]] = {}
    after: list[list[Image]] = []
    for fill, values in zip(frame.fills, work.values or [[] for _ in frame.fills], strict=True):
        name = fill.column.name
        if not fill.path:
            made = prepare(
                work.session.pad,
                values,
                fill.column.affinity,
                name=fill.name,
                careful=work.careful,
            )
            columns[name] = made.bound
            after.append(made.stored)
            bad |= made.bad
            continue
        at = work.form.at(name)
        documents_ = columns.setdefault(name, [r[at] for r in work.raw])
        texts: list[Image] = []
        for i, value in enumerate(values):
            try:
                text = to_json(value)
                documents_[i] = documents.put(documents_[i], fill.path, text)
            except Unstorable as error:
                bad[i] = f"{fill.name}: {error}"
                text = ""
            texts.append(text)
        after.append(texts)
    if work.careful:
        for name in dict.fromkeys(f.column.name for f in frame.fills if f.path):
            for i, document in enumerate(columns[name]):
                try:
                    columns[name][i] = bindable(document)
                except Unstorable as error:
                    bad.setdefault(i, f"{name}: {error}")
    kept, images_ = _without(work, bad, Bucket.FAILED, list(columns.values()), after)
    return list(columns), kept, images_


def _run(work: Work, batch: Batch, positions: Sequence[int]) -> dict[int, str]:
    """Write a batch; positions in the work of rows that were refused."""
    if not batch.keys:
        return {}
    preserve = work.form.frame.spec.preserve if not batch.insert else ()
    was: list[tuple[Any, ...]] = []
    if preserve:
        places = [work.form.at(n) for n in preserve]
        was = [tuple(work.raw[i][p] for p in places) for i in positions]
    before = dict(zip(batch.keys, was, strict=True)) if preserve else {}

    def after(some: Batch) -> None:
        put_back(work.session, work.connection, work.form.frame, some.keys, before)

    if not work.careful:
        write(work.connection, batch)
        after(batch)
        return {}
    refused = write_carefully(work.connection, batch, after=after)
    return {positions[i]: why for i, why in refused.items()}


def _journal(work: Work, decided: Decided) -> bytes:
    """The undo blob: images before and after, whole documents and whole inserted rows."""
    frame = work.form.frame
    names, columns, after = decided.names, decided.columns, decided.after
    fields = [f.name for f in frame.fills]
    inserted = [i for i, before in enumerate(work.before) if before is None]
    if frame.target.fires("UPDATE") or (inserted and frame.target.fires("INSERT")):
        after, columns = _as_stored(work, names)
    empty = (None,) * len(fields)
    old = [b if b is not None else empty for b in work.before] if inserted else list(work.before)
    before_columns: list[Sequence[Image]] = list(zip(*old, strict=True))
    after_columns: list[Sequence[Image]] = list(after)
    nested = dict.fromkeys(f.column.name for f in frame.fills if f.path)
    for name in nested:
        at = work.form.at(name)
        fields.append(name)
        before_columns.append(images([r[at] for r in work.raw]))
        made = [as_text(v) for v in columns[list(names).index(name)]]
        after_columns.append([digest(v) for v in images(made)])
    whole: list[Sequence[Image]] = []
    every = tuple(frame.target.fields)
    if inserted:
        keys = [work.keys[i] for i in inserted]
        found = target_rows(work.session, work.connection, frame, every, keys)
        whole = [images(c) for c in zip(*(found[k] for k in keys), strict=True)]
    return pack(
        Undo(
            fields=tuple(fields),
            keys=work.keys,
            before=before_columns,
            after=after_columns,
            inserted=inserted,
            columns=every if inserted else (),
            whole=whole,
        )
    )


def _as_stored(work: Work, names: Sequence[str]) -> tuple[list[list[Image]], list[list[Any]]]:
    """What the database holds after triggers have run."""
    frame = work.form.frame
    found = target_rows(work.session, work.connection, frame, names, work.keys)
    nothing = (None,) * len(names)
    columns = [list(c) for c in zip(*(found.get(k, nothing) for k in work.keys), strict=True)]
    place = {n: columns[i] for i, n in enumerate(names)}
    return [field_images(f, place[f.column.name]) for f in frame.fills], columns
