"""Calls the author's function for plans, dry runs and checks in a child that may only compute.

The child gets rows over a pipe and an environment without DSNs and secrets, and an audit hook
refuses sockets, subprocesses and writes to files. This is a guard-rail, not a sandbox: it
catches what an honest function does by mistake; see engine/guard for what it does not.
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
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from proctor.authoring import Backfill
from proctor.core.answer import Answered
from proctor.engine.guarded import LENGTH, Broken, Part, Request, Setup, framed
from proctor.errors import AuthorError, DefinitionError
from proctor.model import Page

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


async def guarded(
    backfill: Backfill,
    page: Page,
    *,
    params: Any,
    now: datetime,
    root: Path,
    patience: timedelta = PATIENCE,
) -> Rehearsed:
    """Call the function for each row of the page.

    patience: how long to wait for the next lot of rows. Raises AuthorError where the function
    did what is refused, ended its process or did not come back, DefinitionError where its
    module cannot be imported without secrets.
    """
    if not page.keys:
        return Rehearsed(answers=[], per_row=timedelta(0))
    answers: list[Answered] = []
    columns: frozenset[str] = frozenset()
    times: list[float] = []
    async with _child(root) as child:
        request = Request(keys=list(page.keys), rows=list(page.rows), params=params, now=now)
        sending = asyncio.create_task(_send(child, _packed(backfill, request)))
        try:
            while len(answers) < len(page.keys):
                part = await _next(child, backfill, patience)
                answers += part.answers
                columns = part.columns
                times += [part.seconds / len(part.answers)] * len(part.answers)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
    return Rehearsed(
        answers=answers, per_row=timedelta(seconds=statistics.median(times)), columns=columns
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


async def _next(child: asyncio.subprocess.Process, backfill: Backfill, patience: timedelta) -> Part:
    assert child.stdout is not None  # noqa: S101 - asked for above
    try:
        async with asyncio.timeout(patience.total_seconds()):
            size = int.from_bytes(await child.stdout.readexactly(LENGTH), "big")
            data = await child.stdout.readexactly(size)
    except TimeoutError:
        raise AuthorError(
            f"the function of {backfill.name} did not come back",
            found=f"no answer for {patience.total_seconds():g} s in a plan or dry run",
            fix="make it end: a time-out for what it waits for, a bound for what it repeats",
        ) from None
    except asyncio.IncompleteReadError:
        raise _died(backfill, await child.wait()) from None
    match pickle.loads(data):  # noqa: S301 - from our own child, whose code runs here later
        case Part() as part:
            return part
        case Broken(error=error):
            raise error
        case other:
            raise TypeError(type(other).__name__)


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
