"""Checks what an author gave to `@backfill` and turns it into a Spec; every refusal teaches."""

from __future__ import annotations

import difflib
import re

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from proctor.authoring.calling import Call, examine
from proctor.authoring.given import condition, names, short, text
from proctor.authoring.grids import Grid, check_grid, guard_of
from proctor.authoring.placeholders import placeholders
from proctor.authoring.sources import Query, Table
from proctor.authoring.touching import (
    ATTEMPTS,
    check_placeholders,
    check_touches,
    touches_alone,
    touches_of,
)
from proctor.authoring.words import ErrorBudget, Watch
from proctor.core.checks import Holds, Ready
from proctor.errors import DefinitionError
from proctor.model import Source, Spec

RIGHT = '@backfill(table("wardrobe", key="id"), fills="normalized", version="1.0")'
NAME = re.compile(r"[^\W\d][\w.-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the author's code a backfill is defined."""

    module: str
    file: str
    line: int
    home: tuple[str, str]
    """Module and file whose import is under way."""

    def __str__(self) -> str:
        """The file's name and the line."""
        return f"{Path(self.file).name}:{self.line}"


def known_only(words: Mapping[str, Any]) -> dict[str, Any]:
    """The words that `backfill()` knows; DefinitionError where others were caught in `unknown`."""
    given = dict(words)
    for word in given.pop("unknown"):
        near = difflib.get_close_matches(word, given, n=1)
        fix = f"did you mean {near[0]}=?" if near else f"it takes {', '.join(sorted(given))}"
        if word in ("where", "columns", "key"):
            fix = 'it belongs to the source: table("wardrobe", key="id", where="style IS NOT NULL")'
        raise DefinitionError(f"backfill() does not know {word}=", found=f"{word}=…", fix=fix)
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The words of `backfill()` as they were written, unchecked."""

    source: Any
    fills: Any
    sql: Any
    into: Any
    emits: Any
    touches: Any
    version: Any
    missing: Any
    stamp: Any
    made_by: Any
    batch: Any
    bisect: Any
    checks: Any
    params: Any
    sensitive: Any
    undo_for: Any
    preserve: Any
    budget: Any
    concurrency: Any
    depends: Any
    watch: Any
    name: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is checked but concerns no store."""

    checks: tuple[Callable[..., Any], ...]
    ready: tuple[Ready, ...]
    depends: tuple[str, ...]
    signals: tuple[Watch, ...]
    made_by: tuple[str, ...]


class Refusal:
    """Raises errors that say which backfill, and where it is defined."""

    def __init__(self, name: str, place: Place) -> None:
        self.subject = f"{name} ({place})"

    def __call__(self, what: str, found: str, fix: str) -> DefinitionError:
        """The error, to be raised by the caller."""
        return DefinitionError(f"{self.subject}: {what}", found=found, fix=fix)


def read(given: Given, function: Any, place: Place) -> tuple[Spec, Call, Policy]:
    """Check every word; raises DefinitionError with the right code."""
    name = _name(given.name, function, place)
    no = Refusal(name, place)
    try:
        _source(given, no)
        call = examine(function, given.batch, sql=given.sql is not None, refuse=no)
        spec = _spec(given, name, no)
        _parameters(given, spec, no)
        return spec, call, _policy(given, spec, place, no)
    except DefinitionError as error:
        if error.what.startswith(no.subject):
            raise
        raise no(error.what, error.found, error.fix) from None


def _name(name: Any, function: Any, place: Place) -> str:
    found = name if name is not None else getattr(function, "__name__", None)
    if not isinstance(found, str) or not NAME.fullmatch(found):
        raise DefinitionError(
            f"a backfill at {place} needs a name of letters, digits, '_', '-' and '.'",
            found=short(repr(found)),
            fix='decorate a named function, or give one: name="lower_style"',
        )
    return found


def _source(given: Given, no: Refusal) -> None:
    source = given.source
    if not isinstance(source, Table | Query | Grid):
        bare = callable(source)
        raise no(
            "the first argument is where the rows come from: table(…), query(…) or grid(…)",
            "@backfill without parentheses" if bare else short(repr(source)),
            RIGHT,
        )
    if check_touches(given, no) and touches_alone(given):
        return
    if isinstance(source, Query) and given.into is None and given.emits is None:
        raise no(
            "the rows of a query cannot be written, so it needs another table to write to",
            "query(…) without into=",
            'add the table: into=table("song_aboutness", key="song_id")',
        )
    if isinstance(source, Grid) or given.emits is not None:
        check_grid(given, no)
    if given.into is None:
        return
    into = given.into
    if not isinstance(into, Table) or into.where is not None or into.columns is not None:
        raise no(
            "into= is a table and its key, without where= and columns=",
            short(repr(into)) if not isinstance(into, Table) else "where= or columns= in it",
            'into=table("song_aboutness", key="song_id")',
        )
    if len(into.key) != len(source.key):
        raise no(
            "the key of into= takes the values of the source's key, column by column",
            f"{len(source.key)} columns in the source's key, {len(into.key)} in that of into=",
            "name as many columns, in the same order",
        )


def _spec(given: Given, name: str, no: Refusal) -> Spec:
    touches, alone = touches_of(given), touches_alone(given)
    source, into = given.source, given.emits or given.into
    fills = () if alone else _fills(given, no)
    stamp = None if given.stamp is None else text("stamp", given.stamp, 'stamp="style_version"')
    version = given.version
    if not isinstance(version, str) or not version.strip():
        raise no("a version is a text", f"version={version!r}", 'version="1.0"')
    spec = Spec(
        backfill=name,
        version=version,
        kind=Source.TABLE if isinstance(source, Table) else Source.QUERY,
        source=source.name if isinstance(source, Table) else source.sql,
        key=source.key,
        fills=fills,
        columns=source.columns if isinstance(source, Table) else None,
        where=source.where,
        missing=condition("missing", given.missing),
        stamp=stamp,
        into=into.name if into is not None else None,
        into_key=tuple(part.column for part in into.key) if into is not None else (),
        sql=_sql(given.sql, fills, no),
        guard=guard_of(source),
        preserve=_optional("preserve", given.preserve, 'preserve="updated_at"'),
        sensitive=_optional("sensitive", given.sensitive, 'sensitive=("email",)'),
        row_version=source.row_version if isinstance(source, Query) else None,
        attempts=source.attempts if isinstance(source, Grid) else ATTEMPTS if alone else 0,
        emits=given.emits is not None or alone,
        touches=touches,
    )
    if alone:  # what it writes to first stands for all, so that two of its runs see each other
        return replace(spec, into=touches[0].table, into_key=touches[0].key)
    _apart(spec, no)
    return spec


def _fills(given: Given, no: Refusal) -> tuple[str, ...]:
    if given.fills is None and isinstance(given.sql, Mapping) and given.sql:
        return names("sql", list(given.sql), 'sql={"style": "lower(style)"}')
    if given.fills is None:
        raise no("it must say which fields it fills", "no fills=", RIGHT)
    fills = names("fills", given.fills, 'fills="normalized" or fills=("style", "mood")')
    for fill in fills:
        if "" in fill.split("."):
            raise no(
                "a fill is a column, or a path of names inside a JSON column",
                f"fills={fill!r}",
                'fills="normalized" or fills="doc.normalized"',
            )
    return fills


def _apart(spec: Spec, no: Refusal) -> None:
    """No field is written twice, and none of them is in the key."""
    for i, one in enumerate(spec.writes):
        for other in spec.writes[:i]:
            if one == other or one.startswith(f"{other}.") or other.startswith(f"{one}."):
                raise no(
                    "a field is filled once, and the stamp is a field of its own",
                    f"{other!r} and {one!r}" if one != other else f"{one!r} twice",
                    "name each field once, and no field inside another",
                )
    key = set(spec.into_key) if spec.into else {part.column for part in spec.key}
    for what, columns in (("fill", spec.writes), ("preserve", spec.preserve)):
        wrong = [c for c in columns if c.partition(".")[0] in key]
        if wrong:
            raise no(
                f"it cannot {what} its own key",
                ", ".join(wrong),
                "a key stays what it is: fill another column",
            )
    both = [c for c in spec.preserve if c in {w.partition(".")[0] for w in spec.writes}]
    if both:
        raise no(
            "a field cannot be filled and preserved", ", ".join(both), "drop it from preserve="
        )


def _sql(sql: Any, fills: tuple[str, ...], no: Refusal) -> tuple[tuple[str, str], ...]:
    if sql is None:
        return ()
    right = 'fills="style", sql="lower(style)"; of two fills sql={"style": …, "mood": …}'
    if isinstance(sql, str):
        if len(fills) != 1:
            raise no("one expression fills one field", f"sql= for {len(fills)} fills", right)
        sql = {fills[0]: sql}
    if not isinstance(sql, Mapping) or set(sql) != set(fills):
        found = sorted(map(str, sql)) if isinstance(sql, Mapping) else short(repr(sql))
        raise no(
            "sql= needs one expression for every fill, and for nothing else",
            f"fills {', '.join(fills)}; sql {', '.join(found) if sql else 'nothing'}"
            if isinstance(found, list)
            else found,
            right,
        )
    checked = []
    for fill in fills:
        expression = text("sql", sql[fill], right)
        if expression.rstrip().endswith(";"):
            raise no("sql= is an expression, not a statement", short(expression), right)
        checked.append((fill, expression))
    return tuple(checked)


def _optional(what: str, given: Any, right: str) -> tuple[str, ...]:
    empty = given is None or (isinstance(given, Sequence) and not given)
    return () if empty else names(what, given, right)


def _parameters(given: Given, spec: Spec, no: Refusal) -> None:
    """Every `:name` in SQL is a parameter of the model."""
    right = "class Params(pydantic.BaseModel): since: date   …   params=Params"
    model = given.params
    if model is not None and not hasattr(model, "model_validate_strings"):
        raise no("params= is a pydantic model", short(repr(model)), right)
    known = set(model.model_fields) if model is not None else set()
    check_placeholders(spec, known, no)
    source = (spec.source,) if spec.kind is Source.QUERY else ()
    for sql in (*source, spec.where, spec.missing, *(e for _, e in spec.sql)):
        unknown = sorted(placeholders(sql or "") - known)
        if unknown:
            raise no(
                f":{unknown[0]} in its SQL is not a parameter",
                f"parameters: {', '.join(sorted(known)) or 'none'}",
                f"declare it: class Params(pydantic.BaseModel): {unknown[0]}: …   params=Params",
            )


def _checks(
    given: Given, spec: Spec, no: Refusal
) -> tuple[tuple[Callable[..., Any], ...], tuple[Ready, ...]]:
    """The author's own checks, and those of proctor.checks, each about a fill."""
    one = callable(given.checks) or isinstance(given.checks, Ready | str)
    checks = (given.checks,) if one else tuple(given.checks)
    ready = tuple(check for check in checks if isinstance(check, Ready))
    own = tuple(check for check in checks if not isinstance(check, Ready))
    if not all(callable(check) for check in own):
        raise no(
            "checks are of proctor.checks, or functions of (row, answer)",
            short(repr(given.checks)),
            'checks=[checks.length("style", most=100), lambda row, answer: answer["style"] != ""]',
        )
    if given.sql is not None and (own or not all(check.standing for check in ready)):
        raise no(
            "checks judge what a function answers, and sql= is computed in the database",
            "checks= beside sql=",
            "leave rows out with where=, write a CHECK constraint, or check what stands there "
            'afterwards: checks.sql("ordered", "low <= high")',
        )
    for check in ready:
        if not isinstance(check, Holds):  # which has a name in the place of a field
            _about(check, given.source, spec, no)
    return own, ready


def _about(check: Ready, source: Table | Query, spec: Spec, no: Refusal) -> None:
    """A check is about what is filled in, and compares it with what is read."""
    if not any(f"{check.field}.".startswith(f"{fill}.") for fill in spec.fills):
        raise no(
            f"check {check.kind} is about a fill, or a path inside one",
            f"{check.field!r}; the fills are {', '.join(spec.fills)}",
            f'checks.{check.kind}("{spec.fills[0]}", …)',
        )
    if not isinstance(source, Table) or source.columns is None:
        return
    read_too = {*source.columns, *(part.column for part in source.key)}
    for name in check.columns():
        if name.partition(".")[0] not in read_too:
            raise no(
                f"check {check.kind} compares with a column that is not read",
                f"{name!r}; columns= names {', '.join(source.columns)}",
                f'read it, too: columns=(…, "{name}")',
            )


def _policy(given: Given, spec: Spec, place: Place, no: Refusal) -> Policy:
    checks, ready = _checks(given, spec, no)
    if not isinstance(given.undo_for, timedelta) or given.undo_for <= timedelta(0):
        raise no("undo_for is a time", f"undo_for={given.undo_for!r}", "timedelta(days=30)")
    if not isinstance(given.budget, ErrorBudget):
        raise no("budget is an ErrorBudget", short(repr(given.budget)), "ErrorBudget(share=0.05)")
    if type(given.concurrency) is not int or given.concurrency < 1:
        raise no(
            "concurrency is how many async calls are in flight",
            f"concurrency={given.concurrency!r}",
            "concurrency=8",
        )
    if type(given.bisect) is not bool or not (given.bisect or given.batch):
        raise no(
            "bisect= says whether a list of rows that fails is tried again in halves",
            f"bisect={given.bisect!r}" + ("" if given.batch else " without batch="),
            "batch=10, bisect=False",
        )
    signals = (given.watch,) if isinstance(given.watch, Watch) else tuple(given.watch)
    if not all(isinstance(signal, Watch) for signal in signals):
        raise no("watch= takes Watch(…)", short(repr(given.watch)), "watch=[Watch(name=…, …)]")
    depends = _optional("depends", given.depends, 'depends="prompt.txt"')
    for name in depends:
        if not (Path(place.file).parent / name).is_file():
            raise no(
                "depends= names files beside the module",
                f"there is no {name!r} there",
                'depends="prompts/aboutness.txt"',
            )
    return Policy(
        checks=checks,
        ready=ready,
        depends=depends,
        signals=signals,
        made_by=_made_by(given, no),
    )


def _made_by(given: Given, no: Refusal) -> tuple[str, ...]:
    made_by = _optional("made_by", given.made_by, 'made_by="embedder"')
    if made_by and given.stamp is None:
        raise no(
            "made_by= says whose model the stamp names, and there is no stamp",
            "made_by= without stamp=",
            'stamp="embedding_model", a column of text',
        )
    return made_by
