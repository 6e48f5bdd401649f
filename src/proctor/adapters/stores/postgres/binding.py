"""A spec bound to the tables it names: every fragment of SQL that reads and guards its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from proctor.adapters.stores import keyset, params
from proctor.adapters.stores.postgres import catalog, fills, keys
from proctor.adapters.stores.postgres.catalog import Field, Relation
from proctor.adapters.stores.postgres.fills import Document, Fill
from proctor.adapters.stores.postgres.keys import KeyColumn
from proctor.adapters.stores.postgres.literal import ident, scalar, text
from proctor.adapters.stores.postgres.pool import Transaction
from proctor.adapters.stores.unitbook import axes, home_of
from proctor.errors import TargetError
from proctor.model import Guard, Key, Source, Span, Spec

SOURCE = '"proctor_source"'
TARGET = '"proctor_target"'
_UNITS = "SELECT pg_catalog.to_regclass('proctor.units') IS NOT NULL"


@dataclass(frozen=True, kw_only=True)
class Binding:
    """What a spec means in this database.

    A backfill of its own table reads and writes `target`; with `into` rows come from `source`
    (a table) or from the spec's query, and `target` is the other table.
    """

    spec: Spec
    source: Relation | None
    source_fields: Mapping[str, Field]
    target: Relation
    key: tuple[KeyColumn, ...]
    writes: tuple[Fill, ...]
    units_kept: bool = False
    """Whether the database remembers units: not before the first run of a grid."""

    @property
    def apart(self) -> bool:
        """Whether the rows that are read are not the rows that are written."""
        return self.spec.into is not None

    @property
    def versioned(self) -> bool:
        """Whether a source row apart from the target shows a version of its own."""
        known = self.source is not None or self.spec.row_version is not None
        return known and self.spec.guard is Guard.ROWS

    @cached_property
    def documents(self) -> tuple[Document, ...]:
        """The written columns, each with its fills."""
        grouped: dict[str, list[tuple[int, Fill]]] = {}
        for i, fill in enumerate(self.writes):
            grouped.setdefault(fill.field.name, []).append((i, fill))
        return tuple(Document(field=f[0][1].field, fills=tuple(f)) for f in grouped.values())

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that an author's function gets."""
        return self.spec.columns or tuple(self.source_fields)

    @property
    def from_alias(self) -> str:
        """What the scanned rows are called."""
        return SOURCE if self.apart else self.target.alias

    @cached_property
    def parts(self) -> list[tuple[str, bool]]:
        """The key's columns and directions, as the scan of the source meets them."""
        return [(f"{self.from_alias}.{ident(c.field.name)}", c.descending) for c in self.key]

    @cached_property
    def target_parts(self) -> list[tuple[str, bool]]:
        """The same for the rows that are written."""
        return [(self.target.column(c.target.name), c.descending) for c in self.key]

    @cached_property
    def printed_key(self) -> str:
        """The select list of a Key."""
        return ", ".join(c.printed(sql) for c, (sql, _) in zip(self.key, self.parts, strict=True))

    def bound(self, sql: str) -> str:
        """An author's SQL with its parameters as literals."""
        values = dict(self.spec.params)
        return params.rewrite(sql, values, lambda name: scalar(values[name]))

    @cached_property
    def where(self) -> str:
        """The author's condition on the source."""
        return f"({self.bound(self.spec.where)}\n)" if self.spec.where else "true"

    @cached_property
    def open_row(self) -> str:
        """Whether a row of the target wants filling; over the target's own columns."""
        if self.spec.missing is not None:
            missing = f"({self.bound(self.spec.missing)}\n)"
        else:
            filled = self.writes[: len(self.spec.fills)]
            nulls = (f.is_null(self.target.column(f.field.name)) for f in filled)
            missing = f"({' OR '.join(nulls)})"
        if not self.spec.stamp:
            return missing
        stamp = self.writes[-1]
        other = stamp.differs(self.target.column(stamp.field.name), self.spec.version)
        return f"({missing} OR {other})"

    @property
    def existing(self) -> str:
        """Whether a scanned row exists for the backfill."""
        return f"{SOURCE}.proctor_where" if self.apart else self.where

    @cached_property
    def scanned(self) -> str:
        """The rows of the key space, eligible or not, as a FROM item; the condition apart."""
        if not self.apart:
            return f"{self.target.sql} AS {self.target.alias}"
        return f"(SELECT {self._scanned_columns} FROM {self._inner}) AS {SOURCE}"

    @cached_property
    def _inner(self) -> str:
        if self.source is None:
            return f"({self.bound(self.spec.source)}\n) AS {ident('proctor_query')}"
        return f"{self.source.sql} AS {self.source.alias}"

    @property
    def _inner_alias(self) -> str:
        return ident("proctor_query") if self.source is None else self.source.alias

    @property
    def _scanned_columns(self) -> str:
        """All columns, the version as text and whether the author's condition holds."""
        alias = self._inner_alias
        version = "NULL::pg_catalog.text"
        if self.source is not None:
            version = f"{alias}.xmin::pg_catalog.text"
        elif self.spec.row_version is not None:
            version = f"{alias}.{ident(self.spec.row_version)}::pg_catalog.text"
        where = f"({self.where}) IS TRUE" if self.spec.where else "true"
        return f"{alias}.*, {version} AS proctor_version, {where} AS proctor_where"

    @cached_property
    def joined(self) -> str:
        """The scanned rows, with the target row beside each where that is another one."""
        if not self.apart or self.spec.emits:
            return self.scanned
        target = self.target
        on = " AND ".join(
            f"{target.column(c.target.name)} = "
            f"{c.target.collated(f'{SOURCE}.{ident(c.field.name)}')}"
            for c in self.key
        )
        images = ", ".join(
            f"{sql} AS proctor_i{n}" for n, sql in enumerate(self._images(target.alias))
        )
        return (
            f"{self.scanned} LEFT JOIN LATERAL (SELECT {target.alias}.xmin::pg_catalog.text "
            f"AS proctor_there, {images}, {self.open_row} AS proctor_open "
            f"FROM {target.sql} AS {target.alias} WHERE {on}) AS {TARGET} ON true"
        )

    @cached_property
    def eligible(self) -> str:
        """Whether a joined row is eligible."""
        if not self.apart:
            return f"({self.where} AND {self.open_row})"
        if self.spec.emits:
            return f"({SOURCE}.proctor_where AND {self.open_unit})"
        wanted = f"{TARGET}.proctor_there IS NULL OR {TARGET}.proctor_open"
        unit = f" AND {self.open_unit}" if self.spec.attempts else ""
        return f"({SOURCE}.proctor_where AND ({wanted}){unit})"

    @property
    def place(self) -> str:
        """The target's full name, by which runs on it find each other."""
        return f"{self.target.schema}.{self.target.name}"

    @cached_property
    def open_unit(self) -> str:
        """Whether a unit has attempts left, and one that emits is not done yet."""
        if not self.units_kept:
            return "true"
        shown = zip(self.key, self.parts, strict=True)
        place = {c.field.name: c.printed(sql) for c, (sql, _) in shown}
        named = ", ".join(f"{text(axis)}, {place[axis]}" for axis, _ in axes(self.spec))
        done = "state = 'completed' OR " if self.spec.emits else ""
        # By the name alone where the tables are of a Proctor that kept no target beside it.
        home = home_of(self.spec.backfill, self.place)
        return (
            "NOT EXISTS (SELECT FROM proctor.units "
            f"WHERE backfill IN ({text(home)}, {text(self.spec.backfill)}) "
            f"AND unit = pg_catalog.jsonb_build_object({named}) "
            f"AND version = {text(self.spec.version)} "
            f"AND ({done}state = 'failed' AND attempts >= {self.spec.attempts}))"
        )

    def _images(self, alias: str) -> list[str]:
        """Images of the written fields, then the levels of the deep ones."""
        shown = [f.image(f"{alias}.{ident(f.field.name)}") for f in self.writes]
        return shown + [f.level(f"{alias}.{ident(f.field.name)}") for f in self.writes if f.deep]

    @cached_property
    def selected(self) -> str:
        """The select list of a page: key, versions, images, levels, columns."""
        if self.spec.emits:  # the rows that a unit will write are not known yet
            count = len(self.writes) + sum(f.deep for f in self.writes)
            versions = [f"{SOURCE}.proctor_version", "NULL::pg_catalog.text"]
            images = ["NULL::pg_catalog.text"] * count
        elif self.apart:
            count = len(self.writes) + sum(f.deep for f in self.writes)
            versions = [f"{SOURCE}.proctor_version", f"{TARGET}.proctor_there"]
            images = [f"{TARGET}.proctor_i{n}" for n in range(count)]
        else:
            versions = [f"{self.target.alias}.xmin::pg_catalog.text"]
            images = self._images(self.target.alias)
        columns = [f"{self.from_alias}.{ident(c)}" for c in self.columns]
        return ", ".join([self.printed_key, *versions, *images, *columns])

    def after(self, key: Key | None) -> str:
        """The part of the key space behind a key."""
        return "true" if key is None else keyset.behind(self.parts, keys.place(self.key, key))

    def upto(self, key: Key | None) -> str:
        """The part of the key space up to a key, itself included."""
        return "true" if key is None else keyset.up_to(self.parts, keys.place(self.key, key))

    def since(self, key: Key | None) -> str:
        """The part of the key space from a key on, itself included."""
        if key is None:
            return "true"
        return keyset.behind(self.parts, keys.place(self.key, key), inclusive=True)

    def spanned(self, span: Span) -> str:
        """The part of the key space that a span covers, its keys apart."""
        return f"({self.since(span.start)} AND {self.upto(span.stop)})"

    def among(self, listed: Sequence[Key]) -> str:
        """Whether a scanned row has one of these keys."""
        columns = ", ".join(sql for sql, _ in self.parts)
        sent = ", ".join(keys.sent(self.key))
        return f"({columns}) IN (SELECT {sent} FROM {keys.unnested(self.key, listed)})"

    def between(self, after: Key | None, upto: Key | None) -> str:
        """A key range on the rows that are written, so that a join need not look further.

        Everything, where the written table sorts the same keys in another order.
        """
        if not all(c.ordered_alike for c in self.key):
            return "true"
        bounds = []
        if after is not None:
            at = keys.place(self.key, after, on_target=True)
            bounds.append(keyset.behind(self.target_parts, at))
        if upto is not None:
            at = keys.place(self.key, upto, on_target=True)
            bounds.append(keyset.up_to(self.target_parts, at))
        return " AND ".join(bounds) or "true"

    @cached_property
    def order(self) -> str:
        """The ORDER BY list of the scan order."""
        return keyset.order_by(self.parts)

    @cached_property
    def backwards(self) -> str:
        """Its reverse."""
        return keyset.order_by(self.parts, backwards=True)

    @cached_property
    def fires_after_update(self) -> bool:
        """Whether a trigger may change rows again once they are written."""
        return any(not t.before and (t.on_update or t.on_insert) for t in self.target.triggers)


async def bind(work: Transaction, spec: Spec) -> Binding:
    """Look everything up; TargetError for a name that is not there."""
    target = await catalog.relation(work, spec.target)
    source: Relation | None = None
    if spec.kind is Source.QUERY:
        rewritten = params.rewrite(
            spec.source, dict(spec.params), lambda n: scalar(dict(spec.params)[n])
        )
        fields = await catalog.query_fields(work, rewritten)
    elif spec.into is not None:
        source = await catalog.relation(work, spec.source)
        fields = dict(source.fields)
    else:
        source, fields = target, dict(target.fields)
    _refuse(spec, fields)
    names = spec.into_key or tuple(p.column for p in spec.key)
    targets = target.fields
    if spec.emits:  # a unit's key has no place in the rows that it gives
        names, targets = tuple(p.column for p in spec.key), fields
    kept = await work.fetch(_UNITS) if spec.attempts else [(False,)]
    return Binding(
        spec=spec,
        source=source,
        source_fields=fields,
        target=target,
        key=tuple(
            KeyColumn(
                field=_column(fields, part.column, spec.source, "key"),
                target=_column(targets, name, spec.target, "key"),
                descending=part.descending,
            )
            for part, name in zip(spec.key, names, strict=True)
        ),
        writes=fills.resolve(spec, target),
        units_kept=bool(kept[0][0]),
    )


def _refuse(spec: Spec, fields: Mapping[str, Field]) -> None:
    if spec.kind is Source.QUERY and spec.into is None:
        raise TargetError("a query has no rows of its own to write", fix="say into=table(...)")
    for name in spec.columns or ():
        _column(fields, name, spec.source, "columns")
    if spec.row_version is not None:
        _column(fields, spec.row_version, spec.source, "row_version")
    unguarded = spec.kind is Source.QUERY and spec.guard is Guard.ROWS and not spec.row_version
    if unguarded:
        raise TargetError(
            "the rows of a query carry no version of their own",
            fix='say row_version="a column that changes with the row", or guard="target"',
        )


def _column(fields: Mapping[str, Field], name: str, table: str, role: str) -> Field:
    if name in fields:
        return fields[name]
    where = table if len(table) < 60 else "the query"
    raise TargetError(
        f"{where} has no column {name}",
        found=f"its columns are {', '.join(fields)}",
        fix=f"correct {role}=",
    )
