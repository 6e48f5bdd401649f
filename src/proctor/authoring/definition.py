"""A backfill as its author defines it: the `@backfill` decorator and what it makes."""

from __future__ import annotations

import inspect

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, overload

from proctor.authoring.grids import Grid
from proctor.authoring.params import bind, supposed
from proctor.authoring.registry import register
from proctor.authoring.sources import Query, Table
from proctor.authoring.validate import Given, Place, known_only, read
from proctor.authoring.words import ErrorBudget, Watch
from proctor.core.checks import Ready
from proctor.errors import DefinitionError
from proctor.model import Row, Spec

if TYPE_CHECKING:
    from typing import Unpack

    import pydantic

Check: TypeAlias = Callable[[Row, Mapping[str, Any]], bool | str | None]
"""Judges one answer before it is written: a text or False refuses the row; True or None pass."""

BUDGET = ErrorBudget()
MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backfill:
    """What an author defined, checked; made by `backfill()` and found by its name.

    `spec` is its part for the store, without parameters. `function` is None where `sql=`
    computes the fields inside the database. `batch` is None for a function of one row, else
    the most rows that a function of lists is given. Calling a backfill calls its function, so
    that a test can say `normalize({"style": " Red "})`.
    """

    name: str
    version: str
    doc: str
    spec: Spec
    function: Callable[..., Any] | None
    batch: int | None
    bisect: bool
    """Whether a group that raises is called again in halves, to find the rows that do it."""
    is_async: bool
    takes_ctx: bool
    params: type[pydantic.BaseModel] | None
    checks: tuple[Check, ...]
    """The author's own, which may refuse a row."""
    ready: tuple[Ready, ...]
    """Those of `proctor.checks`, by which a row fails."""
    budget: ErrorBudget
    undo_for: timedelta
    concurrency: int
    """For an async function: how many of its calls are in flight at once for one chunk."""
    depends: tuple[str, ...]
    signals: tuple[Watch, ...]
    made_by: tuple[str, ...]
    """Names of providers of proctor.toml, whose models the stamp holds beside the version."""
    module: str
    file: str
    line: int
    home: tuple[str, str]
    """Name and file of the module whose import defined it: a factory's caller, mostly itself."""

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Call the author's function, as if it had never been decorated."""
        if self.function is None:
            raise DefinitionError(
                f"{self.name} has no function: its sql= is computed inside the database",
                found="a call of it",
                fix=f"try it with `proctor dry-run {self.name}`; to give it a docstring, drop "
                "name= and decorate a function whose body is only that",
            )
        return self.function(*args, **more)

    def __repr__(self) -> str:
        """Name, version and place."""
        return f"<backfill {self.name} {self.version} in {self.module}>"

    def bind(self, values: Mapping[str, str]) -> tuple[Spec, pydantic.BaseModel | None]:
        """Validate parameters as a person types them: the spec with them, and the model.

        Scalars go to `Spec.params` as they are, other values as their JSON text; dates as ISO
        text. Raises UsageError that names the parameter.
        """
        return bind(self.name, self.spec, self.params, values)

    def supposed(self) -> tuple[Spec, tuple[str, ...]]:
        """The spec with defaults and stand-ins, for a look at the schema; what must be given."""
        return supposed(self.spec, self.params)


class Policies(TypedDict, total=False):
    """The words of `backfill()` that mean the same for functions and for SQL."""

    fills: str | Sequence[str] | None
    into: Table | None
    emits: Table | None
    touches: Table | Sequence[Table]
    version: str
    missing: str | None
    stamp: str | None
    made_by: str | Sequence[str]
    batch: int | None
    bisect: bool
    checks: Sequence[Check | Ready]
    params: type[pydantic.BaseModel] | None
    sensitive: str | Sequence[str]
    undo_for: timedelta
    preserve: str | Sequence[str]
    budget: ErrorBudget
    concurrency: int
    depends: str | Sequence[str]
    watch: Watch | Sequence[Watch]


@overload
def backfill(
    source: Table | Query | Grid,
    *,
    sql: str | Mapping[str, str],
    name: str,
    **rest: Unpack[Policies],
) -> Backfill: ...


@overload
def backfill(
    source: Table | Query | Grid,
    *,
    sql: str | Mapping[str, str] | None = None,
    name: str | None = None,
    **rest: Unpack[Policies],
) -> Callable[[Callable[..., Any]], Backfill]: ...


def backfill(
    source: Table | Query | Grid,
    *,
    fills: str | Sequence[str] | None = None,
    sql: str | Mapping[str, str] | None = None,
    into: Table | None = None,
    emits: Table | None = None,
    touches: Table | Sequence[Table] = (),
    version: str = "1",
    missing: str | None = None,
    stamp: str | None = None,
    made_by: str | Sequence[str] = (),
    batch: int | None = None,
    bisect: bool = True,
    checks: Sequence[Check | Ready] = (),
    params: type[pydantic.BaseModel] | None = None,
    sensitive: str | Sequence[str] = (),
    undo_for: timedelta = MONTH,
    preserve: str | Sequence[str] = (),
    budget: ErrorBudget = BUDGET,
    concurrency: int = 8,
    depends: str | Sequence[str] = (),
    watch: Watch | Sequence[Watch] = (),
    name: str | None = None,
    **unknown: Any,
) -> Backfill | Callable[[Callable[..., Any]], Backfill]:
    """Define a backfill: what fills which fields of which rows.

        @backfill(table("wardrobe", key="id"), fills="normalized", version="1.0")
        def normalize_wardrobe(item):
            return {"normalized": item["style"].strip().lower()}

    The function gets one row, a dict, and returns a mapping of exactly the fills, `Skip(why)` or
    `Refuse(why)`; raising marks the row failed. A second parameter is given the `Context`. It may
    be async. With `batch=n` it gets lists and returns lists.

    fills: columns of the target, or `column.path` inside a JSON column.
    sql: in place of a function an expression, or one for each fill; with `name=` returned at once.
    into: another table, `table("about", key="song_id")`; its key takes the source key's values.
    emits: the table of the rows that units of a `grid()` give, each a mapping of key and fills.
    touches: tables that a service writes, each with its `where=` over the row's key, as `:id`.
    version: what the stamp holds; raise it when the function's meaning changes.
    missing: an SQL condition over the target that makes a row eligible; None: any fill is null.
    stamp: a column that takes the version; made_by: providers whose models it names beside it.
    checks: of `proctor.checks`, or functions of (row, answer): a text or False refuses the row.
    params: a pydantic model: `ctx.params`, `:name` in SQL; sensitive: fields never shown.
    undo_for: how long before-images are kept; preserve: columns that a trigger would touch.
    budget: how many failed rows a run bears; concurrency: async calls in flight for a chunk.
    depends: files beside it that matter; watch: throttle signals; name: else the function's.
    Raises DefinitionError, which shows the right code.
    """
    words = Given(**known_only(locals()))  # every parameter under its own name
    if sql is not None and name is not None:
        return _define(words, None, _caller(inspect.currentframe()))

    def decorate(function: Callable[..., Any]) -> Backfill:
        return _define(words, function, _caller(inspect.currentframe()))

    # `@backfill` without parentheses hands over the function as the source: say so at once.
    return _define(words, source, _caller(inspect.currentframe())) if callable(source) else decorate


def _caller(frame: FrameType | None) -> Place:
    """The place in the author's code, from the frame of our own function that it called."""
    outer = frame.f_back if frame is not None else None
    if outer is None:
        return Place(module="?", file="?", line=0, home=("?", "?"))
    top = outer
    while top.f_code.co_name != "<module>" and top.f_back is not None:
        top = top.f_back
    home = top if top.f_code.co_name == "<module>" else outer
    return Place(
        module=_module(outer),
        file=outer.f_code.co_filename,
        line=outer.f_lineno,
        home=(_module(home), home.f_code.co_filename),
    )


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


def _define(words: Given, function: Any, place: Place) -> Backfill:
    """Check everything, make the backfill and register it."""
    inner = inspect.unwrap(function) if callable(function) else function
    code = getattr(inner, "__code__", None)
    if isinstance(code, CodeType):
        place = Place(
            module=str(getattr(inner, "__module__", None) or place.module),
            file=code.co_filename,
            line=code.co_firstlineno,
            home=place.home,
        )
    spec, call, policy = read(words, function, place)
    made = Backfill(
        name=spec.backfill,
        version=spec.version,
        doc=(inspect.getdoc(inner) or "") if function is not None else "",
        spec=spec,
        function=None if spec.sql else function,
        batch=words.batch,
        bisect=words.bisect,
        is_async=call.is_async,
        takes_ctx=call.takes_ctx,
        params=words.params,
        checks=policy.checks,
        ready=policy.ready,
        budget=words.budget,
        undo_for=words.undo_for,
        concurrency=words.concurrency,
        depends=policy.depends,
        signals=policy.signals,
        made_by=policy.made_by,
        module=place.module,
        file=place.file,
        line=place.line,
        home=place.home,
    )
    # A nameless definition inside a function cannot be found by importing a module: it is
    # somebody's test or experiment, and two of them may well share a name.
    if words.name is not None or "<locals>" not in getattr(inner, "__qualname__", ""):
        register(made)
    return made
