"""A whole chunk of `sql=` in two statements: its journal comes out of the database as JSON.

No row is brought into Python. This is only for what is certain: text, whole numbers and nulls,
columns that keep them as they are, expressions that give the same value twice, no trigger.
"""

from __future__ import annotations

import re
import sqlite3

from dataclasses import dataclass
from typing import Any, Final

from proctor.adapters.stores.journal import assemble
from proctor.adapters.stores.sqlite.catalog import ident
from proctor.adapters.stores.sqlite.faults import Refusal, is_refusal
from proctor.adapters.stores.sqlite.frame import Fill, Frame
from proctor.adapters.stores.sqlite.keys import among
from proctor.adapters.stores.sqlite.rows import (
    Layout,
    Token,
    earlier_token,
    framed,
    token_of,
)
from proctor.adapters.stores.sqlite.session import ReadSession, Session
from proctor.adapters.stores.sqlite.values import prepare, value_of
from proctor.model import Lease, Spec

_FICKLE: Final = re.compile(
    r"\b(random\w*|changes|total_changes|last_insert_rowid|now|current_\w+|unixepoch|date\w*|"
    r"time\w*|julianday|strftime|select)\b",
    re.IGNORECASE,
)
"""Words of expressions that may give another value when they are computed a second time."""
_CLOCKED: Final = re.compile(
    r"\(\s*\)|\bnow\b|\bcurrent_(time|date|timestamp)\b|\b(randomblob|strftime)\s*\(",
    re.IGNORECASE,
)
"""What in a condition may choose other rows when it is asked a second time."""
_DOUBTFUL: Final = frozenset("-0123456789X'")
"""First letters of texts that need quotes to be images."""


def expressions(frame: Frame) -> list[str]:
    """The author's expressions in the order of the fields; the stamp comes as a constant."""
    by_name = dict(frame.spec.sql)
    return [
        f"({frame.author(by_name[f.name])}\n)" if f.name in by_name else ":stamp"
        for f in frame.fills
    ]


def scope(session: Session, frame: Frame, lease: Lease) -> tuple[str, dict[str, Any]]:
    """The condition of a chunk's rows and its values."""
    chunk = lease.chunk
    if chunk.keys is not None:
        return among([k.sql for k in frame.key], chunk.keys)
    first = chunk.after is None
    after = session.start_of(chunk.run) if first else chunk.after
    return frame.between(after, chunk.upto, inclusive=first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A chunk's rows and journal, computed before its transaction, and for which moment."""

    token: Token | None
    rows: int
    journal: bytes | None


def foresee(session: ReadSession, spec: Spec, lease: Lease) -> Foreseen | None:
    """Count and journal a chunk on a connection that only reads; None where that is no use."""
    form = framed(session, session.main, spec)
    token = earlier_token(session.writer, form.frame, lease.chunk.run)
    with session.reading(session.main) as connection:
        form = framed(session, connection, spec)
        if lease.chunk.keys is not None or not _is_plain(form.frame):
            return None
        condition, values = _scope(session, form.frame, lease)
        try:
            rows, journal = _journal(session, connection, form.frame, condition, values)
        except Refusal as error:
            if not is_refusal(error):
                raise
            return None  # who writes will look row by row
    return Foreseen(token=token, rows=rows, journal=journal)


def at_once(
    session: Session,
    connection: sqlite3.Connection,
    form: Layout,
    lease: Lease,
    foreseen: Foreseen | None,
) -> tuple[int, bytes | None] | None:
    """Fill a chunk; how many rows and their journal. None where it must be done row by row."""
    frame = form.frame
    if lease.chunk.keys is not None or not _is_plain(frame):
        return None
    condition, values = _scope(session, frame, lease)
    if foreseen is not None and foreseen.token == token_of(session, frame, lease.chunk.run):
        rows, journal = foreseen.rows, foreseen.journal
    else:
        rows, journal = _journal(session, connection, frame, condition, values)
    if rows and journal is None:
        return None
    if not rows:
        return 0, None
    assigned = ", ".join(
        f"{ident(f.column.name)} = {e}"
        for f, e in zip(frame.fills, expressions(frame), strict=True)
    )
    written = connection.execute(
        f"UPDATE OR ABORT {frame.target.sql} SET {assigned} WHERE {condition} AND {frame.eligible}",
        values,
    ).rowcount
    if written != rows:
        raise sqlite3.IntegrityError("the database left rows unwritten")
    return written, journal


def _scope(session: Session, frame: Frame, lease: Lease) -> tuple[str, dict[str, Any]]:
    condition, values = scope(session, frame, lease)
    return condition, {**values, **frame.values, **_stamps(session, frame)}


def _journal(
    session: Session,
    connection: sqlite3.Connection,
    frame: Frame,
    condition: str,
    values: dict[str, Any],
) -> tuple[int, bytes | None]:
    """How many rows there are to write, and their journal; None where one of them is odd.

    First without quotes around images: they are asked for only where some text needs them.
    """
    parts, count = len(frame.key), len(frame.fills)
    for quoted in (False, True):
        try:
            found = session.fetch(connection, _summary(frame, condition, quoted=quoted), values)
        except sqlite3.OperationalError as error:
            if "BLOB" in str(error):
                return 1, None
            raise
        rows, odd, *columns = found[0]
        if odd or not rows:
            return rows, None
        keys, shown = columns[:parts], columns[parts:]
        if quoted or not any(map(_doubtful, shown)):
            return rows, assemble(
                [f.name for f in frame.fills], rows, keys, shown[:count], shown[count:]
            )
    raise AssertionError("quoted images are never in doubt")


def _doubtful(array: str) -> bool:
    """Whether a text in a JSON array needs quotes to be an image.

    Inside a text a quote is escaped: behind a comma it begins an element, and nothing else does.
    """
    elements = array.replace("[", ",", 1).split(',"')[1:]
    return not _DOUBTFUL.isdisjoint({element[:1] for element in elements})


def _is_plain(frame: Frame) -> bool:
    """Whether writing can neither touch another row nor give another value than was computed."""
    spec = frame.spec
    bound = (v for _, v in spec.params if isinstance(v, str))
    return not (
        frame.into
        or spec.preserve
        or frame.target.triggers
        or any(f.path for f in frame.fills)
        or _FICKLE.search(" ".join(sql for _, sql in spec.sql))
        or _CLOCKED.search(" ".join((frame.conditions, *bound)))
    )


def _stamps(session: Session, frame: Frame) -> dict[str, Any]:
    """The stamp as its column will hold it."""
    for fill in frame.fills:
        if fill.name == frame.spec.stamp:
            made = prepare(session.pad, [frame.spec.version], fill.column.affinity, name=fill.name)
            return {"stored_stamp": value_of(made.stored[0])}
    return {}


def _summary(frame: Frame, condition: str, *, quoted: bool) -> str:
    """One row: how many rows, how many odd ones, and every column of the journal as JSON."""
    key = [f"k{i}" for i in range(len(frame.key))]
    old = [f"b{i}" for i in range(len(frame.fills))]
    new = [f"x{i}" for i in range(len(frame.fills))]
    inner = [f"{k.sql} AS {n}" for k, n in zip(frame.key, key, strict=True)]
    inner += [
        f"{frame.target.column(f.column.name)} AS {n}"
        for f, n in zip(frame.fills, old, strict=True)
    ]
    computed = [":stored_stamp" if e == ":stamp" else e for e in expressions(frame)]
    inner += [f"{e} AS {n}" for e, n in zip(computed, new, strict=True)]
    # Equal under the column's collation is not the same, but odd enough to look row by row.
    odd = [f"sum({' AND '.join(f'{b} IS {x}' for b, x in zip(old, new, strict=True))})"]
    kinds = [(k, "'text', 'integer'") for k in key if not _is_rowid(frame, k)]
    shown = [k if _is_rowid(frame, k) else _key_part(k) for k in key]
    after = []
    for fill, b, x in zip(frame.fills, old, new, strict=True):
        is_text = fill.column.affinity == "TEXT"
        # A TEXT column holds text, or blobs, of which SQLite refuses to make JSON; and it makes
        # of a number the very text that joining it to nothing makes.
        kinds += [] if is_text else [(b, "'text', 'integer'")]
        kinds.append((x, _kept(fill)))
        shown.append(_image(b) if quoted else b if is_text else f"{b} || ''")
        after.append(_image(f"({x} || '')" if is_text else x) if quoted else f"{x} || ''")
    shown += after
    odd += [f"count({v}) - sum(typeof({v}) IN ({allowed}))" for v, allowed in kinds]
    arrays = ", ".join(f"json_group_array({v})" for v in shown)
    # The LIMIT keeps the inner query apart: flattened, each expression is computed many times.
    return (
        f"SELECT count(*), {' + '.join(odd)}, {arrays} FROM "
        f"(SELECT {', '.join(inner)} FROM {frame.origin} "
        f"WHERE {condition} AND {frame.eligible} ORDER BY {frame.order} LIMIT -1)"
    )


def _is_rowid(frame: Frame, name: str) -> bool:
    column = frame.key[int(name[1:])].name
    return frame.source is not None and frame.source.rowid == column


def _kept(fill: Fill) -> str:
    """The types of which it is certain what the column makes of them."""
    return {
        "TEXT": "'text', 'integer', 'real'",
        "BLOB": "'text', 'integer'",
        "REAL": "'none'",
    }.get(fill.column.affinity, "'integer'")


def _image(value: str) -> str:
    """What `values.image` gives for text and whole numbers; joined, so that JSON stays text."""
    return (
        f"CASE WHEN typeof({value}) <> 'integer' AND {value} GLOB '[-0-9X'']*' "
        f"THEN '''' || {value} || '''' ELSE {value} || '' END"
    )


def _key_part(value: str) -> str:
    """What `keys.to_part` gives; joined to nothing, so that a number stays a number."""
    marked = f"{value} GLOB '''*' OR {value} GLOB 'X''*'"
    return f"CASE WHEN {marked} THEN '''' || {value} ELSE {value} END"
