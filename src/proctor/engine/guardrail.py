"""Calls the author's function for plans, dry runs and checks in a child that may only compute.

The child gets rows over a pipe and an environment without DSNs and secrets, and an audit hook
refuses sockets, subprocesses and writes to files. What it asks providers goes over the pipe to
this process, which has the keys and answers as far as it may. This is a guard-rail, not a
sandbox: it catches what an honest function does by mistake; see engine/guard for what it does
not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import re
import signal
import statistics
import sys

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from proctor.authoring import Backfill
from proctor.core.answer import Answered
from proctor.engine.guarded import Broken, Part, Request, Setup
from proctor.engine.relay import LENGTH, Question, framed
from proctor.errors import AuthorError, DefinitionError
from proctor.model import Page

if TYPE_CHECKING:
    from proctor.engine.sampling import Sampler

ALLOWED: Final = re.compile(
    r"PATH|HOME|LANG|LC_[A-Z]+|TZ|TMPDIR|LD_LIBRARY_PATH|SYSTEMROOT|PYTHON[A-Z0-9_]*"
)
"""The environment variables that the child inherits; every other may be a secret."""
PATIENCE: Final = timedelta(seconds=60)
_CHILD: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from proctor.engine.guarded import main; main()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """One answer for each row, and what was seen of the function on the way."""

    answers: list[Answered]
    per_row: timedelta
    """The usual time of the function for one row."""
    columns: frozenset[str] = frozenset()
    """Those of which the function took a value, of any row."""
    unasked: tuple[int, ...] = ()
    """The places of rows without an answer: their question to a provider was not asked."""


async def guarded(
    backfill: Backfill,
    page: Page,
    *,
    params: Any,
    now: datetime,
    root: Path,
    sampler: Sampler | None = None,
    patience: timedelta = PATIENCE,
) -> Rehearsed:
    """Call the function for each row of the page.

    sampler: answers what it asks providers; without one there is no provider. patience: how long
    to wait for the next lot of rows, beside the time in which questions are answered. Raises
    AuthorError where the function did what is refused, ended its process or did not come back,
    DefinitionError where its module cannot be imported without secrets.
    """
    if not page.keys:
        return Rehearsed(answers=[], per_row=timedelta(0))
    answers: list[Answered] = []
    columns: frozenset[str] = frozenset()
    times: list[float] = []
    unasked: list[bool] = []
    async with _child(root) as child:
        request = Request(
            keys=list(page.keys),
            rows=list(page.rows),
            params=params,
            now=now,
            asks=sampler is not None,
        )
        talk = _Talk(child=child, backfill=backfill, patience=patience, sampler=sampler)
        sending = asyncio.create_task(_send(child, _packed(backfill, request)))
        try:
            while len(answers) < len(page.keys):
                part = await talk.part()
                answers += part.answers
                unasked += part.unasked
                columns = part.columns
                times += [part.seconds / len(part.answers)] * len(part.answers)
        finally:
            for task in (sending, *talk.answering):
                task.cancel()
            await asyncio.gather(sending, *talk.answering, return_exceptions=True)
    return Rehearsed(
        answers=answers,
        per_row=timedelta(seconds=statistics.median(times)),
        columns=columns,
        unasked=tuple(i for i, missing in enumerate(unasked) if missing),
    )


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What of an environment the child inherits."""
    return {name: value for name, value in given.items() if ALLOWED.fullmatch(name)}


@contextlib.asynccontextmanager
async def _child(root: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A spawned child; it does not outlive the block."""
    paths = [str(root), *(path for path in sys.path if path != str(root))]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-B",  # writing .pyc files would be refused
        "-c",
        _CHILD,
        json.dumps(paths),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment(os.environ),
    )
    try:
        yield child
    finally:
        # child.kill() would look first whether it ended, and so take its exit code away from
        # the event loop's watcher, which then warns of an unknown child.
        with contextlib.suppress(ProcessLookupError):
            if child.returncode is None:
                os.kill(child.pid, signal.SIGKILL)
        await child.communicate()


def _packed(backfill: Backfill, request: Request) -> bytes:
    """All that the child reads; the rows come second, for it imports the module in between."""
    setup = Setup(module=backfill.home[0], name=backfill.name)
    try:
        return framed(setup) + framed(request)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise DefinitionError(
            f"the rows or the parameters of {backfill.name} cannot be handed to another process",
            found=f"{type(error).__name__}: {error}",
            fix="define the model of the parameters at the top of its module",
        ) from error


async def _send(child: asyncio.subprocess.Process, data: bytes) -> None:
    """Hand the rows over while answers come back; a child that dies is noticed by the reader."""
    assert child.stdin is not None  # noqa: S101 - asked for above
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        child.stdin.write(data)
        await child.stdin.drain()


@dataclass(slots=True, kw_only=True)
class _Talk:
    """What is said with a child: its questions are answered while its rows are waited for."""

    child: asyncio.subprocess.Process
    backfill: Backfill
    patience: timedelta
    sampler: Sampler | None
    answering: set[asyncio.Task[None]] = field(default_factory=set)
    answered: float = 0.0
    """When the last question was, by the loop's clock."""

    async def part(self) -> Part:
        """The next lot of rows."""
        while True:
            match await self._message():
                case Question() as question:
                    task = asyncio.create_task(self._answer(question))
                    self.answering.add(task)
                    task.add_done_callback(self.answering.discard)
                case Part() as part:
                    return part
                case Broken(error=error):
                    raise error
                case other:
                    raise TypeError(type(other).__name__)

    async def _answer(self, question: Question) -> None:
        assert self.sampler is not None  # noqa: S101 - else the child has nobody to ask
        said = await self.sampler.serve(question)
        self.answered = asyncio.get_running_loop().time()
        await _send(self.child, framed(said))

    async def _message(self) -> Any:
        reading = asyncio.create_task(self._read())
        try:
            while True:
                done, _ = await asyncio.wait({reading}, timeout=self.patience.total_seconds())
                if done:
                    return reading.result()
                self._still_patient()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _still_patient(self) -> None:
        """A provider may take its time, and the child waits for it; the function may not."""
        since = asyncio.get_running_loop().time() - self.answered
        if not self.answering and since >= self.patience.total_seconds():
            raise AuthorError(
                f"the function of {self.backfill.name} did not come back",
                found=f"no answer for {self.patience.total_seconds():g} s in a plan or dry run",
                fix="make it end: a time-out for what it waits for, a bound for what it repeats",
            )

    async def _read(self) -> Any:
        assert self.child.stdout is not None  # noqa: S101 - asked for above
        try:
            size = int.from_bytes(await self.child.stdout.readexactly(LENGTH), "big")
            data = await self.child.stdout.readexactly(size)
        except asyncio.IncompleteReadError:
            raise _died(self.backfill, await self.child.wait()) from None
        return pickle.loads(data)  # noqa: S301 - from our own child, whose code runs here later


def _died(backfill: Backfill, code: int) -> AuthorError:
    how = f"it left with code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = f"signal {signal.Signals(-code).name}"
    return AuthorError(
        f"the process that called the function of {backfill.name} died",
        found=how,
        fix="look at what it printed above; a C library that it uses may have crashed",
    )
