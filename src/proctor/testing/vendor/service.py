"""HTTP services of the vendor: `/services/NAME/…`, with the same limits, faults and books."""

from __future__ import annotations

import asyncio
import hashlib
import json

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote

from proctor.testing.vendor.books import Account, Over
from proctor.testing.vendor.terms import Fault, Flaw
from proctor.testing.vendor.wire import huge, reply, reset, send_bytes

PREFIX: Final = "/services/"
_SAFE: Final = frozenset({"GET"})
_UNPAID: Final = {
    Flaw.SERVER_ERROR: (500, "The server had an error."),
    Flaw.UNAVAILABLE: (503, "The service is unavailable."),
    Flaw.OVERLOADED: (529, "Overloaded"),
    Flaw.LIMITED: (429, "Too many requests."),
    Flaw.OUT_OF_QUOTA: (402, "Payment required: the account has no money left."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a service, taken apart."""

    name: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str

    @classmethod
    def of(cls, scope: Any, body: bytes) -> Self:
        """From what the server was given; the path is decoded part by part."""
        name, _, path = scope["raw_path"].decode().removeprefix(PREFIX).partition("/")
        return cls(
            name=name,
            method=scope["method"],
            path="/".join(unquote(part) for part in path.split("/")),
            query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
            headers={k.decode().lower(): v.decode() for k, v in scope["headers"]},
            body=body.decode(),
        )

    @property
    def text(self) -> str:
        """All that shapes the reply, for faults and for counting what was asked again."""
        return json.dumps([self.method, self.path, self.query, self.body], ensure_ascii=False)


def right_reply(path: str = "", query: Mapping[str, str] | None = None, body: Any = None) -> Any:
    """What a service answers: all that it was told, and a number of thirteen digits made of it."""
    asked = {"path": path, "query": dict(query or {}), "body": body}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()
    number = int.from_bytes(digest[:5], "big") % 10**10
    return {"asked": asked, "items": [{"isbn": f"978{number:010d}"}]}


class Services:
    """Answers calls of services. A call whose text holds "unknown" is answered 404."""

    def __init__(
        self,
        key: str,
        accounts: Mapping[str, Account],
        fault: Callable[[str, Iterable[str]], Fault | None],
    ) -> None:
        self._key, self._accounts, self._fault = key, accounts, fault
        self._replies: dict[str, tuple[int, Any]] = {}

    async def __call__(self, call: Call, send: Any) -> None:
        """Key, name, limits, fault, reply, in that order."""
        account = self._accounts.get(call.name)
        if call.headers.get("authorization") != f"Bearer {self._key}":
            told = call.headers.get("authorization", "")
            await reply(send, 401, {"error": f"wrong key: {told}"}, {})
            return
        if account is None or account.served.kind != "service":
            await reply(send, 404, {"error": f"there is no service {call.name}"}, {})
            return
        tally = account.tally
        tally.at_once += 1
        tally.most_at_once = max(tally.most_at_once, tally.at_once)
        try:
            await self._served(call, account, send)
        finally:
            tally.at_once -= 1

    async def _served(self, call: Call, account: Account, send: Any) -> None:
        fault = self._fault(call.name, [call.text])
        if fault and not fault.flaw.paid:
            account.tally.failed += 1
            await _spoiled(fault, send)
            return
        admitted = account.admit(0)
        if isinstance(admitted, Over):
            account.tally.limited += 1
            daily = admitted.limit == "daily"
            said = "The daily quota is used up." if daily else "Too many requests per minute."
            await reply(send, 429, {"error": said}, {"retry-after": f"{admitted.retry_s:.3f}"})
            return
        if account.served.latency_s:
            await asyncio.sleep(account.served.latency_s)
        account.charge(admitted, [call.text], (0, 0))
        status, body = self._done(call, account)
        await _sent(send, status, body, fault)

    def _done(self, call: Call, account: Account) -> tuple[int, Any]:
        """The reply, and what was done for it: the same idempotency key does nothing twice."""
        key = call.headers.get("idempotency-key", "")
        if key and key in self._replies:
            return self._replies[key]
        status = 404 if "unknown" in call.text else 200
        body: Any = {"error": "there is nothing of that name"}
        if status == 200:
            told = _read(call)
            body = right_reply(call.path, call.query, told)
            if call.method not in _SAFE:
                effect = f"{call.path} {call.body}"
                account.tally.done[effect] = account.tally.done.get(effect, 0) + 1
        if key:
            self._replies[key] = status, body
        return status, body


def _read(call: Call) -> Any:
    if "json" in call.headers.get("content-type", "") and call.body:
        return json.loads(call.body)
    return call.body or None


async def _spoiled(fault: Fault, send: Any) -> None:
    """A call that goes wrong before it is charged."""
    if fault.flaw is Flaw.RESET_EARLY:
        reset(send)
        return
    if fault.flaw is Flaw.REDIRECT:
        await send_bytes(send, 307, b"", {"location": fault.to})
        return
    status, said = _UNPAID[fault.flaw]
    headers = {"retry-after": f"{fault.seconds:g}"} if fault.flaw is Flaw.LIMITED else {}
    await reply(send, status, {"error": said}, headers)


async def _sent(send: Any, status: int, body: Any, fault: Fault | None) -> None:
    """Send a reply that is charged, or spoil it on its way."""
    flaw = fault.flaw if fault else None
    if fault and flaw is Flaw.SILENT:
        await asyncio.sleep(fault.seconds)
    if flaw is Flaw.RESET_LATE:
        reset(send)
    elif flaw is Flaw.MALFORMED:
        await send_bytes(send, status, b'{"items": [{"is', {})
    elif flaw in {Flaw.STRANGE, Flaw.WRONG_SHAPE}:
        await reply(send, status, {"ok": True}, {})
    elif flaw is Flaw.ZERO:
        await send_bytes(send, 204, b"", {})
    elif flaw is Flaw.PORTAL:
        page = b"<html><title>Please log in</title></html>"
        await send_bytes(send, 200, page, {"content-type": "text/html"})
    elif fault and flaw in {Flaw.HUGE, Flaw.HUGE_PACKED}:
        await huge(send, fault, {})
    else:
        await reply(send, status, body, {})


__all__ = ["PREFIX", "Call", "Services", "right_reply"]
