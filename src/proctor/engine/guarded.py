"""The child's side of the guard-rail: imports the backfill, computes rows, sends answers back.

Rows come and answers go as pickles over pipes of its own: what the author prints goes to
stderr, and what he reads from stdin is empty.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pickle
import sys
import threading
import time

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from proctor.authoring import REGISTRY, Backfill, Failure
from proctor.core.answer import Answered
from proctor.core.settle import spelling
from proctor.core.values import tidy
from proctor.engine.columns import Notes
from proctor.engine.compute import compute_async, compute_now
from proctor.engine.guard import Guard, Refused
from proctor.engine.place import place_of
from proctor.engine.relay import Relay, receive, send
from proctor.errors import AuthorError, DefinitionError, ProctorError
from proctor.model import Key, Page, Row

SINGLE = 5
"""Rows that are computed one at a time before the lots double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the child must know before it can read anything else."""

    module: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The rows, as the author's function gets them."""

    keys: list[Key]
    rows: list[Row]
    params: Any
    now: datetime
    asks: bool = False
    """Whether the parent answers questions to providers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Answers for the next rows, how long their calls took, and the columns used until now.

    `unasked` says of each whether its answer is none, for a question to a provider was not asked.
    """

    answers: list[Answered]
    unasked: list[bool]
    seconds: float
    columns: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Nothing more will come, and why."""

    error: ProctorError


def main() -> None:
    """Serve one request and leave, without the exit hooks of what was imported."""
    source, sink = _channels()
    loop = asyncio.new_event_loop()  # it makes a pair of sockets, so before the guard is armed
    guard = Guard()
    sys.addaudithook(guard)
    guard.arm()
    try:
        backfill = _backfill(receive(source))
        request = receive(source)
        relay = Relay(source=source, sink=sink, loop=loop) if request.asks else None
        if relay is not None:
            threading.Thread(target=relay.listen, daemon=True).start()
        for part in _parts(backfill, request, loop, relay):
            _refuse_disguised(part, guard)
            send(sink, part)
    except BaseException as error:  # noqa: BLE001 - also SystemExit: the parent must hear of it
        # A library may have made another exception of a refusal, while it was imported, too.
        disguised = guard.refused and not isinstance(error, ProctorError)
        send(sink, Broken(error=_explained(guard.refused[0] if disguised else error)))
    os._exit(0)


def _unasked(backfill: Backfill, keys: list[Key], relay: Relay | None) -> list[bool]:
    """Of each row whether a question was not asked for it, or for the first of its group."""
    size, missing = backfill.batch or 1, relay.unasked if relay is not None else set()
    return [any(key in missing for key in (keys[i - i % size], keys[i])) for i in range(len(keys))]


def _refuse_disguised(part: Part, guard: Guard) -> None:
    """A row that failed after a refusal failed by it, whatever exception a library made of it."""
    if guard.refused and any(isinstance(answer, Failure) for answer in part.answers):
        raise guard.refused[0]
    guard.refused.clear()


def _channels() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes to the parent, out of the way of print() and input()."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return source, sink


def _backfill(setup: Setup) -> Backfill:
    importlib.import_module(setup.module)
    found = REGISTRY.get(setup.name)
    if found is None:
        raise DefinitionError(
            f"{setup.name} is not there when its module is imported",
            found=f"importing {setup.module} defines {', '.join(sorted(REGISTRY)) or 'none'}",
            fix="define it at the top of a module that proctor.toml names",
        )
    return found


def _parts(
    backfill: Backfill, request: Request, loop: asyncio.AbstractEventLoop, relay: Relay | None
) -> Iterator[Part]:
    notes = Notes()
    for at in lots(backfill, len(request.keys)):
        count = len(request.keys[at])
        page = notes.on(
            Page(
                keys=request.keys[at],
                rows=request.rows[at],
                versions=[None] * count,
                images=[None] * count,
            )
        )
        began = time.perf_counter()
        if backfill.is_async:
            answers = loop.run_until_complete(
                compute_async(backfill, page, params=request.params, now=request.now, asking=relay)
            )
        else:
            answers = compute_now(backfill, page, params=request.params, now=request.now)
        seconds = time.perf_counter() - began
        yield Part(
            answers=[portable(a, backfill) for a in answers],
            unasked=_unasked(backfill, request.keys[at], relay),
            seconds=seconds,
            columns=frozenset(notes.names),
        )


def lots(backfill: Backfill, rows: int) -> Iterator[slice]:
    """Small lots first: a function that hangs is found out soon, and each lot is timed.

    The first call may import or compile; timed by itself it does not spoil the estimate.
    """
    unit = (backfill.batch or 1) * (backfill.concurrency if backfill.is_async else 1)
    start, size, number = 0, unit, 0
    while start < rows:
        yield slice(start, min(start + size, rows))
        start, number = start + size, number + 1
        if number >= SINGLE:
            size *= 2


def portable(answer: Answered, backfill: Backfill) -> Answered:
    """The answer if it can travel; else the failure that settling it would have given."""
    try:
        pickle.dumps(answer)
    except Exception:  # noqa: BLE001 - pickling raises whatever the object pleases
        found = spelling(backfill.spec.fills).read(answer)
        if isinstance(found, str):
            return Failure(found)
        for value in found:
            for why in tidy([value]).values():
                return Failure(why)
        return Failure("the function returned a value that cannot be copied or stored")
    return answer


def _explained(error: BaseException) -> ProctorError:
    """Whatever ended the child, as an error for the author."""
    if isinstance(error, Refused):
        return AuthorError(error.what, found=error.found, fix=error.fix)
    if isinstance(error, ProctorError):
        return error
    kind = f"{type(error).__name__}: {error}".strip(": ")
    if isinstance(error, Exception):
        return DefinitionError(
            "the backfill's module cannot be imported where plans and dry runs compute",
            found=f"{kind} at {place_of(error)}",
            fix="there, environment variables with secrets and DSNs are absent: read them "
            "inside the function that needs them, not at import",
        )
    return AuthorError(
        "the function ended its process",
        found=f"{kind} at {place_of(error)}",
        fix="return Skip(why) or Refuse(why), or raise an exception for a row that fails",
    )
