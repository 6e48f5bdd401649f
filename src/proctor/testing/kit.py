"""For authors: run a backfill on rows in memory, and assert what a good backfill does.

    from proctor.testing import assert_idempotent, run_backfill

    def test_styles_are_lowered():
        done = run_backfill(normalize, [{"id": 1, "style": " Red ", "normalized": None}])
        assert done.outcome.written == 1
        assert done.rows[0]["normalized"] == {"style": ["red"]}

The function is called and its answers are settled by the very code that a run uses. What only
a database can do is not there: concurrency, triggers, column types; `dry-run` shows those.
"""

from __future__ import annotations

import asyncio
import copy
import json

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from proctor.adapters.languages import detect
from proctor.authoring import Backfill
from proctor.core.answer import Answered
from proctor.core.checks import review
from proctor.core.settle import settle
from proctor.engine.compute import compute
from proctor.engine.judging import review_units
from proctor.errors import UsageError
from proctor.model import Issue, Key, Outcome, Page, Row, Settled, Spec
from proctor.testing.snippets import evaluate

NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""When a run of the kit began, unless told otherwise: `ctx.now`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KitResult:
    """How a run in memory ended.

    outcome: the books; they balance. rows: the source's rows afterwards, in the order given.
    target: the rows of the table that was written; the same as `rows` without `into=`.
    issues: rows that were read and not written, with reasons. written: the fields that were
    written, by key.
    """

    outcome: Outcome
    rows: list[Row]
    target: list[Row]
    issues: tuple[Issue, ...]
    written: dict[Key, dict[str, Any]]

    @property
    def reasons(self) -> dict[Key, str]:
        """Why rows were not written, by key."""
        return {issue.key: issue.reason for issue in self.issues}


def run_backfill(
    backfill: Backfill,
    rows: Iterable[Mapping[str, Any]],
    *,
    params: Mapping[str, Any] | None = None,
    target: Iterable[Mapping[str, Any]] = (),
    eligible: Callable[[Row], bool] | None = None,
    now: datetime = NOW,
    strict: bool = True,
) -> KitResult:
    """Run a backfill on rows in memory; the rows given are not changed.

    rows: what the source would give: each a mapping of column name to value, with its key.
    params: parameters by name. target: rows that stand in the table of `into=` already.
    eligible: judges a row in place of `where=` and `missing=`, which else are evaluated with
    SQLite. now: what `ctx.now` says. strict: a bug in every answer raises AnswerError, as the
    first page of a run does; False lists each row as failed.
    """
    spec, bound = backfill.bind(_texts(params or {}))
    memory = Memory(spec, rows, target)
    keys = [key for key in memory.source if memory.reads(key, eligible)]
    page = memory.page(keys)
    if spec.sql:
        given: Sequence[Answered] = [memory.expressions(key) for key in keys]
    else:
        given = _waited(backfill, page, bound, now)
        if spec.emits:
            given = review_units(backfill, page, given, spec, detect).answers
        else:
            given = review(backfill.ready, page, given, spec.fills, detect=detect).answers
    settled = settle(page, given, spec, strict=strict)
    written, count = _written(memory, settled)
    unchanged = len(settled.index) - count
    return KitResult(
        outcome=settled.outcome
        + Outcome(read=len(settled.index), written=count, unchanged=unchanged),
        rows=list(memory.source.values()),
        target=list(memory.target.values()),
        issues=settled.issues,
        written=written,
    )


def _written(memory: Memory, settled: Settled) -> tuple[dict[Key, dict[str, Any]], int]:
    """Write what was settled: the fields by key of the row, and how many rows or units that is."""
    spec, written = memory.spec, dict[Key, dict[str, Any]]()
    if spec.emits:
        units = 0
        for rows in settled.emitted:
            given = [(key, dict(zip(spec.writes, values, strict=True))) for key, values in rows]
            done = [(key, fields) for key, fields in given if memory.upsert(key, fields)]
            written |= dict(done)
            units += bool(done)
        return written, units
    for i, values in zip(settled.index, settled.values, strict=True):
        key, fields = settled.page.keys[i], dict(zip(spec.writes, values, strict=True))
        if memory.write(key, fields):
            written[key] = fields
    return written, len(written)


def assert_idempotent(
    backfill: Backfill, rows: Iterable[Mapping[str, Any]], **how: Any
) -> KitResult:
    """Assert that running again changes nothing; returns the first run.

    Three things: the same rows give the same values twice; a second run over the result
    writes nothing; and the function, called again on rows that were written, gives the same
    values, so that a row which is read twice after a crash comes out the same. `how` is what
    `run_backfill` takes.
    """
    given = [dict(row) for row in rows]
    first = run_backfill(backfill, given, **how)
    again = run_backfill(backfill, given, **how)
    _same(first.written, again.written, "computes other values from the same rows")
    after = {**how, "target": first.target} if backfill.spec.into else how
    second = run_backfill(backfill, first.rows, **after)
    if second.written:
        raise AssertionError(
            f"{backfill.name} is not idempotent: a second run over its result writes "
            f"{len(second.written)} rows again, the first with key {next(iter(second.written))}"
        )
    third = run_backfill(backfill, first.rows, **{**after, "eligible": lambda _row: True})
    changed = {key: fields for key, fields in third.written.items() if key in first.written}
    expected = {key: first.written[key] for key in changed}
    _same(expected, changed, "computes other values from the rows that it wrote")
    return first


def assert_only_declared_fields(
    backfill: Backfill, rows: Iterable[Mapping[str, Any]], **how: Any
) -> KitResult:
    """Assert that the function gives exactly the fills, and leaves the row it is given alone.

    A run writes nothing else in any case: an undeclared field fails its row, and a row that
    the function changed in place is thrown away. Both are surprises that a test should find.
    Returns the run.
    """
    given = [dict(row) for row in rows]
    done = run_backfill(backfill, given, **{**how, "strict": False})
    odd = [issue for issue in done.issues if "fills= does not name" in issue.reason]
    if odd:
        raise AssertionError(f"{backfill.name}, row {odd[0].key}: {odd[0].reason}")
    for key, column in _spoilt(backfill, given, how):
        raise AssertionError(
            f"{backfill.name} changes {column!r} of the row that it is given (key {key}), which "
            "is not written: return the value under a declared fill, or work on a copy"
        )
    return done


def _spoilt(
    backfill: Backfill, rows: Sequence[Row], how: Mapping[str, Any]
) -> Iterable[tuple[Key, str]]:
    """Columns that the function changes in the rows it is given."""
    if backfill.function is None:
        return
    spec, bound = backfill.bind(_texts(how.get("params") or {}))
    memory = Memory(spec, rows, how.get("target", ()))
    page = memory.page([k for k in memory.source if memory.reads(k, how.get("eligible"))])
    before = copy.deepcopy(list(page.rows))
    # Without checks the function is given the page's own rows, so that changes can be seen.
    _waited(replace(backfill, checks=(), ready=()), page, bound, how.get("now", NOW))
    for key, was, row in zip(page.keys, before, page.rows, strict=True):
        for column in {*was, *row}:
            if was.get(column) != row.get(column):
                yield key, column


def _same(one: Mapping[Key, Any], other: Mapping[Key, Any], what: str) -> None:
    for key in {**one, **other}:
        first, second = one.get(key, {}), other.get(key, {})
        for field in {**first, **second}:
            if first.get(field) != second.get(field):
                raise AssertionError(
                    f"not idempotent: it {what}: {field!r} of row {key} is first "
                    f"{first.get(field)!r} and then {second.get(field)!r}"
                )


def _waited(backfill: Backfill, page: Page, params: Any, now: datetime) -> list[Answered]:
    """Compute in a thread of its own: a test may be inside an event loop already."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(
            lambda: asyncio.run(compute(backfill, page, params=params, now=now))
        ).result()


def _texts(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as a person would type them."""
    return {
        name: json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
        for name, value in params.items()
        if value is not None
    }


class Memory:
    """The source and the target as rows by key."""

    def __init__(
        self, spec: Spec, rows: Iterable[Mapping[str, Any]], target: Iterable[Mapping[str, Any]]
    ) -> None:
        self.spec = spec
        self.params = dict(spec.params)
        self.source = _by_key(rows, [part.column for part in spec.key], "rows")
        self.target = self.source
        if spec.into is not None:
            self.target = _by_key(target, spec.into_key, "target")

    def reads(self, key: Key, eligible: Callable[[Row], bool] | None) -> bool:
        """Whether a run would read this row."""
        row, spec = self.source[key], self.spec
        if eligible is not None:
            return bool(eligible(copy.deepcopy(row)))
        if spec.where is not None and not evaluate(spec.where, row, self.params):
            return False
        target = self.target.get(key)
        if target is None or spec.emits:  # what a unit will write is not known yet
            return True
        if spec.stamp is not None and look(target, spec.stamp) != spec.version:
            return True
        if spec.missing is not None:
            return bool(evaluate(spec.missing, target, self.params))
        return any(look(target, fill) is None for fill in spec.fills)

    def page(self, keys: Sequence[Key]) -> Page:
        """These rows as the function gets them: copies, of the columns that the source names."""
        rows = [copy.deepcopy(self.source[key]) for key in keys]
        if self.spec.columns is not None:
            rows = [{column: row.get(column) for column in self.spec.columns} for row in rows]
        elif self.spec.into is None:
            filled = [write.partition(".")[0] for write in self.spec.writes]
            rows = [dict.fromkeys(filled) | row for row in rows]
        return Page(
            keys=list(keys), rows=rows, versions=[None] * len(keys), images=[None] * len(keys)
        )

    def expressions(self, key: Key) -> dict[str, Any]:
        """What `sql=` gives for a row."""
        row = self.source[key]
        return {fill: evaluate(text, row, self.params) for fill, text in self.spec.sql}

    def write(self, key: Key, fields: Mapping[str, Any]) -> bool:
        """Write a row's fields; False where they stood there already."""
        row = self.target.get(key)
        if row is None:
            values = [self.source[key][part.column] for part in self.spec.key]
            row = self.target[key] = dict(zip(self.spec.into_key, values, strict=True))
        elif all(look(row, name) == value for name, value in fields.items()):
            return False
        for name, value in fields.items():
            put(row, name, copy.deepcopy(value))
        return True

    def upsert(self, key: Key, fields: Mapping[str, Any]) -> bool:
        """Insert or update a row that a unit gave; False where it stood there already."""
        row = self.target.get(key)
        if row is None:
            row = self.target[key] = dict(zip(self.spec.into_key, key, strict=True))
        elif all(look(row, name) == value for name, value in fields.items()):
            return False
        for name, value in fields.items():
            put(row, name, copy.deepcopy(value))
        return True


def _by_key(rows: Iterable[Mapping[str, Any]], key: Sequence[str], what: str) -> dict[Key, Row]:
    found: dict[Key, Row] = {}
    for row in rows:
        absent = [column for column in key if row.get(column) is None]
        if absent:
            raise UsageError(
                f"each row needs its key: {', '.join(key)}",
                found=f"a row of {what} without {', '.join(absent)}",
                fix=f"run_backfill(…, [{{{', '.join(f'{c!r}: 1' for c in key)}, …}}])",
            )
        at: Key = tuple(_part(row[column]) for column in key)
        if at in found:
            raise UsageError(f"two rows of {what} have the key {at}", fix="keys are unique")
        found[at] = copy.deepcopy(dict(row))
    return found


def _part(value: Any) -> str | int:
    """A key's part as stores hand it out: JSON-safe."""
    return value if isinstance(value, str | int) else str(value)


def look(row: Mapping[str, Any], name: str) -> Any:
    """A field's value; None where it is null or its path is not there."""
    if name in row:
        return row[name]
    head, *path = name.split(".")
    value = row.get(head)
    for part in path:
        value = _document(value)
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def put(row: Row, name: str, value: Any) -> None:
    """Set a field, at its path inside a document; one kept as JSON text stays text."""
    head, *path = name.split(".")
    if not path:
        row[head] = value
        return
    text = isinstance(row.get(head), str)
    document = _document(row.get(head))
    document = document if isinstance(document, dict) else {}
    inner = document
    for part in path[:-1]:
        if not isinstance(inner.get(part), dict):
            inner[part] = {}
        inner = inner[part]
    inner[path[-1]] = value
    row[head] = json.dumps(document, ensure_ascii=False) if text else document


def _document(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return None
    return value
