"""Calls the author's function for every row of a page; no transaction is open meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import pickle

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from proctor.authoring import Backfill, Context, Declined, Unanswered
from proctor.core.answer import Answered, Failure, Refuse, Skip
from proctor.core.discreet import discreet
from proctor.core.emit import Emitting
from proctor.core.settle import spelling
from proctor.engine.called import first, halves, kept, pass_on_cancelling, told_apart
from proctor.engine.place import place_of
from proctor.engine.turns import Gate
from proctor.engine.whose import handed
from proctor.errors import AnswerError, OutOfQuota, ProctorError, ProviderRefused
from proctor.model import Key, Page, Row
from proctor.ports import Asking

Redact = Callable[[str], str]
"""Takes the secrets of a configuration out of a text."""
Records = dict[Key, dict[str, Any]]
"""What a function said of each unit with `ctx.record`."""
SHOWN = 200
"""Characters of an exception's message that are kept."""


async def compute(
    backfill: Backfill,
    page: Page,
    *,
    params: Any,
    now: datetime,
    redact: Redact = str,
    asking: Asking | None = None,
    seats: Gate | None = None,
    begun: Callable[[], None] | None = None,
    records: Records | None = None,
) -> list[Answered]:
    """One answer for each row, in step with the page; `redact` takes secrets out of reasons.

    `records` takes what the function says of its units beside their answers.

    A synchronous function is called for the whole page in one other thread, so that claims
    and heartbeats go on. An exception of the author's becomes a Failure with its type,
    message and place; what Proctor itself raises inside the function, and whatever is not an
    Exception (an interrupt, a cancellation), passes through.

    seats: rows in flight of all pages; begun: told when every row of this one has its seat, and
    another page may be begun. Both are of asynchronous functions that ask.
    """
    if not page.keys:
        return []
    call = Caller(backfill, page, params, now, redact, asking=asking, records=records)
    if backfill.is_async:
        return await _flown(call, seats, begun)
    return await asyncio.to_thread(_staying, call)


def _staying(call: Caller) -> list[Answered]:
    """Compute; a function that ends the process would else end the run with its own code."""
    try:
        return _called(call)
    except SystemExit as left:
        raise ended_the_process(call.backfill, left) from None


def ended_the_process(backfill: Backfill, left: SystemExit) -> AnswerError:
    """The error for sys.exit() inside an author's function."""
    return AnswerError(
        f"the function of {backfill.name} ended its process",
        found=f"sys.exit({left.code!r})" if isinstance(left.code, int | None) else "sys.exit(…)",
        fix="return Skip(why) or Refuse(why) for a row that it cannot do, or raise an exception",
    )


def compute_now(backfill: Backfill, page: Page, *, params: Any, now: datetime) -> list[Answered]:
    """The same for a synchronous function, in this thread."""
    return _called(Caller(backfill, page, params, now))


def _called(call: Caller) -> list[Answered]:
    backfill = call.backfill
    if backfill.batch is not None:
        answers: list[Answered] = []
        for at in call.groups():
            answers += call.group(at)
        return call.checked(answers)
    return call.checked(call.with_ctx() if backfill.takes_ctx else call.plainly())


async def compute_async(
    backfill: Backfill,
    page: Page,
    *,
    params: Any,
    now: datetime,
    redact: Redact = str,
    asking: Asking | None = None,
    records: Records | None = None,
) -> list[Answered]:
    """The same for an asynchronous function, at most `concurrency` calls in flight."""
    return await _flown(Caller(backfill, page, params, now, redact, asking=asking, records=records))


async def _flown(
    call: Caller, seats: Gate | None = None, begun: Callable[[], None] | None = None
) -> list[Answered]:
    """Every row of an asynchronous function."""
    backfill, page = call.backfill, call.page
    single = backfill.batch is None
    spans = [slice(i, i + 1) for i in range(len(page.keys))] if single else list(call.groups())
    answers: list[list[Answered]] = [[] for _ in spans]
    queue = deque(enumerate(spans))

    async def lane() -> None:
        while queue:
            async with seats or contextlib.nullcontext():
                if not queue:
                    return
                number, at = queue.popleft()
                if not queue and seats is not None and begun is not None:
                    begun()
                try:
                    given = [await call.row(at.start)] if single else await call.group_async(at)
                except SystemExit as left:
                    raise ended_the_process(backfill, left) from None
                answers[number] = given

    lanes = min((seats and seats.each) or backfill.concurrency, len(spans))
    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(lanes):
                tasks.create_task(lane())
    except BaseExceptionGroup as group:
        raise first(group) from None
    return call.checked([answer for several in answers for answer in several])


@dataclass(slots=True)
class Caller:
    """One page on its way through the author's function.

    Answers that are dicts are copied as they come: a function that fills one dict again and
    again would else give every row the last row's values. Where checks want to see the row
    too, the function gets a copy of it; else it may do with it what it likes, since nobody
    reads it again.
    """

    backfill: Backfill
    page: Page
    params: Any
    now: datetime
    redact: Redact = str
    asking: Asking | None = None
    records: Records | None = None
    fruitless: bool = False
    """Halving a group has found no row that it could save: others are not worth as many calls."""

    def plainly(self) -> list[Answered]:
        """Row by row without a context: the tight loop."""
        function: Callable[[Row], Any] = self.backfill.function  # type: ignore[assignment]
        answers: list[Answered] = []
        add = answers.append
        rows = iter(self.rows())
        while True:
            try:
                for row in rows:
                    answer = function(row)
                    add(answer.copy() if type(answer) is dict else answer)
            except Exception as error:  # noqa: BLE001 - the author's; the row fails and the run goes on
                add(self.failure(error, len(answers)))
            else:
                return answers

    def with_ctx(self) -> list[Answered]:
        """Row by row with a context of its own."""
        return [self._one(row, i) for i, row in enumerate(self.rows())]

    def _one(self, row: Row, i: int) -> Answered:
        try:
            return kept(self._call(row, slice(i, i + 1)))
        except Exception as error:  # noqa: BLE001 - as above
            return self.failure(error, i)

    async def row(self, i: int) -> Answered:
        """One row of an asynchronous function."""
        try:
            (row,) = self.rows(slice(i, i + 1))
            return kept(await self._call(row, slice(i, i + 1)))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as above
            pass_on_cancelling(error)
            return self.failure(error, i)

    def groups(self) -> Iterator[slice]:
        """Where the groups of a list function begin and end."""
        size = self.backfill.batch or 1
        for start in range(0, len(self.page.keys), size):
            yield slice(start, min(start + size, len(self.page.keys)))

    def group(self, at: slice, given: list[Row] | None = None) -> list[Answered]:
        """One group of a list function; in halves where it raises, down to the row that does."""
        rows = self.rows(at) if given is None else given
        spare = self._spare(rows)
        try:
            return self._shared(self._call(rows, at), at)
        except Exception as error:  # noqa: BLE001 - as above
            failed = self._all_failed(error, at)
        if spare is None:
            return failed
        saved = [a for half, some in halves(at, spare) for a in self.group(half, some)]
        self._learn(saved)
        return saved

    async def group_async(self, at: slice, given: list[Row] | None = None) -> list[Answered]:
        """One group of an asynchronous list function; in halves as above."""
        rows = self.rows(at) if given is None else given
        spare = self._spare(rows)
        try:
            return self._shared(await self._call(rows, at), at)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as above
            pass_on_cancelling(error)
            failed = self._all_failed(error, at)
        if spare is None:
            return failed
        saved = [a for h, some in halves(at, spare) for a in await self.group_async(h, some)]
        self._learn(saved)
        return saved

    def _learn(self, saved: list[Answered]) -> None:
        """A service that is down fails for every row; one that is up fails for some."""
        if len(saved) == self.backfill.batch:
            self.fruitless = all(isinstance(answer, Failure) for answer in saved)

    def _spare(self, rows: list[Row]) -> bytes | None:
        """The rows as they were read, for a second call: the first may have changed them.

        None where there will be none. Pickled, for that costs a tenth of a deep copy, and only
        what raises is read again.
        """
        if not self.backfill.bisect or len(rows) < 2 or self.fruitless:
            return None
        try:
            return pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)
        except Exception:  # noqa: BLE001 - a value of a test's own that cannot be pickled
            return None

    def rows(self, at: slice = slice(None)) -> list[Row]:
        """The rows to hand over."""
        rows = list(self.page.rows[at])
        return [row.copy() for row in rows] if self.backfill.checks or self.backfill.ready else rows

    def _call(self, rows: Any, at: slice) -> Any:
        function: Callable[..., Any] = self.backfill.function  # type: ignore[assignment]
        if self.backfill.takes_ctx:
            key = self.page.keys[at.start]
            if self.asking is not None:
                rows = handed(self.backfill.spec, rows, self.page.keys[at])
            context = Context(
                params=self.params,
                now=self.now,
                key=key,
                asking=self.asking,
                awaits=self.backfill.is_async,
                record=self._record(key),
            )
            return function(rows, context)
        return function(rows)

    def _record(self, key: Key) -> dict[str, Any] | None:
        """Where a unit's function keeps its numbers: an attempt begins without any."""
        if not self.backfill.spec.attempts:
            return None
        kept: dict[str, Any] = {}
        if self.records is not None:
            self.records[key] = kept
        return kept

    def _shared(self, given: Any, at: slice) -> list[Answered]:
        """A list function's answers, one for each row of the group, or the same failure for all."""
        wanted = at.stop - at.start
        if isinstance(given, list | tuple) and len(given) == wanted:
            return [self._given(answer, at.start + i, at) for i, answer in enumerate(given)]
        found = (
            f"{len(given):,} answers"
            if isinstance(given, list | tuple)
            else f"a {type(given).__name__}"
        )
        reason = (
            f"the function returned {found} for {wanted:,} rows: return a list with one answer "
            "for each row, in their order"
        )
        return [Failure(reason)] * wanted

    def _given(self, answer: Any, i: int, at: slice) -> Answered:
        """One row's answer in a list; what came in its place is the row's failure or refusal."""
        if isinstance(answer, Declined):
            return answer.refuse
        if isinstance(answer, Unanswered):
            kind, said = type(answer).__name__, self.discreet(str(answer), i, at=at)
            code = getattr(self.backfill.function, "__code__", None)
            place = f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code else "rows:0"
            return Failure(f"{kind}: {said} at {place}", cause=f"{kind} at {place}")
        return kept(answer)

    def _all_failed(self, error: BaseException, at: slice) -> list[Answered]:
        return [self.failure(error, at.start, at)] * (at.stop - at.start)

    def failure(self, error: BaseException, i: int, at: slice | None = None) -> Failure | Refuse:
        """What is kept of an exception; what Proctor raised goes on its way."""
        error = told_apart(error)
        if isinstance(error, ProctorError):
            # From None: the cause would show what was just taken out.
            raise self._quiet(error) from None
        if isinstance(error, Declined):
            return error.refuse
        kind, place = type(error).__name__, place_of(error)
        message = self.discreet(" ".join(str(error).split()), i, at=at)
        said = f": {message}" if message else ""
        return Failure(f"{kind}{said} at {place}", cause=f"{kind} at {place}")

    def _quiet(self, error: ProctorError) -> ProctorError:
        """An error of Proctor's; a vendor's words in it may repeat what any row of the page sent.

        A copy, for every row that asked the same gets this one.
        """
        sensitive = self.backfill.spec.sensitive
        if not (sensitive and isinstance(error, ProviderRefused | OutOfQuota)):
            return error
        quiet = copy.copy(error)
        quiet.found = discreet(error.found, sensitive, *self.page.rows)
        return quiet

    def discreet(self, message: str, i: int, answer: Any = None, at: slice | None = None) -> str:
        """A message that quotes no sensitive field, of a group of any row's, cut for reports."""
        sensitive = self.backfill.spec.sensitive
        if sensitive:
            answered = answer if isinstance(answer, Mapping) else {}
            rows = self.page.rows[at or slice(i, i + 1)]
            message = discreet(message, sensitive, *rows, answered)
        message = self.redact(message.replace("\x00", ""))
        return message if len(message) <= SHOWN else f"{message[: SHOWN - 1]}…"

    def checked(self, answers: list[Answered]) -> list[Answered]:
        """The answers after the author's checks, in discreet words."""
        checks = bool(self.backfill.checks)
        if not checks and {dict}.issuperset(map(type, answers)):
            return answers
        for i, answer in enumerate(answers):
            if type(answer) is dict and not checks:
                continue
            if isinstance(answer, Skip | Refuse):
                why = self.discreet(str(answer.why), i)
                answers[i] = answer if why == answer.why else type(answer)(why)
            elif isinstance(answer, Mapping) and checks:
                answers[i] = self._check(answer, i)
            elif isinstance(answer, list) and checks:
                answers[i] = self._check_emitted(answer, i)
        return answers

    def _check(self, answer: Mapping[str, Any], i: int) -> Answered:
        if isinstance(spelling(self.backfill.spec.fills).read(answer), str):
            return answer  # it has not even the right fields: settling says so in better words
        return self._judged(answer, i)

    def _check_emitted(self, rows: list[Any], i: int) -> Answered:
        """A unit's rows are judged one by one, and one that is refused refuses them all."""
        if isinstance(Emitting(self.backfill.spec).read(rows), Failure):
            return rows  # as above
        for row in rows:
            word = self._judged(row, i)
            if isinstance(word, Refuse | Failure):
                return word
        return rows

    def _judged(self, answer: Mapping[str, Any], i: int) -> Answered:
        for check in self.backfill.checks:
            try:
                word = check(self.page.rows[i], answer)
            except Exception as error:  # noqa: BLE001 - as above
                return self.failure(error, i)
            if word is False or isinstance(word, str):
                name = getattr(check, "__name__", type(check).__name__)
                return Refuse(self.discreet(word or f"refused by the check {name}", i, answer))
        return answer


__all__ = ["compute", "compute_async", "compute_now"]
