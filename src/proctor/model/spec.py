"""What a backfill is to a store: its tables, columns and key space, without any code."""

from __future__ import annotations

import enum

from dataclasses import dataclass, replace

from proctor.model.key import Key, Scalar
from proctor.model.touched import Touch


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPart:
    """One column of a key and the direction in which it is scanned."""

    column: str
    descending: bool = False


class Source(enum.StrEnum):
    """What the rows come from."""

    TABLE = "table"
    QUERY = "query"


class Guard(enum.StrEnum):
    """What a write compares with what was read."""

    ROWS = "rows"
    """The source row's version, and with `into` the target row's version or absence."""
    TARGET = "target"
    """Only the target row: for a query, whose rows have no version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """All that a store must know of a backfill: names and SQL, never Python code.

    `source` is a table name (optionally `schema.table`) or a SELECT. `fills` are columns of
    the target, or `column.path.to.field` inside a JSON column. `missing` is a SQL condition
    over the columns of the target that makes a row eligible; None means: any fill is null.
    `stamp` is a target column that holds `version`; a row of another version is eligible.
    """

    backfill: str
    version: str
    kind: Source
    source: str
    key: tuple[KeyPart, ...]
    fills: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    where: str | None = None
    missing: str | None = None
    stamp: str | None = None
    into: str | None = None
    into_key: tuple[str, ...] = ()
    sql: tuple[tuple[str, str], ...] = ()
    guard: Guard = Guard.ROWS
    preserve: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    row_version: str | None = None
    attempts: int = 0
    """For a grid, whose rows are units of work: how often one is tried. 0 for any other source."""
    emits: bool = False
    """A unit gives rows of `into`, with keys of their own; their key is not the unit's."""
    touches: tuple[Touch, ...] = ()
    """Rows that a called service writes. Where nothing is filled beside them each row of the
    source is a unit that emits nothing, and `into` is the first of their tables."""
    params: tuple[tuple[str, Scalar], ...] = ()
    """Named values for `:name` in `where`, `missing`, `sql` and a query, in order of name."""

    @property
    def target(self) -> str:
        """The table that is written."""
        return self.into or self.source

    @property
    def writes(self) -> tuple[str, ...]:
        """The fills and the stamp: every field that Proctor writes, in the order of values."""
        return (*self.fills, self.stamp) if self.stamp else self.fills

    @property
    def only_touches(self) -> bool:
        """Whether only a called service writes, and nothing is filled."""
        return bool(self.touches) and not self.fills

    def chunk_rows(self, rows: int) -> int:
        """How many rows a chunk takes, of `rows` that it might.

        A unit of work is a chunk of its own: it is claimed, written, tried
        again and undone by itself, and its neighbours are not done twice for its sake. So is a
        row that a service is called for: what it wrote is looked at right after its call.
        """
        return 1 if self.alone else rows

    @property
    def alone(self) -> bool:
        """Whether each row is a chunk of its own."""
        return bool(self.attempts or self.touches)

    @property
    def written(self) -> Spec:
        """The spec of the rows that are written: of a spec that emits, the target on its own.

        The undo journal of emitted rows holds their keys, so this is what it is read under.
        """
        if not self.emits:
            return self
        return replace(
            self,
            kind=Source.TABLE,
            source=self.target,
            key=tuple(KeyPart(column=name) for name in self.into_key),
            columns=(),
            into=None,
            into_key=(),
            missing=None,
            attempts=0,
            emits=False,
            touches=(),
            params=(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table as the server declares it."""

    name: str
    type: str
    nullable: bool = True
    generated: bool = False
    has_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a store found when it looked at a backfill's tables; made by `inspect`.

    `digest` covers columns, types, constraints and triggers of every table touched.
    `warnings` are sentences for the plan. `identity` names the database and table by what
    stays when a server moves, and is what an approval binds to; `address` says to people where
    they were found, without secrets. `can_create` says whether Proctor's own tables may live
    beside the data, and `to_create` what to do where they may not; `beside`, that a run found
    there is a run on this very target. `target_sql` is the target as SQL names it.
    """

    identity: str
    address: str
    columns: tuple[Column, ...]
    target_columns: tuple[Column, ...]
    digest: str
    warnings: tuple[str, ...] = ()
    can_create: bool = True
    beside: bool = True
    to_create: str = ""
    server: str = ""
    target_sql: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which part of the key space a run covers; empty means all of it."""

    start: Key | None = None
    stop: Key | None = None
    keys: tuple[Key, ...] = ()
    limit: int | None = None
    """Stop after this many rows were read."""

    @property
    def whole(self) -> bool:
        """Whether nothing was cut off."""
        return self.start is None and self.stop is None and not self.keys and self.limit is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """How much there is to do, counted inside read-only transactions.

    `last` is the last key of the space at that moment; keys behind it are not this run's.
    `row_bytes` is the mean stored size of a row, `writes_per_row` the index entries and heap
    tuples that one update makes (1.0 where the store cannot tell). `estimated` says that rows and
    eligible rows were not counted: no verdict may rest on them.
    """

    rows: int
    eligible: int
    first: Key | None
    last: Key | None
    row_bytes: float = 0.0
    writes_per_row: float = 1.0
    estimated: bool = False
