"""What a SQLite file says of a table: columns, affinities, keys, triggers, references."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import sqlite3

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from proctor.errors import TargetError

_EVENTS: Final = re.compile(r"\b(DELETE|INSERT|UPDATE)\b")
_DEFERRED: Final = re.compile(r"\bINITIALLY\s+DEFERRED\b", re.IGNORECASE)
_WORDS: Final = frozenset(
    ("NULL", "TRUE", "FALSE", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP")
)
OWN_PREFIX: Final = "proctor_"


def ident(name: str) -> str:
    """A name quoted for SQL, whatever it holds."""
    if "\0" in name:
        raise TargetError("a name holds a NUL character", found=repr(name)[:100])
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column. `affinity` is what SQLite turns values into: see sqlite.org/datatype3."""

    name: str
    declared: str
    affinity: str
    not_null: bool = False
    generated: bool = False
    default: str | None = None
    """As SQL; None where there is none."""
    key_part: int = 0
    """Its place in the primary key, from 1; 0 where it is not in it."""

    @property
    def has_default(self) -> bool:
        """Whether a row that does not name it gets another value than null."""
        return self.default is not None

    @property
    def is_json(self) -> bool:
        """Whether it is declared to hold JSON."""
        return self.declared.upper() in ("JSON", "JSONB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A foreign key: columns of `table` that point to `targets` of `parent`."""

    table: str
    parent: str
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    on_update: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as the file declares it."""

    name: str
    fields: Mapping[str, Field]
    rowid: str | None
    """The column that is the rowid; None where there is none."""
    strict: bool
    uniques: tuple[tuple[tuple[str, str], ...], ...]
    """Unique indexes over plain columns, each a tuple of (column, collation)."""
    triggers: Mapping[str, frozenset[str]]
    """Name of a trigger to the events that may fire it."""
    refers: tuple[Reference, ...]
    referred: tuple[Reference, ...]
    defers: bool
    """A foreign key of it, or onto it, may be checked only at commit."""
    indexes: Mapping[str, tuple[str | None, ...]]
    digest: str

    @cached_property
    def sql(self) -> str:
        """The quoted name."""
        return ident(self.name)

    def column(self, name: str) -> str:
        """A column, qualified: SQLite takes an unknown quoted name for a string."""
        return f"{self.sql}.{ident(name)}"

    def as_added(self, known: Collection[str]) -> list[str]:
        """Conditions that the columns which are not among these hold what adding them gave.

        ALTER TABLE gives every row the default, which it takes only where it is a constant.
        """
        return [
            f"{self.column(name)} IS ({_constant(f.default)}) COLLATE BINARY"
            for name, f in self.fields.items()
            if name not in known and not f.generated
        ]

    def fires(self, event: str) -> bool:
        """Whether a trigger may run when rows are written so."""
        return any(event in events for events in self.triggers.values())

    def unique_by(self, columns: Sequence[str], collations: Mapping[str, str]) -> bool:
        """Whether these columns, compared under these collations, tell every row apart."""
        if self.rowid is not None and self.rowid in columns:
            return True
        return any(
            all(c in columns and coll == collations.get(c, coll) for c, coll in index)
            for index in self.uniques
        )


def _constant(default: str | None) -> str:
    """A default as an expression: SQLite takes a bare word there for a string."""
    if default is None:
        return "NULL"
    word = default.isidentifier() and default.upper() not in _WORDS
    return f"'{default}'" if word else default


def affinity(declared: str, *, strict: bool = False) -> str:
    """The affinity of a declared type, by SQLite's five rules."""
    word = declared.upper()
    if strict and word == "ANY":
        return "BLOB"
    if "INT" in word:
        return "INTEGER"
    if any(part in word for part in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if "BLOB" in word or not word:
        return "BLOB"
    if any(part in word for part in ("REAL", "FLOA", "DOUB")):
        return "REAL"
    return "NUMERIC"


def table(connection: sqlite3.Connection, name: str, *, role: str = "table") -> Table:
    """Look a table up by the name an author wrote; TargetError where it is no table."""
    bare = _find(connection, name, role)
    listed = connection.execute(
        "SELECT type, wr, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?", (bare,)
    ).fetchone()
    kind, without_rowid, strict = listed
    if kind != "table":
        raise TargetError(
            f"{name} is not a table that Proctor can guard",
            found=f"it is a {kind}{'' if kind == 'view' else ' table'}",
            fix="name the table behind it, or read it through query(...) with into=",
        )
    fields = _fields(connection, bare, strict=bool(strict))
    indexes = connection.execute(
        'SELECT name, "unique", origin, partial FROM pragma_index_list(?)', (bare,)
    ).fetchall()
    parts = {i[0]: _index_parts(connection, i[0]) for i in indexes}
    master = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE "
        "AND sql IS NOT NULL ORDER BY type, name",
        (bare,),
    ).fetchall()
    referred = _references(connection, parent=bare)
    return Table(
        name=bare,
        fields=fields,
        rowid=_rowid(fields, indexes, without_rowid=bool(without_rowid)),
        strict=bool(strict),
        uniques=tuple(
            tuple((c, coll) for c, coll in parts[index] if c is not None)
            for index, unique, _origin, partial in indexes
            if unique and not partial and all(c is not None for c, _ in parts[index])
        ),
        triggers={n: _events(sql) for kind, n, sql in master if kind == "trigger"},
        refers=_references(connection, child=bare),
        referred=referred,
        defers=_defers(connection, {bare, *(r.table for r in referred)}),
        indexes={index: tuple(c for c, _ in columns) for index, columns in parts.items()},
        digest=hashlib.sha256(json.dumps(master).encode()).hexdigest(),
    )


def _find(connection: sqlite3.Connection, name: str, role: str) -> str:
    bare = name.removeprefix("main.")
    names = [
        str(n)
        for (n,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        )
    ]
    for wanted in (name, bare):
        if wanted in names:
            return wanted
        if same := [n for n in names if n.lower() == wanted.lower()]:
            return same[0]
    near = difflib.get_close_matches(name, [n for n in names if not n.startswith(OWN_PREFIX)])
    raise TargetError(
        f"there is no {role} {name}",
        found=f"close to it: {', '.join(near)}" if near else "nothing of that name",
        fix="check the name and the database in proctor.toml",
    )


def _fields(connection: sqlite3.Connection, name: str, *, strict: bool) -> dict[str, Field]:
    rows = connection.execute(
        'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', (name,)
    )
    return {
        column: Field(
            name=column,
            declared=declared,
            affinity=affinity(declared, strict=strict),
            not_null=bool(not_null),
            generated=hidden in (2, 3),
            default=default,
            key_part=key_part,
        )
        for column, declared, not_null, default, key_part, hidden in rows
    }


def _index_parts(connection: sqlite3.Connection, index: str) -> tuple[tuple[str | None, str], ...]:
    rows = connection.execute(
        "SELECT name, upper(coll) FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno", (index,)
    )
    return tuple(rows)


def _rowid(
    fields: Mapping[str, Field], indexes: Iterable[tuple[object, ...]], *, without_rowid: bool
) -> str | None:
    """`INTEGER PRIMARY KEY` is the rowid unless an index of its own serves it."""
    key = [f for f in fields.values() if f.key_part]
    own_index = any(origin == "pk" for _, _, origin, _ in indexes)
    if without_rowid or own_index or len(key) != 1 or key[0].declared.upper() != "INTEGER":
        return None
    return key[0].name


def _events(sql: str) -> frozenset[str]:
    """The events that a trigger's head names; too many rather than too few."""
    head = re.split(r"\bBEGIN\b", sql.upper(), maxsplit=1)[0]
    return frozenset(_EVENTS.findall(head))


def _references(
    connection: sqlite3.Connection, *, child: str | None = None, parent: str | None = None
) -> tuple[Reference, ...]:
    rows = connection.execute(
        'SELECT m.name, f.id, f."table", f."from", f."to", f.on_update '
        "FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f "
        "WHERE m.type = 'table' AND (m.name = :child OR f.\"table\" = :parent COLLATE NOCASE) "
        "ORDER BY m.name, f.id, f.seq",
        {"child": child, "parent": parent},
    ).fetchall()
    found: dict[tuple[str, int], list[tuple[str, str, str | None, str]]] = {}
    for name, number, target, column, to, on_update in rows:
        found.setdefault((name, number), []).append((target, column, to, on_update))
    return tuple(
        Reference(
            table=name,
            parent=parts[0][0],
            columns=tuple(p[1] for p in parts),
            targets=tuple(p[2] for p in parts if p[2] is not None)
            or _primary_key(connection, parts[0][0]),
            on_update=parts[0][3],
        )
        for (name, _), parts in found.items()
    )


def _primary_key(connection: sqlite3.Connection, name: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (name,))
    return tuple(n for (n,) in rows)


def _defers(connection: sqlite3.Connection, names: Iterable[str]) -> bool:
    """No pragma says whether a key is deferred: the declaration is searched for the words."""
    return any(
        _DEFERRED.search(sql or "")
        for name in names
        for (sql,) in connection.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)
        )
    )


def collation(
    connection: sqlite3.Connection, column: str, origin: str, values: Mapping[str, object]
) -> str:
    """The collation that comparisons with a column use, read off the compiled statement."""
    rows = connection.execute(
        f"EXPLAIN SELECT +{column} > :proctor_any FROM {origin}", {**values, "proctor_any": 0}
    )
    for row in rows:
        if row[1] in ("Gt", "Le", "Lt", "Ge") and row[5]:
            return str(row[5]).rsplit("-", 1)[0].upper()
    return "BINARY"


def tables_of(connection: sqlite3.Connection, query: str, values: Mapping[str, object]) -> set[str]:
    """The tables that a query reads, as SQLite itself reports them while compiling it."""
    read: set[str] = set()

    def note(action: int, first: str | None, *_rest: str | None) -> int:
        if action == sqlite3.SQLITE_READ and first:
            read.add(first)
        return sqlite3.SQLITE_OK

    connection.set_authorizer(note)
    try:
        connection.execute(f"EXPLAIN SELECT * FROM ({query}\n)", values).fetchall()
    finally:
        connection.set_authorizer(None)
    return {name for name in read if not name.startswith("sqlite_")}
