"""Take one chunk back, or see that it holds, from its journal alone."""

from __future__ import annotations

import sqlite3
import time

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from proctor.adapters.stores.journal import digest, pack, subset, unpack
from proctor.adapters.stores.records import (
    pack_issues,
    time_from_text,
    time_to_text,
    undone_from_json,
    undone_to_json,
)
from proctor.adapters.stores.sqlite import documents, tables, units
from proctor.adapters.stores.sqlite.catalog import ident
from proctor.adapters.stores.sqlite.control import known
from proctor.adapters.stores.sqlite.faults import Refusal, is_refusal, reason
from proctor.adapters.stores.sqlite.frame import Frame
from proctor.adapters.stores.sqlite.keys import bound, compare, ranks
from proctor.adapters.stores.sqlite.preserving import put_back
from proctor.adapters.stores.sqlite.rows import Token, framed
from proctor.adapters.stores.sqlite.session import ReadSession, Session, utc_now
from proctor.adapters.stores.sqlite.standing import Kept, Standing, not_back, standing
from proctor.adapters.stores.sqlite.values import bindable, images, value_of
from proctor.adapters.stores.sqlite.writing import Batch, write, write_carefully
from proctor.model import ABSENT, Bucket, Issue, Key, Run, Span, Spec, Undone
from proctor.ports import UndoTerms

CHANGED = "somebody else changed it after the run wrote it"
GONE = "it no longer exists"
REFERENCED = "other rows refer to it: {}"
TRIGGER = "a trigger changed the value on its way back"
KEPT = "the database ignored the delete: a trigger says RAISE(IGNORE)"


def spec_of(connection: sqlite3.Connection, run: str) -> Spec:
    """The spec that a run was begun with."""
    known(connection, run)
    id_ = tables.find_run(connection, run).id
    return units.spec_of_run(connection, id_)


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """A chunk held against the rows before its transaction, and for which moment of the file."""

    token: Token | None
    blob: bytes
    found: Standing
    batch: Batch

    def stands(self, session: Session, connection: sqlite3.Connection, blob: bytes) -> bool:
        """Whether nobody has committed anything since, and the journal is still that one."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        return self.token == (version, session.commits_made) and self.blob == blob


def foresee(session: ReadSession, run: Run, number: int, terms: UndoTerms) -> Foreseen | None:
    """Read a chunk's journal and rows on a connection that only reads; None where none is left."""
    version, commits = session.writer.version_seen, session.writer.commits_made
    with session.reading(session.main) as connection:
        kept = _kept(connection, run, number, terms)
        found = None if kept is None else _chosen(session, connection, kept, terms)
    if kept is None or found is None:
        return None
    return Foreseen(
        token=None if version is None else (version, commits),
        blob=kept.blob,
        found=found,
        batch=_batch(found, _existing(found)),
    )


def undo(
    session: Session, run: Run, number: int, terms: UndoTerms, foreseen: Foreseen | None = None
) -> Undone:
    """Undo one applied chunk; a careful second try finds the rows that are refused."""
    began = time.monotonic()
    if terms.dry_run:
        with session.reading(session.quiet) as connection:
            kept = _kept(connection, run, number, terms)
            found = None if kept is None else _chosen(session, connection, kept, terms)
            if found is not None and terms.whole:  # newest first, so later units go first
                units.overlaid(connection, run.id, number, found)
            done = Undone() if found is None else _forecast(connection, found)
    else:
        try:
            done = _undo(session, run, number, terms, foreseen)
        except Refusal as error:
            if not is_refusal(error):
                raise
            done = _undo(session, run, number, terms, None, careful=True)
    return replace(done, took=timedelta(seconds=time.monotonic() - began))


def _undo(
    session: Session,
    run: Run,
    number: int,
    terms: UndoTerms,
    foreseen: Foreseen | None,
    *,
    careful: bool = False,
) -> Undone:
    with session.writing(run.id) as connection:
        connection.execute(
            "UPDATE proctor_runs SET heartbeat = ? WHERE id = ?", (time_to_text(utc_now()), run.id)
        )
        kept = _kept(connection, run, number, terms)
        if kept is None:
            return Undone()
        if foreseen is not None and foreseen.stands(session, connection, kept.blob):
            found, batch = foreseen.found, foreseen.batch
        else:
            now = _chosen(session, connection, kept, terms)
            if now is None:
                return Undone()
            found, batch = now, _batch(now, _existing(now))
        blocked = _restore(session, connection, found, batch, careful=careful)
        undone = _books(found, blocked)
        if terms.whole:
            _mark(connection, run, number)
        else:
            _keep_rest(connection, run, number, found, blocked)
        _keep_books(connection, run, number, undone, found.undo.keys)
        spec = units.spec_of_run(connection, run.id)
        if spec.attempts:
            back = [found.undo.keys[i] for i in found.same]
            units.take_back(connection, spec, run.id, number, back)
        return undone


def _kept(connection: sqlite3.Connection, run: Run, number: int, terms: UndoTerms) -> Kept | None:
    """The journal of a chunk that the terms cover; None where nothing is left to undo."""
    row = connection.execute(
        "SELECT undo, applied FROM proctor_chunks WHERE run = ? AND number = ? "
        "AND state = 'applied' AND NOT undone AND undo IS NOT NULL",
        (run.id, number),
    ).fetchone()
    if row is None:
        return None
    blob: bytes = row[0]
    applied = time_from_text(row[1])
    early = terms.since is not None and applied is not None and applied < terms.since
    return None if early else Kept(run=run.id, number=number, blob=blob)


def _chosen(
    session: Session, connection: sqlite3.Connection, kept: Kept, terms: UndoTerms
) -> Standing | None:
    """The rows of a journal that the terms cover, as they stand; None where there are none.

    Where units emit, the terms speak of units: all rows of one are covered, or none.
    """
    spec = units.spec_of_run(connection, kept.run)
    frame = framed(session, connection, spec).frame
    journal = unpack(kept.blob)
    if spec.emits:
        unit = units.unit_of_chunk(connection, kept.run, kept.number)
        positions = list(range(len(journal.keys)))
        positions = positions if any(True for _ in covered(frame, [unit], terms.span)) else []
        frame = framed(session, connection, spec.written).frame
    else:
        positions = list(covered(frame, journal.keys, terms.span))
    if not positions:
        return None
    return standing(
        session, connection, frame, journal if terms.span.whole else subset(journal, positions)
    )


def _existing(found: Standing) -> list[int]:
    """Positions of the rows to put back; those that the run inserted are deleted instead."""
    inserted = set(found.undo.inserted)
    return [i for i in found.same if i not in inserted]


def covered(frame: Frame, keys: Sequence[Key], span: Span) -> Iterator[int]:
    """The positions of the keys that a span covers."""
    wanted = {ranks(frame.key, k) for k in span.keys}
    for i, key in enumerate(keys):
        if wanted and ranks(frame.key, key) not in wanted:
            continue
        if span.start is not None and compare(frame.key, key, span.start) < 0:
            continue
        if span.stop is not None and compare(frame.key, key, span.stop) > 0:
            continue
        yield i


def _forecast(connection: sqlite3.Connection, found: Standing) -> Undone:
    inserted = set(found.undo.inserted)
    blocked = {
        i: REFERENCED.format(who)
        for i in found.same
        if i in inserted and (who := _referrer(connection, found, found.undo.keys[i]))
    }
    return _books(found, blocked)


def _books(found: Standing, blocked: dict[int, str]) -> Undone:
    keys = found.undo.keys
    left = [Issue(key=keys[i], bucket=Bucket.CONFLICTED, reason=CHANGED) for i in found.changed]
    left += [Issue(key=keys[i], bucket=Bucket.GONE, reason=GONE) for i in found.gone]
    left += [
        Issue(key=keys[i], bucket=Bucket.FAILED, reason=why) for i, why in sorted(blocked.items())
    ]
    return Undone(
        written=len(keys),
        restored=len(found.same) - len(blocked),
        changed=len(found.changed),
        gone=len(found.gone),
        blocked=len(blocked),
        left=tuple(left),
    )


def _restore(
    session: Session,
    connection: sqlite3.Connection,
    found: Standing,
    batch: Batch,
    *,
    careful: bool,
) -> dict[int, str]:
    """Put before-images back and delete rows that were inserted; positions left, with reasons."""
    inserted = set(found.undo.inserted)
    mine = [i for i in found.same if i in inserted]
    blocked = _delete(connection, found, mine)
    while blocked and len(blocked) < len(mine):  # what referred to them may be gone by now
        mine = sorted(blocked)
        blocked = _delete(connection, found, mine)
    positions = _existing(found)
    frame = found.frame
    preserve = frame.spec.preserve
    places = [found.columns.index(n) for n in preserve]
    before = {k: [found.now[k][p] for p in places] for k in batch.keys} if preserve else {}

    position = dict(zip(batch.keys, positions, strict=True))

    def after(some: Batch) -> None:
        put_back(session, connection, frame, some.keys, before)
        if frame.target.fires("UPDATE"):
            again = [position[key] for key in some.keys]
            if not_back(session, connection, found, again):
                raise sqlite3.IntegrityError(TRIGGER)

    if careful:
        refused = write_carefully(connection, batch, after=after)
        blocked |= {positions[i]: why for i, why in refused.items()}
        if frame.target.fires("UPDATE"):  # also by the write of a later row
            back = [i for i in positions if i not in blocked]
            blocked |= dict.fromkeys(not_back(session, connection, found, back), TRIGGER)
        return blocked
    write(connection, batch)
    after(batch)
    return blocked


def _batch(found: Standing, positions: Sequence[int]) -> Batch:
    """The rows to put back, with the stored values that they had."""
    frame, journal = found.frame, found.undo
    columns: dict[str, list[Any]] = {}
    for fill, before in zip(frame.fills, journal.before, strict=False):
        if not fill.path:
            columns[fill.column.name] = [bindable(value_of(before[i])) for i in positions]
    for name in dict.fromkeys(f.column.name for f in frame.fills if f.path):
        columns[name] = [bindable(_document(found, name, i)) for i in positions]
    return Batch(
        table=frame.target,
        key_names=frame.target_key,
        names=list(columns),
        keys=[journal.keys[i] for i in positions],
        columns=list(columns.values()),
    )


def _document(found: Standing, name: str, i: int) -> Any:
    """A whole document as it was; where others changed it since, only our paths go back."""
    journal = found.undo
    at = journal.fields.index(name, len(found.frame.fills))
    original = value_of(journal.before[at][i])
    now = found.now[journal.keys[i]][found.columns.index(name)]
    if digest(images([now])[0]) == journal.after[at][i]:
        return original
    text = now
    for fill, before in zip(found.frame.fills, journal.before, strict=False):
        if fill.column.name != name or not fill.path:
            continue
        was = before[i]
        if was is ABSENT or was is None:
            text = documents.take_out(text, fill.path, original)
        else:
            text = documents.put(text, fill.path, str(was))
    return text


def _delete(
    connection: sqlite3.Connection, found: Standing, positions: Sequence[int]
) -> dict[int, str]:
    """Delete inserted rows that nothing refers to."""
    frame = found.frame
    where = " AND ".join(f"{frame.target.column(n)} = ?" for n in frame.target_key)
    blocked: dict[int, str] = {}
    for i in positions:
        key = found.undo.keys[i]
        if who := _referrer(connection, found, key):
            blocked[i] = REFERENCED.format(who)
            continue
        connection.execute("SAVEPOINT proctor_row")
        try:
            sql = f"DELETE FROM {frame.target.sql} WHERE {where}"
            if connection.execute(sql, bound(key)).rowcount != 1:
                blocked[i] = KEPT
        except Refusal as error:
            if not is_refusal(error):
                raise
            connection.execute("ROLLBACK TO proctor_row")
            blocked[i] = reason(error)
        connection.execute("RELEASE proctor_row")
    return blocked


def _referrer(connection: sqlite3.Connection, found: Standing, key: Key) -> str:
    """A table with rows that refer to this one; a cascade would delete them, so it counts."""
    row = dict(zip(found.columns, found.now[key], strict=True))
    for reference in found.frame.target.referred:
        values = [row[t] for t in reference.targets if t in row]
        if len(values) != len(reference.columns) or any(v is None for v in values):
            continue
        where = " AND ".join(f"{ident(c)} = ?" for c in reference.columns)
        there = connection.execute(
            f"SELECT 1 FROM {ident(reference.table)} WHERE {where} LIMIT 1", values
        ).fetchone()
        if there:
            return reference.table
    return ""


def _mark(connection: sqlite3.Connection, run: Run, number: int) -> None:
    connection.execute(
        "UPDATE proctor_chunks SET undone = 1 WHERE run = ? AND number = ?", (run.id, number)
    )


def _keep_rest(
    connection: sqlite3.Connection,
    run: Run,
    number: int,
    found: Standing,
    blocked: dict[int, str],
) -> None:
    """After a part was undone: keep the journal of the rows that were not restored."""
    (blob,) = connection.execute(
        "SELECT undo FROM proctor_chunks WHERE run = ? AND number = ?", (run.id, number)
    ).fetchone()
    keys = found.undo.keys
    done = {keys[i] for i in found.same if i not in blocked}
    journal = unpack(blob)
    rest = [i for i, k in enumerate(journal.keys) if k not in done]
    connection.execute(
        "UPDATE proctor_chunks SET undone = ?, undo = ?, undo_rows = ? "
        "WHERE run = ? AND number = ?",
        (int(not rest), pack(subset(journal, rest)) if rest else blob, len(rest), run.id, number),
    )


def _keep_books(
    connection: sqlite3.Connection, run: Run, number: int, undone: Undone, keys: Sequence[Key]
) -> None:
    """What undoing the chunk has come to, on its row."""
    where = "WHERE run = ? AND number = ?"
    counts, left = connection.execute(
        f"SELECT undo_books, undo_left FROM proctor_chunks {where}", (run.id, number)
    ).fetchone()
    books = undone_from_json(counts, left).then(undone, keys)
    connection.execute(
        f"UPDATE proctor_chunks SET undo_books = ?, undo_left = ? {where}",
        (undone_to_json(books), pack_issues(books.left), run.id, number),
    )


def verify(session: Session, run: Run, number: int) -> Undone:
    """Whether what one chunk wrote still stands."""
    with session.reading(session.quiet) as connection:
        kept = _kept(connection, run, number, UndoTerms())
        found = None if kept is None else _chosen(session, connection, kept, UndoTerms())
        if found is None:
            return Undone()
        units.overlaid(connection, run.id, number, found)
        return _books(found, {})
