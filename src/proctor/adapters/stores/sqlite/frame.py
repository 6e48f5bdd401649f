"""A spec made ready for one file: its tables looked up and its SQL composed once."""

from __future__ import annotations

import difflib
import re
import sqlite3

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from proctor.adapters.stores.keyset import behind, order_by, up_to
from proctor.adapters.stores.params import rewrite
from proctor.adapters.stores.sqlite import catalog
from proctor.adapters.stores.sqlite.catalog import Field, Table, ident
from proctor.adapters.stores.sqlite.keys import KeyColumn, named
from proctor.adapters.stores.sqlite.values import adapt
from proctor.adapters.stores.unitbook import axes, home_of
from proctor.errors import TargetError
from proctor.model import Key, Source, Spec

QUERY: Final = "proctor_query"
_AROUND: Final = re.compile(r"\bselect\b|\bin\s*[^\s(]", re.IGNORECASE)
"""What makes an expression look at other rows: a sub-query, or IN with a table's name."""
KEYSET_LOWER, KEYSET_UPPER = "lo", "hi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One field that is written: a column, or a path inside a JSON column."""

    name: str
    column: Field
    path: tuple[str, ...] = ()

    @property
    def json_path(self) -> str:
        """The path as SQLite's JSON functions take it, as a string literal."""
        steps = "".join(f'."{step}"' for step in self.path)
        return "'$" + steps.replace("'", "''") + "'"


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Everything about a spec that does not change from chunk to chunk.

    `reads` are the names that a row given to the author holds. `values` bind the author's
    parameters under names of ours.
    """

    spec: Spec
    source: Table | None
    """None where rows come from a query."""
    target: Table
    key: tuple[KeyColumn, ...]
    reads: tuple[str, ...]
    source_fields: Mapping[str, Field]
    fills: tuple[Fill, ...]
    values: Mapping[str, Any]
    units_kept: bool = False
    """Whether the file remembers units: not before the first run of a grid."""

    @property
    def into(self) -> bool:
        """Whether each row is written to another table than it comes from."""
        return self.spec.into is not None and not self.spec.emits

    @cached_property
    def parts(self) -> list[tuple[str, bool]]:
        """The key as the keyset predicates take it."""
        return [(k.sql, k.descending) for k in self.key]

    @cached_property
    def order(self) -> str:
        """ORDER BY of the scan."""
        return order_by(self.parts)

    @cached_property
    def backwards(self) -> str:
        """ORDER BY of the scan from its end."""
        return order_by(self.parts, backwards=True)

    @cached_property
    def origin(self) -> str:
        """FROM: the source as the author's `where` sees it."""
        if self.source is not None:
            return self.source.sql
        return f"({self.author(self.spec.source)}\n) AS {ident(QUERY)}"

    @cached_property
    def lonely(self) -> bool:
        """Whether writing a row changes no other row of any table, nor what is said of one.

        A sub-query in the author's SQL may ask whether other rows are filled.
        """
        cascades = any(r.on_update not in ("NO ACTION", "RESTRICT") for r in self.target.referred)
        asked = [self.conditions, *(sql for _, sql in self.spec.sql)]
        return not (self.target.triggers or cascades or _AROUND.search(" ".join(asked)))

    @cached_property
    def conditions(self) -> str:
        """The author's own words on which rows are eligible."""
        return f"{self.spec.where or ''} {self.spec.missing or ''}"

    @cached_property
    def target_key(self) -> tuple[str, ...]:
        """The columns of the target that hold the key, in order."""
        return self.spec.into_key or tuple(k.name for k in self.key)

    @property
    def where(self) -> str:
        """The author's condition on the source, in the scope of `origin`."""
        return f"({self.author(self.spec.where)}\n)" if self.spec.where else "1"

    @cached_property
    def eligible(self) -> str:
        """The condition of an eligible row, in the scope of `origin`."""
        ask = [self.where] if self.spec.where else []
        if self.spec.attempts:
            ask.append(self._open)
        if self.spec.emits:
            return " AND ".join(ask)
        missing = self._missing
        if self.into:
            on = " AND ".join(
                f"{self.target.column(t)} = {k.sql}"
                for t, k in zip(self.target_key, self.key, strict=True)
            )
            missing = (
                f"NOT EXISTS (SELECT 1 FROM {self.target.sql} WHERE {on} "
                f"AND NOT coalesce({missing}, 0))"
            )
        return " AND ".join([*ask, missing])

    @cached_property
    def _open(self) -> str:
        """The condition of a unit with attempts left, and of one that emits that is not done."""
        if not self.units_kept:
            return "1"
        place = {k.name: k.sql for k in self.key}
        named = ", ".join(f"'{axis}', {place[axis]}" for axis, _ in axes(self.spec))
        done = "state = 'completed' OR " if self.spec.emits else ""
        return (
            "NOT EXISTS (SELECT 1 FROM proctor_units "
            "WHERE backfill IN (:unit_home, :unit_of) "
            f"AND unit = json_object({named}) AND version = :stamp "
            f"AND ({done}(state = 'failed' AND attempts >= :unit_attempts)))"
        )

    @cached_property
    def _missing(self) -> str:
        """The condition over the target's columns that makes a row eligible."""
        if self.spec.missing:
            some = [f"({self.author(self.spec.missing)}\n)"]
        else:
            some = [self._is_null(f) for f in self.fills if f.name != self.spec.stamp]
        if self.spec.stamp:
            some.append(f"{self.target.column(self.spec.stamp)} IS NOT :stamp")
        return f"({' OR '.join(some)})"

    def _is_null(self, fill: Fill) -> str:
        column = self.target.column(fill.column.name)
        if not fill.path:
            return f"{column} IS NULL"
        return (
            f"(CASE WHEN {column} IS NULL OR NOT json_valid({column}) THEN 1 "
            f"ELSE coalesce(json_type({column}, {fill.json_path}), 'null') = 'null' END)"
        )

    def author(self, sql: str) -> str:
        """An author's SQL with `:name` bound to a name of ours."""
        return rewrite(sql, dict(self.spec.params), ":p_{}".format)

    def between(
        self, after: Key | None, upto: Key | None, *, inclusive: bool = False
    ) -> tuple[str, dict[str, Any]]:
        """The condition `(after, upto]`, or `[after, upto]` where inclusive, and its values."""
        conditions = ["1"]
        values: dict[str, Any] = {}
        if after is not None:
            conditions = [behind(self.parts, ":lo{}".format, inclusive=inclusive)]
            values |= named("lo", after)
        if upto is not None:
            conditions.append(up_to(self.parts, ":hi{}".format))
            values |= named("hi", upto)
        return " AND ".join(conditions), values


def frame_of(connection: sqlite3.Connection, spec: Spec) -> Frame:
    """Look the spec's tables up and compose its SQL; TargetError where they do not fit."""
    values = {f"p_{name}": adapt(value) for name, value in spec.params}
    values["stamp"] = spec.version
    values["unit_attempts"] = spec.attempts
    if spec.kind is Source.TABLE:
        source = catalog.table(connection, spec.source)
        spec = replace(spec, source=source.name)
        fields = dict(source.fields)
        where = source.name
    else:
        source, where = None, QUERY
        query = rewrite(spec.source, dict(spec.params), ":p_{}".format)
        fields = _query_fields(connection, query, values)
    for part in spec.key:
        _have(fields, part.column, where, "key column")
    target = catalog.table(connection, spec.into, role="target table") if spec.into else source
    if target is None:
        raise TargetError("a query cannot be filled", fix="name the table to fill with into=")
    # By the name alone where the tables are of a Proctor that kept no target beside it.
    values |= {"unit_home": home_of(spec.backfill, target.name), "unit_of": spec.backfill}
    apart = spec.into and not spec.only_touches
    if apart and source is not None and target.name == source.name:
        raise TargetError(
            f"into names the source itself, {target.name}", fix="leave into= out to fill its rows"
        )
    for name in spec.into_key:
        _have(target.fields, name, target.name, "key column")
    for name in spec.columns or ():
        _have(fields, name, where, "column")
    for name in spec.preserve:
        _have(target.fields, name, target.name, "column to preserve")
    return Frame(
        spec=spec,
        source=source,
        target=target,
        key=_key(connection, spec, source, fields, values),
        reads=spec.columns if spec.columns is not None else tuple(fields),
        source_fields=fields,
        fills=tuple(_fill(target, name) for name in spec.writes),
        values=values,
        units_kept=bool(
            connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'proctor_units'"
            ).fetchone()
        ),
    )


def _fill(target: Table, name: str) -> Fill:
    """A field to write: a column of that very name, or a path inside a JSON column."""
    if name in target.fields:
        return Fill(name=name, column=target.fields[name])
    head, dot, rest = name.partition(".")
    column = _have(target.fields, head if dot else name, target.name, "field to fill")
    path = tuple(rest.split("."))
    if not all(path) or '"' in rest:
        raise TargetError(
            f"{name} is not a path that can be filled",
            found="an empty step or a quote in it",
            fix="write it as column.step.step",
        )
    return Fill(name=name, column=column, path=path)


def _have(fields: Mapping[str, Field], name: str, where: str, role: str) -> Field:
    if name in fields:
        return fields[name]
    near = difflib.get_close_matches(name, list(fields), n=3, cutoff=0.5)
    there = f"the query has {', '.join(fields)}" if where == QUERY else f"{where} has no {name}"
    raise TargetError(
        f"there is no {role} {name}",
        found=f"{there}; close to it: {', '.join(near)}" if near else there,
        fix="names are matched exactly, case included",
    )


def _query_fields(
    connection: sqlite3.Connection, query: str, values: Mapping[str, Any]
) -> dict[str, Field]:
    try:
        cursor = connection.execute(f"SELECT * FROM ({query}\n) LIMIT 0", values)
    except sqlite3.Error as error:
        raise TargetError("the query is broken", found=str(error)) from error
    names = [str(d[0]) for d in cursor.description or ()]
    if twice := sorted({n for n in names if names.count(n) > 1 or n.endswith(":1")}):
        raise TargetError(
            "the query names a column twice", found=", ".join(twice), fix="give each its own name"
        )
    return {n: Field(name=n, declared="", affinity="BLOB") for n in names}


def _key(
    connection: sqlite3.Connection,
    spec: Spec,
    source: Table | None,
    fields: Mapping[str, Field],
    values: Mapping[str, Any],
) -> tuple[KeyColumn, ...]:
    """The key's columns; their kind as the data has it, for keys that a person types."""
    if source is not None:
        origin, prefix = source.sql, source.sql
    else:
        query = rewrite(spec.source, dict(spec.params), ":p_{}".format)
        origin, prefix = f"({query}\n) AS {ident(QUERY)}", ident(QUERY)
    columns = []
    for part in spec.key:
        sql = f"{prefix}.{ident(part.column)}"
        is_rowid = source is not None and source.rowid == part.column
        kind = "integer" if is_rowid else _first_kind(connection, sql, origin, values)
        number = fields[part.column].affinity in ("INTEGER", "NUMERIC")
        columns.append(
            KeyColumn(
                name=part.column,
                sql=sql,
                descending=part.descending,
                collation=catalog.collation(connection, sql, origin, values),
                kind=kind or ("integer" if number else "text"),
            )
        )
    return tuple(columns)


def _first_kind(
    connection: sqlite3.Connection, column: str, origin: str, values: Mapping[str, Any]
) -> str:
    """The type of the first value that is there; empty where none is."""
    row = connection.execute(
        f"SELECT typeof({column}) FROM {origin} WHERE {column} IS NOT NULL LIMIT 1", values
    ).fetchone()
    return str(row[0]) if row else ""
