"""How the guard-rail's child asks providers: over the pipe to its parent, which has the keys."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from proctor.authoring import Unasked
from proctor.engine.whose import ROW
from proctor.model import Key, Kind, Place, Reply
from proctor.ports import TooLong

LENGTH = 8
"""Bytes of the length that stands before each message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the function asks, for the row of that key: one of `body`, `values` and `texts`."""

    number: int
    unit: Key
    provider: str | None
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    texts: Sequence[str] = field(default=(), repr=False)
    too_long: TooLong = "fail"
    values: Mapping[str, Any] | None = field(default=None, repr=False)
    attempt: int = 0
    """Above 0 where the answers to the same `body` before were no use."""
    sent: Sequence[Any] = field(default=(), repr=False)
    """Rows that go in one call: what is sent of each, and then each one's own `body`."""
    bodies: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    others: bool = False
    """Whether only the names of the provider's fallbacks are wanted."""

    @property
    def kind(self) -> Kind:
        """What is asked."""
        if self.values is not None:
            return Kind.HTTP
        return Kind.EMBED if self.body is None else Kind.CHAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What came of it: a reply, vectors, a value or the error; none of them: there is no answer."""

    number: int
    reply: Reply | None = None
    vectors: list[list[float]] | None = field(default=None, repr=False)
    value: tuple[Any, ...] = field(default=(), repr=False)
    """The one thing that a service gives, which may be None; empty where none was asked."""
    error: Exception | None = None
    replies: tuple[Reply | None, ...] = ()
    others: tuple[str, ...] | None = None
    unasked: bool = True
    """Whether nobody may pay for the answer, which is not kept."""


@dataclass(slots=True, kw_only=True)
class Relay:
    """ports.Asking in the child: what it is asked it hands to the parent, and waits."""

    source: BinaryIO
    sink: BinaryIO
    loop: asyncio.AbstractEventLoop
    waiting: dict[int, asyncio.Future[Said]] = field(default_factory=dict)
    unasked: set[Key] = field(default_factory=set)
    """The rows of which a question was not asked, for nobody may pay."""
    asked: int = 0

    @property
    def only_kept(self) -> bool:
        """See the port."""
        return False

    def place(self, provider: str | None, contract: str, row: object = None) -> Place | None:
        """See the port: nothing of a plan is read anew."""
        del provider, contract, row
        return None

    async def earlier(
        self, provider: str | None, body: Mapping[str, Any], place: Place | None
    ) -> Sequence[Reply]:
        """See the port."""
        del provider, body, place
        return ()

    async def chat(
        self, provider: str | None, body: Mapping[str, Any], place: Place | None = None
    ) -> Reply:
        """See the port."""
        del place
        reply = (await self._ask(provider, body=dict(body))).reply
        assert reply is not None  # noqa: S101 - the parent answers what was asked
        return reply

    async def another(
        self,
        provider: str | None,
        body: Mapping[str, Any],
        attempt: int,
        place: Place | None = None,
    ) -> Reply | None:
        """See the port."""
        del place
        return (await self._ask(provider, body=dict(body), attempt=attempt)).reply

    async def chat_rows(
        self,
        provider: str | None,
        alone: Mapping[str, Any],
        sent: Sequence[Any],
        bodies: Sequence[Mapping[str, Any]],
        *,
        fits: Callable[[Reply], bool],
        places: Sequence[Place | None],
    ) -> Sequence[Reply | None]:
        """See the port. The parent does not know what fits: what does not is repaired by itself."""
        del fits, places
        told = {"body": dict(alone), "sent": tuple(sent), "bodies": tuple(bodies)}
        return (await self._ask(provider, **told)).replies

    async def others(self, provider: str | None) -> Sequence[str]:
        """See the port."""
        return (await self._ask(provider, others=True)).others or ()

    def note(self, what: str, provider: str | None) -> None:
        """Nothing is counted in a plan."""

    async def embed(
        self, provider: str | None, texts: Sequence[str], too_long: TooLong = "fail"
    ) -> list[list[float]]:
        """See the port."""
        vectors = (await self._ask(provider, texts=tuple(texts), too_long=too_long)).vectors
        assert vectors is not None  # noqa: S101 - as above
        return vectors

    def waits(self) -> str:
        """See the port: nobody looks at a child."""
        return ""

    async def http(self, provider: str | None, values: Mapping[str, Any]) -> Any:
        """See the port."""
        (value,) = (await self._ask(provider, values=values)).value
        return value

    async def _ask(self, provider: str | None, **what: Any) -> Said:
        self.asked += 1
        question = Question(number=self.asked, unit=ROW.get(), provider=provider, **what)
        coming: asyncio.Future[Said] = self.loop.create_future()
        self.waiting[question.number] = coming
        send(self.sink, question)
        said = await coming
        if said.error is not None:
            raise said.error
        if said.unasked:
            self.unasked.add(question.unit)
            raise Unasked("no paid call is made here")
        return said

    def listen(self) -> None:
        """Take what the parent says until it is gone, in a thread of its own."""
        try:
            while True:
                self.loop.call_soon_threadsafe(self._hear, receive(self.source))
        except (EOFError, OSError):
            os._exit(1)  # nobody is there to compute for

    def _hear(self, said: Said) -> None:
        coming = self.waiting.pop(said.number)
        if not coming.done():
            coming.set_result(said)


def receive(source: BinaryIO) -> Any:
    """The next message; EOFError when the other side is gone."""
    size = int.from_bytes(source.read(LENGTH), "big")
    data = source.read(size)
    if not data:
        raise EOFError
    return pickle.loads(data)  # noqa: S301 - from our own parent


def send(sink: BinaryIO, message: object) -> None:
    """One message, with its length before it, after what the author printed until now."""
    sys.stdout.flush()
    sys.stderr.flush()
    sink.write(framed(message))
    sink.flush()


def framed(message: object) -> bytes:
    """A message as it goes over a pipe."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(LENGTH, "big") + data


__all__ = ["LENGTH", "Question", "Relay", "Said", "framed", "receive", "send"]
