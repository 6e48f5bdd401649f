"""A TCP proxy with faults before a Postgres server: what a network does on a bad day.

It runs in a thread with a loop of its own, so that blocking and asynchronous clients can both be
put through it. It understands just enough of the protocol to count messages and to see COMMIT.
"""

import asyncio
import contextlib
import socket
import struct
import threading

UNTYPED = 8  # bytes of the start-up message that has no type byte before its length


class FaultProxy:
    """Listens on `port` and forwards to the target, with the faults that are set at the moment.

    latency: seconds added to every piece of data in each direction.
    refuse: new connections are reset. blackhole: nothing passes, nothing is closed.
    drop_replies_after: when that many client messages have passed, replies of the server are
    lost and the connection is reset at the first of them. cut_at: bytes that, seen in what a client
    sends, are let through, after which the reply is lost the same way (b"COMMIT": lost commit).
    cut_before: the same bytes are not let through: the server never sees them.
    A fault of the last three kinds happens once and then turns itself off.
    """

    def __init__(self, host, port):
        self.target = (host, port)
        self.latency = 0.0
        self.refuse = False
        self.drop_replies_after = None
        self.cut_at = None
        self.cut_before = None
        self.client_messages = 0
        self.cuts = 0
        self.connections = 0
        self._pairs = set()
        self._tasks = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)
        self._thread.start()
        self._ready.wait()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @property
    def blackhole(self):
        return not self._passing.is_set()

    @blackhole.setter
    def blackhole(self, on):
        change = self._passing.clear if on else self._passing.set
        self._loop.call_soon_threadsafe(change)

    def link(self, pair):
        """What carries one client's connection; a proxy that knows more carries it otherwise."""
        return _Link(self, pair)

    def reset(self):
        """Reset every connection that is open now."""
        asyncio.run_coroutine_threadsafe(self._reset_all(), self._loop).result(10)

    def close(self):
        """Stop listening, reset what is open and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def _run(self):
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._passing = asyncio.Event()
        self._passing.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        self._passing.set()
        server.close()
        await self._reset_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _reset_all(self):
        for pair in tuple(self._pairs):
            for writer in pair:
                _reset(writer)
        await asyncio.sleep(0)

    async def _accept(self, reader, writer):
        self._tasks.add(task := asyncio.current_task())
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        if self.refuse:
            _reset(writer)
            return
        try:
            there_reader, there = await asyncio.open_connection(*self.target)
        except OSError:
            _reset(writer)
            return
        pair = (writer, there)
        self._pairs.add(pair)
        link = self.link(pair)
        try:
            await asyncio.gather(link.up(reader), link.down(there_reader))
        finally:
            self._pairs.discard(pair)


class _Link:
    """One client and its connection to the server."""

    def __init__(self, proxy, pair):
        self.proxy = proxy
        self.client, self.server = pair
        self.parser = _Messages()
        self.deaf = False  # replies are lost from here on

    async def up(self, reader):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(65536):
                await self._delay()
                if not self._passes(data):
                    break
                self.server.write(data)
                await self.server.drain()
        await _close(self.server)

    async def down(self, reader):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(65536):
                await self._delay()
                if self.deaf:
                    self.proxy.cuts += 1
                    _reset(self.client)
                    break
                self.client.write(data)
                await self.client.drain()
        await _close(self.client)

    async def _delay(self):
        await self.proxy._passing.wait()
        if self.proxy.latency:
            await asyncio.sleep(self.proxy.latency)

    def _passes(self, data):
        proxy = self.proxy
        proxy.client_messages += self.parser.count(data)
        if proxy.cut_before and proxy.cut_before in data:
            proxy.cut_before = None
            proxy.cuts += 1
            _reset(self.client)
            return False
        limit = proxy.drop_replies_after
        if limit is not None and proxy.client_messages >= limit:
            proxy.drop_replies_after = None
            self.deaf = True
        if proxy.cut_at and proxy.cut_at in data:
            proxy.cut_at = None
            self.deaf = True
        return True


class _Messages:
    """Counts whole messages of the client side of the Postgres protocol."""

    def __init__(self):
        self.rest = b""
        self.started = False

    def count(self, data):
        self.rest += data
        seen = 0
        while (size := self._next()) is not None and len(self.rest) >= size:
            self.rest = self.rest[size:]
            seen += 1
        return seen

    def _next(self):
        """How many bytes the next message has, None while its length is not known."""
        if not self.started:
            if len(self.rest) < UNTYPED:
                return None
            (length, code) = struct.unpack("!ii", self.rest[:UNTYPED])
            # A request for TLS or GSS is answered by one byte; the start-up message follows.
            self.started = code >> 16 == 3
            return length
        if len(self.rest) < 5:
            return None
        return 1 + struct.unpack("!i", self.rest[1:5])[0]


def _reset(writer):
    """Close with RST: the other side sees a broken connection, not an orderly end."""
    if (raw := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def _close(writer):
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
