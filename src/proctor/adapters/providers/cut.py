"""The wire cut in two: a direct call's request is taken down, or its reply comes from elsewhere.

So a question of a batch call is, to the byte, what a direct call would send, and what came of it
is read and judged as if it had come back on the wire.
"""

from __future__ import annotations

import contextvars

from dataclasses import dataclass, field
from typing import Final

import httpx2


@dataclass(slots=True)
class Cut:
    """One call at the cut: the reply that it gets, or else what it sent."""

    status: int | None = None
    body: bytes = b""
    sent: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


_CUT: Final[contextvars.ContextVar[Cut]] = contextvars.ContextVar("proctor_provider_cut")


def begin_cut(status: int | None = None, body: bytes = b"") -> Cut:
    """Cut the call that this task makes next; with a status it gets that reply."""
    cut = Cut(status=status, body=body)
    _CUT.set(cut)
    return cut


class CutTransport(httpx2.AsyncBaseTransport):
    """Sends nothing."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Take the request down, and reply with what is there."""
        cut = _CUT.get()
        cut.sent, cut.headers = await request.aread(), dict(request.headers)
        if cut.status is None:
            raise httpx2.RequestError("taken down, not sent", request=request)
        headers = {"content-type": "application/json"}
        return httpx2.Response(cut.status, headers=headers, content=cut.body, request=request)


__all__ = ["Cut", "CutTransport", "begin_cut"]
