"""How replies go out: whole, spoiled by a reset, or without end."""

from __future__ import annotations

import gzip
import json
import socket
import struct

from typing import Any

from proctor.testing.vendor.terms import Fault, Flaw

_MEGABYTE = 1_000_000


def reset(send: Any) -> None:
    """Reset the connection (RST), as a load balancer that dies does: ASGI has no word for it."""
    transport = send.__self__.transport
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


async def huge(send: Any, fault: Fault, headers: dict[str, str]) -> None:
    """A body that goes on for as many megabytes as the fault says."""
    packed = fault.flaw is Flaw.HUGE_PACKED
    block = b" " * _MEGABYTE
    if packed:
        await send_bytes(send, 200, gzip.compress(block * fault.megabytes, 9), headers | _GZIP)
        return
    await _start(send, 200, headers)
    for _ in range(fault.megabytes):
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b"{}"})


_GZIP = {"content-encoding": "gzip"}


async def reply(send: Any, status: int, body: Any, headers: dict[str, str]) -> None:
    """A reply of JSON."""
    await send_bytes(send, status, json.dumps(body).encode(), headers)


async def send_bytes(send: Any, status: int, body: bytes, headers: dict[str, str]) -> None:
    """A reply, whatever is in it."""
    await _start(send, status, {**headers, "content-length": str(len(body))})
    await send({"type": "http.response.body", "body": body})


async def _start(send: Any, status: int, headers: dict[str, str]) -> None:
    pairs = {"content-type": "application/json", **headers}.items()
    raw = [(name.encode(), value.encode()) for name, value in pairs]
    await send({"type": "http.response.start", "status": status, "headers": raw})


__all__ = ["huge", "reply", "reset", "send_bytes"]
