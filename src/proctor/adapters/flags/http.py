"""A flag behind two requests of the user's own: one that writes, and one that reads."""

from __future__ import annotations

import json
import re

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from proctor.adapters.flags.asking import Asking
from proctor.adapters.flags.tool import Said, by_state, fault, made_up, version_of
from proctor.errors import ConfigError
from proctor.model import FlagPowers, FlagState, HttpFlag

_HOLE: Final = re.compile(r"\{(flag|percent|on|reason|once)\}")
_SWITCH: Final = {"on": 100, "off": 0, "true": 100, "false": 0}


class HttpTool:
    """A `Tool` over HTTP. Every write carries its key, so that trying again writes once."""

    def __init__(self, settings: HttpFlag, *, redact: Callable[[str], str] = str) -> None:
        """Nothing is sent yet. ConfigError for a JSON path that is none."""
        self._settings = settings
        self._ask = Asking(settings, redact=redact)
        self._pick = _picker(settings)
        self.powers = FlagPowers(
            percent=settings.percent,
            needs_redeploy=settings.needs_redeploy,
            compare_and_set=False,
            observable=False,
        )

    async def fetch(self) -> FlagState:
        """See `Tool`."""
        request, values = self._settings.read, {"flag": self._settings.flag}
        body = await self._ask(
            request.method,
            filled_url(request.url, values),
            body=filled(request.body, values),
            headers=request.headers,
        )
        found = self._pick(body)
        percent = _percent(found)
        if percent is None:
            raise fault(
                self._settings,
                f"has no percent at {request.pick or '$'} of what is answered",
                found=f"a {type(found).__name__}" if found is not None else "nothing",
                fix="let json name a number from 0 to 100, or true and false",
            )
        return FlagState(percent=percent, version=version_of(json.dumps(body, sort_keys=True)))

    def after(self, _percent: int, _expect: FlagState) -> None:
        """See `Tool`."""

    async def put(self, percent: int, _expect: FlagState, said: Said) -> None:
        """See `Tool`."""
        request = self._settings.write
        values = {
            "flag": self._settings.flag,
            "percent": percent,
            "on": percent > 0,
            "reason": said.reason,
            "once": said.once,
        }
        headers = {name: _one_line(filled(text, values)) for name, text in request.headers.items()}
        await self._ask(
            request.method,
            filled_url(request.url, values),
            body=filled(request.body, values),
            headers={"Idempotency-Key": _one_line(said.once), **headers},
        )

    async def put_back(self, state: FlagState, said: Said) -> None:
        """See `Tool`."""
        await self.put(state.percent, state, said)

    def is_back(self, found: FlagState, state: FlagState) -> bool:
        """See `Tool`."""
        return found.percent == state.percent

    async def readers(self, most: int) -> list[str]:
        """See `Tool`."""
        return made_up(most)

    async def observe(self, subjects: Sequence[str]) -> list[bool]:
        """See `Tool`."""
        return by_state(await self.fetch(), subjects)

    async def aclose(self) -> None:
        """See `Tool`."""
        await self._ask.aclose()


def filled(told: Any, values: Mapping[str, Any]) -> Any:
    """A body with its holes filled in: a text that is one hole becomes the value, with its type."""
    if isinstance(told, dict):
        return {key: filled(value, values) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [filled(value, values) for value in told]
    if not isinstance(told, str):
        return told
    whole = _HOLE.fullmatch(told)
    if whole and whole[1] in values:
        return values[whole[1]]
    return _HOLE.sub(lambda hole: _text(values.get(hole[1], hole[0])), told)


def filled_url(url: str, values: Mapping[str, Any]) -> str:
    """An address with its holes filled in, as addresses spell it."""
    return _HOLE.sub(lambda hole: quote(_text(values.get(hole[1], "")), safe=""), url)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _one_line(value: Any) -> str:
    return quote(" ".join(_text(value).split()), safe=" !#$%&'()*+,/:;<=>?@[]^`{|}~\"")


def _percent(found: Any) -> int | None:
    if isinstance(found, bool):
        return 100 if found else 0
    if isinstance(found, str):
        found = _SWITCH.get(found.strip().lower(), found.strip())
    try:
        number = float(found)
    except (TypeError, ValueError):
        return None
    return int(number) if number in range(101) else None


def _picker(settings: HttpFlag) -> Callable[[Any], Any]:
    if not settings.read.pick:
        return lambda body: body
    try:
        import jsonpath_rfc9535
    except ImportError as error:
        raise ConfigError(
            f"the flag {settings.name} is read by a JSON path",
            found=f"no module named {error.name}",
            fix="pip install 'proctor[flags]'",
        ) from None
    try:
        query = jsonpath_rfc9535.compile(settings.read.pick)
    except jsonpath_rfc9535.JSONPathError as error:
        raise ConfigError(
            f"json of [flags.{settings.name}] is no JSON path",
            found=f"{settings.read.pick}: {error}",
            fix="write it like $.rollout.percent (RFC 9535)",
        ) from None

    def pick(body: Any) -> Any:
        values = query.find(body).values() if isinstance(body, dict | list) else []
        return values[0] if len(values) == 1 else None

    return pick


__all__ = ["HttpTool", "filled", "filled_url"]
