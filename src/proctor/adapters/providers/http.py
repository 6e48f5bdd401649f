"""Our HTTP client under the vendors' libraries: sees headers, judges redirects, bounds replies.

A library hides the headers of good replies, follows redirects with the prompt in its hands, and
reads a reply to its end however long it is. Hooks on the client see every reply before it does.
"""

from __future__ import annotations

import contextvars
import zlib

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import httpx2

from proctor.errors import ProviderRefused
from proctor.model import Hints

MOST_BYTES: Final = 10_000_000
"""The longest reply that is read; the longest real ones, of embeddings, are half of that."""
CONNECT_S: Final = 10.0
_CONNECTIONS: Final = httpx2.Limits(max_connections=1000, max_keepalive_connections=200)
_PIECE: Final = 64 * 1024
_KEEPS_METHOD: Final = frozenset({307, 308})
_WORDS: Final = {"cap": "output cap", "temperature": "temperature"}
# As keys of JSON: inside a text the quotes would be escaped.
_KEYS: Final = {
    "cap": (b'"max_tokens":', b'"max_completion_tokens":', b'"maxOutputTokens":'),
    "temperature": (b'"temperature":',),
}
_LEFT: Final = {
    "requests": ("x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"),
    "tokens": (
        "x-ratelimit-remaining-tokens",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-input-tokens-remaining",
    ),
}


@dataclass(slots=True)
class Trace:
    """What the hooks saw of one call: the headers of its last reply, and why they broke it off."""

    needs: tuple[str, ...] = ()
    """What must stand in the request: `cap` and `temperature`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: ProviderRefused | None = None


_TRACE: Final[contextvars.ContextVar[Trace]] = contextvars.ContextVar("proctor_provider_call")


def begin_trace(needs: tuple[str, ...] = ()) -> Trace:
    """Watch the call that this task makes next."""
    trace = Trace(needs)
    _TRACE.set(trace)
    return trace


def hints_of(headers: Mapping[str, str], retry_after: float | None = None) -> Hints:
    """What the headers of a reply say of limits; what nobody can read is left out."""
    wait = retry_after if retry_after is not None else _number(headers.get("retry-after"))
    return Hints(
        retry_after=None if wait is None else timedelta(seconds=wait),
        requests_left=_left(headers, "requests"),
        tokens_left=_left(headers, "tokens"),
    )


def open_client(
    name: str,
    timeout_s: float,
    most_bytes: int,
    *,
    key: str = "base_url",
    transport: httpx2.AsyncBaseTransport | None = None,
) -> httpx2.AsyncClient:
    """The client of the provider of that name in proctor.toml, whose address stands under `key`.

    transport: what carries requests instead of the network.
    """

    async def look(request: httpx2.Request) -> None:
        trace = _TRACE.get()
        missing = [need for need in trace.needs if not _said(request.content, need)]
        if missing:
            trace.fault = ProviderRefused(
                f"the provider {name} has no way to be told the {_WORDS[missing[0]]}",
                found="its vendor's library leaves it out for this model",
                fix="leave it out of the question, or choose another model",
            )
            raise _Broken(str(trace.fault))

    async def judge(response: httpx2.Response) -> None:
        trace = _TRACE.get()
        trace.headers = response.headers
        if response.is_redirect:
            trace.fault = _judged(name, response, key)
            if trace.fault is not None:
                raise _Broken(str(trace.fault))
        if isinstance(response.stream, httpx2.AsyncByteStream):
            coding = response.headers.pop("content-encoding", "identity")
            response.stream = _Bounded(response.stream, coding, name, most_bytes, trace, key=key)

    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        limits=_CONNECTIONS,
        transport=transport,
        follow_redirects=True,
        # Replies are short, and unpacking them costs us more than the wire.
        headers={"accept-encoding": "identity"},
        event_hooks={"request": [look], "response": [judge]},
    )


class _Broken(httpx2.RequestError):
    """Breaks a call off inside the vendor's library; what is wrong stands in the trace."""


class _Bounded(httpx2.AsyncByteStream):
    """A reply's body, unpacked as it comes and never beyond the bound, packed or not."""

    def __init__(
        self,
        inner: httpx2.AsyncByteStream,
        coding: str,
        name: str,
        most: int,
        trace: Trace,
        *,
        key: str,
    ) -> None:
        self._inner, self._name, self._most, self._trace = inner, name, most, trace
        self._key = key
        self._coding = coding.strip().lower()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # 47: a gzip or zlib header, whichever comes.
        unpack = zlib.decompressobj(47) if self._coding in {"gzip", "deflate"} else None
        if unpack is None and self._coding != "identity":
            self._break(f"a reply packed as {self._coding}, which was not asked for")
        size = 0
        async for raw in self._inner:
            piece = raw
            while piece:
                part = piece if unpack is None else unpack.decompress(piece, _PIECE)
                piece = b"" if unpack is None else unpack.unconsumed_tail
                size += len(part)
                if size > self._most:
                    self._break(f"a reply of more than {self._most / 1e6:g} MB; it was cut off")
                yield part

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._inner.aclose()

    def _break(self, found: str) -> None:
        fault = ProviderRefused(
            f"the provider {self._name} sent what cannot be a reply",
            found=found,
            fix=f"see what answers at its {self._key}: a proxy or a portal may stand before it",
        )
        fault.may_be_paid = True
        self._trace.fault = fault
        raise _Broken(str(fault))


def _judged(name: str, response: httpx2.Response, key: str) -> ProviderRefused | None:
    """None where a redirect may be followed: to the same origin, and with the question in it."""
    here, there = response.request.url, response.next_request.url if response.next_request else None
    if there is None:
        there = here.join(response.headers.get("location", ""))
    same = (here.scheme, here.host, here.port) == (there.scheme, there.host, there.port)
    # A GET stays one, whatever sort of redirect it is.
    kept = response.status_code in _KEEPS_METHOD or response.request.method == "GET"
    if same and kept:
        return None
    return ProviderRefused(
        f"the provider {name} redirects to another address, and a question is not sent on",
        found=f"{response.status_code} from {here.scheme}://{here.netloc.decode()}"
        f" to {there.scheme}://{there.netloc.decode()}",
        fix=f"set {key} to the address that answers itself, if you trust it",
    )


def _said(body: bytes, need: str) -> bool:
    """Whether a request says what it must: libraries drop what they think a model cannot take."""
    return any(key in body for key in _KEYS[need])


def _left(headers: Mapping[str, str], word: str) -> int | None:
    told = (_number(headers.get(header)) for header in _LEFT[word])
    left = [int(number) for number in told if number is not None]
    return min(left) if left else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e9 else None


__all__ = ["CONNECT_S", "MOST_BYTES", "Trace", "begin_trace", "hints_of", "open_client"]
