"""Ask a flag tool over HTTP: JSON in, JSON out, and every failure in words without a secret."""

from __future__ import annotations

import asyncio
import json

from collections.abc import Callable, Mapping
from typing import Any, Final

from proctor.adapters.flags.tool import fault
from proctor.errors import ConfigError, FlagFault
from proctor.model import FlagSettings

_FIXES: Final[Mapping[int, str]] = {
    401: "look at the token: it is not taken",
    403: "give the token the right to do this; where changes need a review there, allow this one",
    404: "look at the flag's key, its project and its environment",
    409: "look at it in its tool: somebody else has written it",
    429: "ask again later",
}
LARGEST: Final = 8 << 20
"""Bytes of an answer that are read."""


class Asking:
    """Requests of one flag. Redirects are not followed: they would carry the token elsewhere."""

    def __init__(
        self,
        settings: FlagSettings,
        *,
        url: str = "",
        headers: Mapping[str, str] | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        """`url` is what paths are put behind. ConfigError where the library is missing."""
        try:
            import httpx2
        except ImportError as error:
            raise ConfigError(
                f"the flag {settings.name} is asked over HTTP",
                found=f"no module named {error.name}",
                fix="pip install 'proctor[flags]'",
            ) from None
        self._settings, self._redact, self._url = settings, redact, url.rstrip("/")
        self._httpx = httpx2
        try:
            self._client = httpx2.AsyncClient(
                headers={"User-Agent": "proctor", **(headers or {})},
                timeout=settings.timeout_s,
                follow_redirects=False,
            )
        except (UnicodeEncodeError, ValueError, TypeError):
            raise ConfigError(
                f"the token of the flag {settings.name} cannot be sent",
                found="a line break, or a letter with an accent",
                fix="export its variable once more, without line breaks in it",
            ) from None

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        missing: Any = FlagFault,
    ) -> Any:
        """What is answered, as JSON; None where nothing is. `missing` is what a 404 stands for."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                status, told = await self._sent(method, f"{self._url}{path}", body, headers)
        except TimeoutError:
            raise self._fault(f"no answer within {self._settings.timeout_s:g} s") from None
        except (self._httpx.HTTPError, self._httpx.InvalidURL, UnicodeError) as error:
            # From None: the library's error holds the request, and with it the token.
            raise self._fault(type(error).__name__, "look at its address: nobody answers") from None
        if status == 404 and missing is not FlagFault:
            return missing
        if not 200 <= status < 300:
            text = " ".join(self._redact(told.decode("utf-8", "replace")).split())
            text = text if len(text) <= 300 else f"{text[:299]}…"
            raise self._fault(f"{status}: {text}" if text else str(status), _FIXES.get(status, ""))
        if not told.strip():
            return None
        try:
            return json.loads(told)
        except ValueError:
            if method == "GET":
                raise self._fault("an answer that is not JSON") from None
            return None  # whoever writes is read back anyway

    async def _sent(
        self, method: str, url: str, body: Any, headers: Mapping[str, str] | None
    ) -> tuple[int, bytes]:
        sent: dict[str, Any] = {}
        if isinstance(body, str):
            sent = {"content": body.encode()}
        elif body is not None:
            kind = {"Content-Type": "application/json"}
            sent = {"content": json.dumps(body).encode()}
            headers = {**kind, **(headers or {})}
        async with self._client.stream(method, url, headers=dict(headers or {}), **sent) as reply:
            told = b""
            async for part in reply.aiter_bytes():
                told += part
                if len(told) > LARGEST:
                    raise self._fault("an answer of more than 8 MB")
            return reply.status_code, told

    def strange(self, found: str) -> FlagFault:
        """An error for an answer of another shape than its tool's documents say."""
        return self._fault(found, "look at the address: is this the tool, in a version with it?")

    def _fault(self, found: str, fix: str = "") -> FlagFault:
        return fault(
            self._settings,
            "could not be asked of its tool",
            found=found,
            fix=fix or "look whether the tool is well; readers see what they saw",
        )

    async def aclose(self) -> None:
        """Give connections back."""
        await self._client.aclose()


__all__ = ["Asking"]
