"""What the system catalogues say of a table: columns, keys, triggers, privileges, in one trip."""

from __future__ import annotations

import difflib
import hashlib
import json

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import psycopg

from proctor.adapters.stores.postgres import catalog_sql
from proctor.adapters.stores.postgres.literal import ident, text
from proctor.adapters.stores.postgres.pool import Transaction
from proctor.errors import TargetError

DEFAULT_COLLATION: Final = 'pg_catalog."default"'
BEFORE, INSERT, UPDATE, ROW = 2, 4, 16, 1
"""Bits of pg_trigger.tgtype."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRef:
    """A base type: domains are taken off. `category` and `kind` as in pg_type."""

    schema: str
    name: str
    category: str
    kind: str
    delimiter: str = ","
    element: TypeRef | None = None

    @property
    def sql(self) -> str:
        """The type's name without a modifier, so that a cast never cuts a value."""
        return f"{ident(self.schema)}.{ident(self.name)}"

    @property
    def is_text(self) -> bool:
        """Whether text is assigned as it is; an explicit cast would cut what is too long."""
        return self.category == "S" and self.name != "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of a table or a query."""

    name: str
    declared: str
    type: TypeRef
    typmod: int = -1
    domain: bool = False
    not_null: bool = False
    generated: bool = False
    identity: str = ""
    default: str | None = None
    collation: str | None = None
    """By which texts are ordered, as SQL; None for a type that has no collation."""
    deterministic: bool = True
    readable: bool = True
    writable: bool = True

    @property
    def padded(self) -> bool:
        """Whether trailing blanks mean nothing: char(n), but not bpchar without a length."""
        return self.type.name == "bpchar" and self.typmod >= 0

    @property
    def shape(self) -> tuple[object, ...]:
        """What an approval covers of it."""
        own = () if self.collation in (None, DEFAULT_COLLATION) else (self.collation,)
        return (self.declared, self.not_null, self.default, *own)

    def assigned(self, sql: str) -> str:
        """Text as this column's input function takes it, for SET and INSERT."""
        return sql if self.type.is_text else f"{sql}::{self.type.sql}"

    def compared(self, sql: str) -> str:
        """Text as a value to compare with this column, or in its order with another such value."""
        return self.collated(f"{sql}::{self.type.sql}")

    def collated(self, sql: str) -> str:
        """A value under this column's collation: two that were sent have the database's own."""
        return sql if self.collation is None else f"{sql} COLLATE {self.collation}"

    def image(self, column: str) -> str:
        """The column as the server prints it; null stays null."""
        if self.type.name == "bpchar" and self.typmod < 0:
            # A cast to text would take trailing blanks away, which this column keeps.
            return f"CASE WHEN {column} IS NOT NULL THEN pg_catalog.format('%s', {column}) END"
        # Bytes decide, and never a collation that takes different texts for equal ones.
        bytewise = ' COLLATE pg_catalog."C"' if self.type.category == "S" else ""
        return f"{column}::pg_catalog.text{bytewise}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index; `columns` are None where it covers an expression."""

    name: str
    columns: tuple[str | None, ...]
    descending: tuple[bool, ...]
    touches: frozenset[str]
    unique: bool
    usable: bool
    """Valid, whole (not partial) and over plain columns."""
    immediate: bool
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger of the user's; constraint triggers of foreign keys are not among them."""

    name: str
    bits: int
    function: str
    columns: tuple[str, ...]
    definition: str

    @property
    def on_update(self) -> bool:
        """Whether an UPDATE fires it."""
        return bool(self.bits & UPDATE)

    @property
    def on_insert(self) -> bool:
        """Whether an INSERT fires it."""
        return bool(self.bits & INSERT)

    @property
    def before(self) -> bool:
        """Whether it can change the row on its way in."""
        return bool(self.bits & BEFORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A foreign key of another table onto this one."""

    name: str
    table: str
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    on_update: str


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table as the catalogues know it."""

    oid: int
    schema: str
    name: str
    kind: str
    fields: Mapping[str, Field]
    indexes: tuple[Index, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    references: tuple[Reference, ...] = ()
    heirs: tuple[str, ...] = ()
    """Tables that inherit from it by the old way: one key may then stand in several of them."""
    rules: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    publications: tuple[str, ...] = ()
    secured: bool = False
    """Row-level security applies to this role."""
    readable: bool = True
    insertable: bool = True
    rows: float = 0.0
    pages: int = 0

    @cached_property
    def sql(self) -> str:
        """The qualified name."""
        return f"{ident(self.schema)}.{ident(self.name)}"

    @cached_property
    def alias(self) -> str:
        """The bare name: what an author's SQL may call the table."""
        return ident(self.name)

    def column(self, name: str) -> str:
        """A column of this table in SQL."""
        return f"{self.alias}.{ident(name)}"

    @property
    def digest(self) -> str:
        """Of columns, types, constraints and triggers: what an approval covers."""
        body = [
            [self.schema, self.name],
            [[f.name, *f.shape] for f in self.fields.values()],
            sorted(self.constraints),
            sorted(t.definition for t in self.triggers),
        ]
        return hashlib.sha256(json.dumps(body).encode()).hexdigest()

    def unique_by(self, columns: Sequence[str]) -> Index | None:
        """An index that makes rows unique by some or all of these columns."""
        have = set(columns)
        for index in self.indexes:
            if index.unique and index.usable and have.issuperset(c or "" for c in index.columns):
                return index
        return None


async def relation(work: Transaction, name: str, *, role: str = "table") -> Relation:
    """Look a table up by the name an author wrote; TargetError where it is no table."""
    splits = [(name[:i], name[i + 1 :]) for i, c in enumerate(name) if c == "."]
    named = " OR ".join(
        f"(n.nspname = {text(s)} AND c.relname = {text(t)})" for s, t in splits if s and t
    )
    rows = await work.fetch(catalog_sql.find(text(name), named or "false"))
    if not rows:
        raise await _unknown(work, name, role)
    oid, kind = rows[0]
    if kind not in ("r", "p"):
        words = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
        raise TargetError(
            f"{name} is not a table that Proctor can guard",
            found=f"it is {words.get(kind, 'no table')}: its rows carry no version of their own",
            fix="name the table behind it, or read it through query(...) with into=",
        )
    (document,) = (await work.fetch(catalog_sql.describe(int(oid))))[0]
    return _relation(document)


async def _unknown(work: Transaction, name: str, role: str) -> TargetError:
    rows = await work.fetch(catalog_sql.VISIBLE)
    near = difflib.get_close_matches(name, [r[0] for r in rows], n=3, cutoff=0.5)
    return TargetError(
        f"there is no {role} {name}",
        found=f"close to it: {', '.join(near)}" if near else "nothing of that name",
        fix="names are matched exactly, case included; write schema.table outside the search path",
    )


async def query_fields(work: Transaction, query: str) -> dict[str, Field]:
    """The columns of a SELECT; TargetError where it is broken or names one twice."""
    try:
        described = await work.describe(f"SELECT * FROM ({query}\n) AS proctor_query LIMIT 0")
    except psycopg.errors.DuplicateAlias as error:
        raise TargetError("the query names a column twice", found=str(error.sqlstate)) from None
    values = ", ".join(
        f"({number}, {text(name)}, {oid}::pg_catalog.oid, {mod})"
        for number, (name, oid, mod) in enumerate(described)
    )
    if not values:
        raise TargetError("the query has no columns")
    fields = [_field(d) for (d,) in await work.fetch(catalog_sql.types_of(values))]
    fields = await _collated(work, query, fields)
    names = [f.name for f in fields]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise TargetError(
            "the query names a column twice", found=", ".join(twice), fix="give each its own name"
        )
    return {f.name: f for f in fields}


async def _collated(work: Transaction, query: str, fields: list[Field]) -> list[Field]:
    """The columns of a query with the collations that it gives them, which no type tells."""
    able = [f for f in fields if f.collation is not None]
    if not able:
        return fields
    columns = [f"q.{ident(f.name)}" for f in able]
    asked = ", ".join(f"{catalog_sql.collation_of(c)}, {catalog_sql.loose(c)}" for c in columns)
    ((*told,),) = await work.fetch(
        f"SELECT {asked} FROM (SELECT) AS one LEFT JOIN ({query}\n) AS q ON false"
    )
    found = dict(zip((f.name for f in able), zip(told[::2], told[1::2], strict=True), strict=True))
    return [
        replace(f, collation=found[f.name][0], deterministic=not found[f.name][1])
        if f.name in found
        else f
        for f in fields
    ]


async def references(work: Transaction, target: Relation) -> tuple[Reference, ...]:
    """The foreign keys onto a table at this moment: before rows of it are deleted."""
    rows = await work.fetch(catalog_sql.references(target.oid))
    return _references(rows[0][0] if rows else None)


async def fields_now(work: Transaction, target: Relation) -> tuple[Field, ...]:
    """The columns of a table at this moment: before rows of it are deleted."""
    rows = await work.fetch(catalog_sql.fields(target.oid))
    return tuple(_field(f) for f in (rows[0][0] if rows else None) or ())


def _references(raw: list[dict[str, Any]] | None) -> tuple[Reference, ...]:
    return tuple(
        Reference(
            name=r["name"],
            table=r["table"],
            columns=tuple(r["columns"]),
            targets=tuple(r["targets"]),
            on_update=r["on_update"],
        )
        for r in raw or ()
    )


def _relation(raw: dict[str, Any]) -> Relation:
    fields = [_field(f) for f in raw["fields"]]
    return Relation(
        oid=raw["oid"],
        schema=raw["schema"],
        name=raw["name"],
        kind=raw["kind"],
        fields={f.name: f for f in fields},
        indexes=tuple(_index(i) for i in raw["indexes"] or ()),
        triggers=tuple(
            Trigger(
                name=t["name"],
                bits=t["bits"],
                function=t["function"],
                columns=tuple(t["columns"] or ()),
                definition=t["definition"],
            )
            for t in raw["triggers"] or ()
        ),
        references=_references(raw["references"]),
        heirs=tuple(raw["heirs"] or ()),
        rules=tuple(raw["rules"] or ()),
        constraints=tuple(raw["constraints"] or ()),
        publications=tuple(raw["publications"] or ()),
        secured=raw["secured"],
        readable=raw["readable"],
        insertable=raw["insertable"],
        rows=raw["rows"] or 0.0,
        pages=raw["pages"] or 0,
    )


def _index(raw: dict[str, Any]) -> Index:
    return Index(
        name=raw["name"],
        columns=tuple(raw["columns"]),
        descending=tuple(raw["descending"]),
        touches=frozenset(raw["touches"] or ()),
        unique=raw["unique"],
        usable=raw["usable"],
        immediate=raw["immediate"],
        method=raw["method"],
    )


def _field(raw: dict[str, Any]) -> Field:
    plain = {k: v for k, v in raw.items() if k not in ("type", "number")}
    return Field(**plain, type=_type(raw["type"]))


def _type(raw: dict[str, Any]) -> TypeRef:
    element = _type(raw["element"]) if raw.get("element") else None
    return TypeRef(**{k: v for k, v in raw.items() if k != "element"}, element=element)
