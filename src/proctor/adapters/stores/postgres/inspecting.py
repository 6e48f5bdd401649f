"""Check a spec against the schema, and say what a run would touch besides its rows."""

from __future__ import annotations

import hashlib

from collections.abc import Iterable
from typing import Final

import psycopg

from proctor.adapters.stores.postgres import reading, tables
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.catalog import Field, Relation
from proctor.adapters.stores.postgres.expression import Statements
from proctor.adapters.stores.postgres.faults import denied, structural
from proctor.adapters.stores.postgres.literal import ident, idents
from proctor.adapters.stores.postgres.pool import Transaction
from proctor.errors import Denied, TargetError
from proctor.model import Chunk, Column, Guard, Shape, Source

SEQUENTIAL: Final = 20_000
"""Rows from which a scan of the whole table for `missing` is worth a warning."""

ABOUT: Final = """
SELECT current_database(), current_user,
  coalesce(pg_catalog.host(pg_catalog.inet_server_addr()), 'local')
    || ':' || coalesce(pg_catalog.inet_server_port()::text, ''),
  pg_catalog.current_setting('server_version'),
  pg_catalog.current_setting('server_version_num')::int4,
  pg_catalog.pg_is_in_recovery(),
  CASE WHEN pg_catalog.to_regnamespace('proctor') IS NULL
    THEN pg_catalog.has_database_privilege(current_database(), 'CREATE')
    ELSE pg_catalog.has_schema_privilege('proctor', 'USAGE') AND (
      pg_catalog.to_regclass('proctor.chunks') IS NOT NULL
      AND pg_catalog.has_table_privilege('proctor.chunks', 'SELECT, INSERT, UPDATE')
      OR pg_catalog.has_schema_privilege('proctor', 'CREATE')) END,
  (SELECT pg_catalog.array_agg(slot_name::text) FROM pg_catalog.pg_replication_slots
   WHERE database = current_database() OR slot_type = 'physical')"""


MAY_IDENTIFY: Final = (
    "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
)
IDENTIFY: Final = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"


async def inspect(work: Transaction, binding: Binding) -> Shape:
    """Refuse what cannot work; warn of what an operator must know."""
    (about,) = await work.fetch(ABOUT)
    database, role, address, version, number, replica, can_create, slots = about
    if number < 120_000:
        raise TargetError("this Postgres is too old", found=version, fix="version 12 or newer")
    if replica:
        raise TargetError(
            "this server is a replica and cannot be written", fix="connect to the primary"
        )
    _refuse_keys(binding)
    _refuse_fills(binding)
    _refuse_privileges(binding, role)
    await _refuse_broken(work, binding)
    target = binding.target
    warnings = [*_warnings(binding), *await _scans(work, binding)]
    if slots:
        warnings.append(
            f"replication slots are in use ({', '.join(sorted(slots))}): every row written "
            f"goes through them as WAL, and a slow consumer keeps it on the server's disk"
        )
    warnings.append("the server's free disk space cannot be seen from here: see that it suffices")
    body = [target.digest]
    if binding.source is not None and binding.apart:
        body.append(binding.source.digest)
    if binding.source is None:
        body += [f"{f.name} {f.declared}" for f in binding.source_fields.values()]
    place = f"{database}/{target.schema}.{target.name}"
    return Shape(
        identity=f"postgres:{await _cluster(work)}/{place}",
        address=f"postgres://{address}/{place}",
        columns=tuple(_column(f) for f in binding.source_fields.values()),
        target_columns=tuple(_column(f) for f in target.fields.values()),
        digest=hashlib.sha256("\n".join(body).encode()).hexdigest(),
        warnings=tuple(warnings),
        can_create=can_create,
        to_create=tables.grants(database, role),
        server=f"PostgreSQL {version}",
        target_sql=target.sql,
    )


async def _cluster(work: Transaction) -> str:
    """Which cluster this is, by what its replicas and its restores share; empty if not allowed.

    An address would be another one after every failover, and by every other route.
    """
    ((may,),) = await work.fetch(MAY_IDENTIFY)
    return str((await work.fetch(IDENTIFY))[0][0]) if may else ""


def _column(field: Field) -> Column:
    return Column(
        name=field.name,
        type=field.declared,
        nullable=not field.not_null,
        generated=field.generated,
        has_default=field.default is not None or bool(field.identity),
    )


def _refuse_keys(binding: Binding) -> None:
    """A key must be unique, not null, and compare by bytes."""
    fields = [c.field for c in binding.key]
    if binding.source is not None:
        _refuse_key(binding.source, fields, "key")
    else:
        _refuse_loose(fields, "the key of the query")
    if binding.apart and not binding.spec.emits:
        _refuse_key(binding.target, [c.target for c in binding.key], "into key")
        _refuse_inexact(binding)


def refuse_emitted(written: Binding) -> None:
    """Rows that units emit are told apart by one unique index, which an upsert needs."""
    _refuse_key(written.target, [c.target for c in written.key], "key of emits")
    _refuse_inexact(written)


def _refuse_inexact(binding: Binding) -> None:
    names = {c.target.name for c in binding.key}
    exact = [
        i
        for i in binding.target.indexes
        if i.unique and i.usable and i.immediate and set(i.columns) == names
    ]
    if not exact:
        raise TargetError(
            f"no unique index of {binding.target.name} covers exactly its key",
            found=f"the key is {', '.join(sorted(names))}",
            fix="create one: an upsert needs it to tell rows apart",
        )


def _refuse_key(relation: Relation, fields: list[Field], role: str) -> None:
    names = [f.name for f in fields]
    table = f"{relation.schema}.{relation.name}"
    if relation.heirs:
        raise TargetError(
            f"other tables inherit from {table}, so no index makes its rows unique",
            found=", ".join(relation.heirs),
            fix="name the inheriting tables one by one, or make them partitions",
        )
    if nulls := [f.name for f in fields if not f.not_null]:
        raise TargetError(
            f"the {role} of {table} can be null",
            found=f"{', '.join(nulls)} has no NOT NULL constraint",
            fix="choose a key whose columns are all NOT NULL, or add the constraint",
        )
    if relation.unique_by(names) is None:
        raise TargetError(
            f"the {role} of {table} is not unique",
            found=f"no unique index covers {', '.join(names)}",
            fix="choose the primary key, or columns with a valid unique index that is not partial",
        )
    _refuse_loose(fields, f"the {role} of {table}")


def _refuse_loose(fields: list[Field], key: str) -> None:
    """A cursor would pass over keys that count as equal to it."""
    if loose := [f.name for f in fields if not f.deterministic]:
        raise TargetError(
            f"{key} has a nondeterministic collation",
            found=", ".join(loose),
            fix="under it different keys count as equal: choose another key",
        )


def _refuse_fills(binding: Binding) -> None:
    emits = binding.spec.emits
    keys = set(binding.spec.into_key) if emits else {c.target.name for c in binding.key}
    for fill in binding.writes:
        field = fill.field
        if field.name in keys:
            raise TargetError(f"the fill {fill.name} is part of the key", fix="correct fills=")
        if field.generated:
            raise TargetError(
                f"the fill {fill.name} is a generated column",
                found=f"it is computed as {field.default}",
                fix="fill a column that it is computed from",
            )
        if field.identity == "a":
            raise TargetError(f"the fill {fill.name} is an identity column", fix="fill another")
    for name in binding.spec.preserve:
        if name not in binding.target.fields:
            raise TargetError(f"preserve names {name}, which the table does not have")
        if name in {f.field.name for f in binding.writes}:
            raise TargetError(f"preserve names {name}, which is filled", fix="choose one")
    if binding.apart and not binding.spec.only_touches:
        given = keys | {f.field.name for f in binding.writes}
        needed = [
            f.name
            for f in binding.target.fields.values()
            if f.not_null and f.default is None and not f.identity and f.name not in given
        ]
        if needed:
            raise TargetError(
                f"new rows of {binding.target.name} would be incomplete",
                found=f"{', '.join(needed)} must have a value and is not filled",
                fix="fill it too, or give it a default",
            )


def _refuse_privileges(binding: Binding, role: str) -> None:
    """Each missing privilege with the GRANT that gives it."""
    target = binding.target
    grants = []
    reads = {target.sql: target} if not binding.source else {binding.source.sql: binding.source}
    reads[target.sql] = target
    to = ident(role)
    grants += [
        f"GRANT SELECT ON {name} TO {to}" for name, table in reads.items() if not table.readable
    ]
    written = {f.field.name: f.field for f in binding.writes}
    written |= {n: target.fields[n] for n in binding.spec.preserve}
    locked = [name for name, field in written.items() if not field.writable]
    if locked:
        grants.append(f"GRANT UPDATE ({idents(locked)}) ON {target.sql} TO {to}")
    if binding.apart and not (target.insertable or binding.spec.only_touches):
        grants.append(f"GRANT INSERT ON {target.sql} TO {to}")
    if grants:
        raise Denied(
            f"the role {role} may not read and fill {target.schema}.{target.name}",
            found=f"{len(grants)} privileges are missing",
            fix="; ".join(grants),
        )


async def _refuse_broken(work: Transaction, binding: Binding) -> None:
    """Let the server plan what a run would send: broken SQL is found before anything runs."""
    page = f"SELECT {binding.selected} FROM {binding.joined} WHERE {binding.eligible}"
    statements = [("where or missing", f"{page} ORDER BY {binding.order} LIMIT 1")]
    if binding.spec.sql:
        extra = reading.values_of(binding)
        statements.append(("sql", f"SELECT 1{extra} FROM {binding.joined}"))
        if not binding.apart and not any(f.nested for f in binding.writes):
            told = Statements(binding=binding, chunk=Chunk(run="", number=0, after=None, upto=()))
            statements.append(("sql", told.statement("true", within="true")))
    for part, sql in statements:
        try:
            await work.fetch(f"EXPLAIN (COSTS OFF) {sql}")
        except psycopg.errors.InsufficientPrivilege as error:
            raise denied(error) from None
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate.startswith(("08", "57")):
                raise
            raise TargetError(
                f"the SQL of {part} of {binding.spec.backfill} is refused by Postgres",
                found=structural(error),
                fix=f"correct {part}=",
            ) from None


def _warnings(binding: Binding) -> Iterable[str]:
    yield from _reactions(binding)
    target, spec = binding.target, binding.spec
    table = f"{target.schema}.{target.name}"
    secured = {r.sql: r for r in (target, binding.source or target) if r.secured}
    for relation in secured.values():
        yield (
            f"row-level security is on for {relation.schema}.{relation.name} and this role: rows "
            f"that its policies hide are neither counted nor filled"
        )
    if target.publications:
        yield f"{table} is published by {', '.join(target.publications)}: subscribers get each row"
    written = {f.field.name for f in binding.writes}
    hot = [i.name for i in target.indexes if written & i.touches and i.method != "brin"]
    if hot:
        yield (
            f"indexes cover what is filled ({', '.join(hot)}): each row written adds an entry to "
            f"every index of {table}"
        )
    if spec.kind is Source.QUERY and spec.guard is Guard.TARGET:
        yield "the query's rows carry no version: a change between read and write is not seen"
    yield from _order(binding)


def _reactions(binding: Binding) -> Iterable[str]:
    """What the server does by itself when a row is written."""
    target, spec = binding.target, binding.spec
    table = f"{target.schema}.{target.name}"
    fired = [t for t in target.triggers if t.on_update or (binding.apart and t.on_insert)]
    if fired:
        names = ", ".join(t.name for t in fired)
        yield (
            f"triggers of {table} fire for every row written: {names}; what they change besides "
            f"the fills is not undone"
        )
    if spec.preserve and (keepers := [t.name for t in fired if t.before]):
        yield (
            f"{', '.join(spec.preserve)} is to be preserved, and {', '.join(keepers)} runs before "
            f"each update: a row in which it changes them all the same is not written but failed"
        )
    if target.rules:
        yield f"rules of {table} rewrite what is written: {', '.join(target.rules)}"
    written = {f.field.name for f in binding.writes}
    for reference in target.references:
        if written & set(reference.targets) and reference.on_update in "cnd":
            yield (
                f"the foreign key {reference.name} of {reference.table} follows changes of "
                f"{', '.join(reference.targets)}: rows there change too and are not undone"
            )


def _order(binding: Binding) -> Iterable[str]:
    """Whether an index gives the rows in the order of the scan."""
    source = binding.source
    if source is None:
        yield "the query is run again for every claim and every chunk: see that its key is indexed"
        return
    names = [c.field.name for c in binding.key]
    down = [c.descending for c in binding.key]
    for index in source.indexes:
        if (
            index.method != "btree"
            or not index.usable
            or list(index.columns[: len(names)]) != names
        ):
            continue
        flips = {a != b for a, b in zip(index.descending, down, strict=False)}
        if len(flips) == 1:
            return
    signs = ", ".join(f"-{n}" if d else n for n, d in zip(names, down, strict=True))
    parts = ", ".join(ident(n) + " DESC" * d for n, d in zip(names, down, strict=True))
    yield (
        f"no index of {source.schema}.{source.name} is ordered as the key ({signs}): "
        "each claim sorts the rest of the table; "
        f"CREATE INDEX CONCURRENTLY ON {source.sql} ({parts}) would help"
    )


async def _scans(work: Transaction, binding: Binding) -> list[str]:
    """Whether finding eligible rows reads the whole of a big table."""
    relation = binding.source or binding.target
    if relation.rows < SEQUENTIAL:
        return []
    ((plan,),) = await work.fetch(
        f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {binding.joined} WHERE {binding.eligible}"
    )
    if "Seq Scan" not in str(plan):
        return []
    table = f"{relation.schema}.{relation.name} ({relation.rows:,.0f} rows)"
    words = f"no index serves `missing`: counting what is left reads all of {table}"
    return [f"{words}; for repeated runs a partial index helps"]
