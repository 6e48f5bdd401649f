"""A proxy that knows the steps of a conversation with Postgres and acts at a chosen one.

A step is a message that can change something: a simple query, or the execution of a prepared
one, outside of read-only transactions. Something happens `before` the step is let through; or
`after` the server has answered it and before the answer reaches the client; or at once, while the
message itself is `late` and reaches the server only when the client has long given up.
"""

import asyncio
import contextlib
import re
import struct
import threading

from dataclasses import dataclass
from typing import Any

from proxy import FaultProxy, _close, _Link, _reset

QUERY, PARSE, BIND, EXECUTE, SYNC = b"Q", b"P", b"B", b"E", b"S"
PARTS = (PARSE, BIND, EXECUTE, b"D", b"C")  # of a request that Sync completes
READY = b"Z"  # of the server: an answer is complete
COMMITS = rb"COMMIT\s*$"
ENDS = rb"(COMMIT|ROLLBACK)\s*$"
LATE = 0.3  # seconds for which a message that is still under way takes its time


@dataclass
class Fault:
    """What to do at which step; `only` counts the steps in whose text this is found."""

    at: int
    when: str
    do: Any
    only: bytes = b""
    released: threading.Event | None = None
    """When a late message goes on; None: after a moment."""

    async def arrival(self):
        """Wait until the late message arrives."""
        await asyncio.sleep(LATE)
        # The event is set by another thread, so that only looking tells.
        while self.released is not None and not self.released.is_set():  # noqa: ASYNC110
            await asyncio.sleep(LATE / 10)


class StepProxy(FaultProxy):
    """Counts steps over all its connections; `fault` is set before a life begins."""

    def __init__(self, host, port):
        self.fault = None
        self.steps = 0
        self.counted = 0
        self.texts = []
        super().__init__(host, port)

    def expect(self, fault=None):
        """Count from nothing, and do this at its step."""
        self.steps = self.counted = 0
        self.texts = []
        self.fault = fault

    def link(self, pair):
        """The two directions of one connection."""
        return StepLink(self, pair)

    def step(self, text):
        """Count a step; the fault, once, if this is the one it waits for."""
        self.steps += 1
        self.texts.append(text[-60:])
        fault = self.fault
        if fault is None or not re.search(fault.only, text):
            return None
        self.counted += 1
        if self.counted != fault.at:
            return None
        self.fault = None
        return fault


def cut(link):
    """The connection breaks: the client is told so by a reset, the server by an end of file."""
    link.proxy.cuts += 1
    _reset(link.client)


class StepLink(_Link):
    """One connection whose client side is taken apart into whole messages."""

    def __init__(self, proxy, pair):
        super().__init__(proxy, pair)
        self.rest = b""
        self.request = b""
        self.started = False
        self.parsed = {}
        self.bound = {}
        self.after = None
        self.reads = False
        self.answer = b""
        self.asked = 1  # the start-up is answered too
        self.answered = 0

    async def up(self, reader):
        """Let whole messages through, up to the one at which something happens."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._delay()
                self.rest += data
                passed, fault, held = self._take()
                self.server.write(passed)
                await self.server.drain()
                if fault is not None:
                    fault.do(self)
                    if fault.when == "late":
                        await fault.arrival()
                        self.server.write(held)
                        await self.server.drain()
                    if fault.released is None:
                        break
        await _close(self.server)

    def _take(self):
        """What passes, the fault that stops it, and what is held back for it.

        A request goes whole or not at all: a server that had half of one would be busy, not idle.
        """
        passed = b""
        while (message := self._whole()) is not None:
            fault = self._fault(message)
            self.request += message
            if fault is not None and fault.when != "after":
                held = self.request + self.rest
                self.request = self.rest = b""
                return passed, fault, held
            self.after = self.after or fault
            if message[:1] not in PARTS:
                self.asked += message[:1] in (QUERY, SYNC)
                passed, self.request = passed + self.request, b""
        return passed, None, b""

    async def down(self, reader):
        """Pass answers on, up to the one that must not arrive."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._delay()
                self._count_answers(data)
                if self.after is not None and self.answered >= self.asked:
                    self.after.do(self)
                    break
                self.client.write(data)
                await self.client.drain()
        await _close(self.client)

    def _count_answers(self, data):
        """Count whole answers: each ends with ReadyForQuery."""
        if not self.started:
            return  # one byte that answers a request for TLS
        self.answer += data
        while len(self.answer) >= 5:
            size = 1 + struct.unpack("!i", self.answer[1:5])[0]
            if len(self.answer) < size:
                return
            self.answered += self.answer[:1] == READY
            self.answer = self.answer[size:]

    def _whole(self):
        """The next whole message of the client, None while there is none."""
        head = 0 if not self.started else 1
        if len(self.rest) < head + 4:
            return None
        size = head + struct.unpack("!i", self.rest[head : head + 4])[0]
        if len(self.rest) < size:
            return None
        message, self.rest = self.rest[:size], self.rest[size:]
        if not self.started:
            # A request for TLS or GSS is answered by one byte; the start-up message follows.
            self.started = struct.unpack("!i", message[4:8])[0] >> 16 == 3
        return message

    def _fault(self, message):
        """The fault that belongs to this message, if it is a step and its turn has come."""
        kind, body = message[:1], message[5:]
        if not self.started or len(message) < 5:
            return None
        if kind == QUERY:
            return self._step(body.rstrip(b"\0"))
        if kind == PARSE:
            name, text, _ = body.split(b"\0", 2)
            self.parsed[name] = text
        elif kind == BIND:
            portal, name, _ = body.split(b"\0", 2)
            self.bound[portal] = self.parsed.get(name, b"")
        elif kind == EXECUTE:
            return self._step(self.bound.get(body.split(b"\0", 1)[0], b""))
        return None

    def _step(self, text):
        """Count a message unless its transaction only reads."""
        reads = self.reads or b"READ ONLY" in text
        self.reads = reads and not re.search(ENDS, text)
        return None if reads else self.proxy.step(text)
