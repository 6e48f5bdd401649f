"""One HTTP service behind the seam: a request goes out once; a reply or an error returns."""

from __future__ import annotations

import asyncio
import json
import math

from collections.abc import Callable, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NoReturn

import httpx2

from proctor.adapters.providers.http import MOST_BYTES, begin_trace, hints_of, open_client
from proctor.adapters.providers.statuses import Case, broken, judged, unreadable
from proctor.core.request import rendered
from proctor.model import Ask, Finish, Price, Reply, ServiceSettings, Usage, canonical


class CalledService:
    """A `Provider` (see ports): one service, one request a call, no retries and no cookies."""

    most_together = 1

    def __init__(
        self,
        settings: ServiceSettings,
        secrets: Mapping[str, str],
        *,
        redact: Callable[[str], str] = str,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Nothing is sent before the first call.

        redact: takes other spellings of the secrets out of what a service says, before it is cut.
        """
        self._settings, self._secrets, self._redact = settings, secrets, redact
        self._client = open_client(settings.name, settings.timeout_s, most_bytes, key="url")
        # What one row's reply sets must not travel with another's.
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    async def call(self, ask: Ask) -> Reply:
        """Send once: see `Provider.call`. `raw` is `{"status": …, "body": …}`."""
        settings = self._settings
        if ask.model != settings.model:
            # An answer kept under another service's name would be given for its question.
            raise ValueError(f"{settings.name} is {settings.model}, not {ask.model}")
        request = rendered(settings, json.loads(ask.sent)["values"], self._secrets)
        headers = dict(request.headers)
        if settings.idempotency_key:
            headers[settings.idempotency_key] = ask.key
        trace = begin_trace()
        try:
            async with asyncio.timeout(settings.timeout_s):
                response = await self._client.request(
                    request.method, request.url, headers=headers, content=request.content
                )
        except Exception as fault:  # noqa: BLE001 - a strange reply may raise anything
            # From None: the library's own error holds the request, and with it the secrets.
            raise (trace.fault or broken(settings, fault, self._shown(str(fault)))) from None
        if not settings.expects(response.status_code):
            case = Case(settings, response.status_code, response.headers, self._found(response))
            raise judged(case)
        return Reply(
            raw=canonical({"status": response.status_code, "body": self._body(response)}),
            finish=Finish.STOP,
            usage=Usage(),
            hints=hints_of(response.headers),
        )

    async def call_many(self, asks: Sequence[Ask]) -> list[Reply]:
        """One after the other: a service is asked for one row."""
        return [await self.call(ask) for ask in asks]

    def price(self, model: str) -> Price | None:
        """What a request costs; None where nobody said."""
        return self._settings.price if model == self._settings.model else None

    async def aclose(self) -> None:
        """Give connections back."""
        await self._client.aclose()

    def _body(self, response: httpx2.Response) -> Any:
        """The reply as JSON, or as text where it says that it is plain text."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not response.content:
            return None
        if kind == "text/plain":
            return _text(response)
        try:
            return _json(response)
        except (ValueError, RecursionError):
            if not 200 <= response.status_code < 300:
                return None  # a page that says why there is nothing
            raise unreadable(self._settings, kind or "nothing") from None

    def _found(self, response: httpx2.Response) -> str:
        text = " ".join(self._shown(_text(response)).split())
        text = text if len(text) <= 300 else f"{text[:299]}…"
        return f"{response.status_code}: {text}" if text else str(response.status_code)

    def _shown(self, text: str) -> str:
        for secret in sorted(self._secrets.values(), key=len, reverse=True):
            text = text.replace(secret, "***")
        return self._redact(text)


def _text(response: httpx2.Response) -> str:
    """The reply as text; Python knows charsets that make none, and break instead."""
    try:
        return response.text
    except Exception:  # noqa: BLE001 - whatever such a charset leads to
        return response.content.decode("utf-8", "replace")


def _json(response: httpx2.Response) -> Any:
    """The reply's JSON: UTF-8 whatever its header says, which often errs, but where it is none."""
    try:
        return _numbered(response.content)
    except UnicodeDecodeError:
        if response.charset_encoding is None:
            raise
        return _numbered(_text(response))


def _numbered(told: str | bytes) -> Any:
    return json.loads(told, parse_constant=_no_number, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)  # 1e999 is no number, either


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


__all__ = ["CalledService"]
