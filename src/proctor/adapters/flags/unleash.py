"""A flag on an Unleash server: written by its admin API, observed by the engine of its clients."""

from __future__ import annotations

import asyncio
import json
import time

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from proctor.adapters.flags.asking import Asking
from proctor.adapters.flags.tool import Said, fault, made_up, moved, version_of
from proctor.errors import ConfigError
from proctor.model import FlagPowers, FlagState, UnleashFlag

_KEPT: Final = ("name", "title", "parameters", "constraints", "variants", "segments", "disabled")
"""What is kept of a strategy: what it says, without what only the server knows."""
_PAUSE_S: Final = 0.1


class UnleashTool:
    """A `Tool` over one flag in one environment, with one strategy of gradual rollout.

    Unleash has no compare-and-set: it is read before every write. Its own record of events keeps
    what was before and after.
    """

    def __init__(self, settings: UnleashFlag, *, redact: Callable[[str], str] = str) -> None:
        """Nothing is sent yet."""
        self._settings = settings
        self.powers = FlagPowers(compare_and_set=False, observable=bool(settings.client_token))
        self._ask = Asking(
            settings,
            url=settings.url,
            headers={"Authorization": settings.token},
            redact=redact,
        )
        project, flag, environment = (
            quote(name, safe="") for name in (settings.project, settings.flag, settings.environment)
        )
        at = f"/api/admin/projects/{project}/features/{flag}/environments/{environment}"
        self._at, self._strategies = at, f"{at}/strategies"

    async def fetch(self) -> FlagState:
        """See `Tool`."""
        return self._state(await self._kept())

    def after(self, percent: int, expect: FlagState) -> FlagState:
        """See `Tool`."""
        enabled, strategies = _told(expect)
        if percent:
            strategies, enabled = [self._rolled(strategies, percent)], True
        else:
            enabled = False
        return _state(percent, strategies, enabled=enabled)

    async def put(self, percent: int, expect: FlagState, _said: Said) -> None:
        """See `Tool`: to 0 by the switch, at once; else the share first and the switch last."""
        kept = await self._kept()
        if (found := self._state(kept)).version != expect.version:
            raise moved(self._settings, found, expect)
        if not percent:
            await self._switch(on=False)
            return
        rolled = self._rolled(_told(expect)[1], percent, was=expect.percent)
        await self._write(kept["strategies"], [rolled])
        await self._switch(on=True)

    async def put_back(self, state: FlagState, _said: Said) -> None:
        """See `Tool`: where it was off it is off before anything else changes."""
        enabled, strategies = _told(state)
        if not enabled:
            await self._switch(on=False)
        await self._write((await self._kept())["strategies"], strategies)
        if enabled:
            await self._switch(on=True)

    def is_back(self, found: FlagState, state: FlagState) -> bool:
        """See `Tool`."""
        return found.raw == state.raw

    async def readers(self, most: int) -> list[str]:
        """See `Tool`."""
        return made_up(most)

    async def observe(self, subjects: Sequence[str]) -> list[bool]:
        """See `Tool`: by what clients are given, as their own engine reckons it."""
        settings = self._settings
        if not settings.client_token:
            raise fault(
                settings,
                "cannot be asked what readers see",
                found="no client_token",
                fix=f'client_token = "${{NAME}}" in [flags.{settings.name}], a token of clients',
            )
        enabled, strategies = _told(await self.fetch())
        rollouts = [one["parameters"].get("rollout") for one in strategies]
        until = time.monotonic() + settings.verify_s
        # The server keeps what it gives to clients for a moment.
        while True:
            told = await self._ask(
                "GET", "/api/client/features", headers={"Authorization": settings.client_token}
            )
            given = _given(told, settings.flag)
            if given == (enabled, rollouts if enabled else []) or time.monotonic() > until:
                break
            await asyncio.sleep(_PAUSE_S)
        return await asyncio.to_thread(self._evaluated, json.dumps(told), subjects)

    async def aclose(self) -> None:
        """See `Tool`."""
        await self._ask.aclose()

    def _evaluated(self, told: str, subjects: Sequence[str]) -> list[bool]:
        try:
            from yggdrasil_engine.engine import UnleashEngine
        except ImportError as error:
            raise ConfigError(
                "what readers of an Unleash flag see is reckoned by its clients' engine",
                found=f"no module named {error.name}",
                fix="pip install 'proctor[flags]'",
            ) from None
        engine, settings = UnleashEngine(), self._settings
        engine.take_state(told)
        only = {settings.only_filled: "true"} if settings.only_filled else {}
        seen = []
        for subject in subjects:
            own = {} if settings.stickiness == "userId" else {settings.stickiness: subject}
            context = {"userId": subject, "sessionId": subject, "properties": {**own, **only}}
            answer = engine.check_enabled(settings.flag, context)
            if not answer.is_found:
                raise fault(
                    settings,
                    "is not given to clients",
                    fix=f"look whether client_token is of {settings.environment}",
                )
            seen.append(bool(answer.is_enabled))
        return seen

    async def _kept(self) -> dict[str, Any]:
        told = await self._ask("GET", self._at)
        if not isinstance(told, dict) or not isinstance(told.get("strategies"), list):
            raise self._ask.strange("a flag without strategies")
        return told

    def _state(self, kept: Mapping[str, Any]) -> FlagState:
        strategies = [
            {name: one[name] for name in _KEPT if one.get(name)} for one in kept["strategies"]
        ]
        enabled = bool(kept.get("enabled"))
        percent = self._percent(strategies) if enabled else 0
        return _state(percent, strategies, enabled=enabled)

    def _percent(self, strategies: Sequence[Mapping[str, Any]]) -> int:
        if not strategies:
            return 100  # Unleash lets everybody in where nothing says whom
        one = self._only_one(strategies)
        try:
            return int(one["parameters"]["rollout"])
        except (KeyError, TypeError, ValueError):
            raise self._ask.strange("a strategy without a rollout") from None

    def _only_one(self, strategies: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        one = strategies[0]
        if len(strategies) == 1 and one["name"] == "flexibleRollout" and not one.get("disabled"):
            return one
        raise fault(
            self._settings,
            "has strategies of which Proctor cannot say whom they let in",
            found=", ".join(one["name"] for one in strategies),
            fix="leave one strategy there, flexibleRollout (gradual rollout), and enabled",
        )

    def _rolled(
        self, strategies: Sequence[Mapping[str, Any]], percent: int, *, was: int = 0
    ) -> dict[str, Any]:
        """The strategy at another share, the rest of it as it is: else the cohort would move."""
        settings = self._settings
        own = {
            "name": "flexibleRollout",
            "parameters": {"stickiness": settings.stickiness, "groupId": settings.flag},
        }
        one: Mapping[str, Any] = self._only_one(strategies) if strategies else own
        constraints = [*one.get("constraints", ())]
        only = settings.only_filled
        if only and not any(_is_rule(had, only) for had in constraints):
            if was:
                raise fault(
                    settings,
                    "lets readers in by another rule than only_filled",
                    found=f"{was} percent by the other",
                    fix="set it to 0 first: with the rule the readers change",
                )
            constraints.append({"values": ["true"], "operator": "IN", "contextName": only})
        told = {**one, "parameters": {**one["parameters"], "rollout": str(percent)}}
        return {**told, **({"constraints": constraints} if constraints else {})}

    async def _write(
        self, there: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]
    ) -> None:
        """Change, add and take out strategies until they are these."""
        for had, one in zip(there, wanted, strict=False):
            body = {"constraints": [], **one}
            await self._ask("PUT", f"{self._strategies}/{quote(had['id'], safe='')}", body=body)
        for one in wanted[len(there) :]:
            await self._ask("POST", self._strategies, body=dict(one))
        for had in there[len(wanted) :]:
            await self._ask("DELETE", f"{self._strategies}/{quote(had['id'], safe='')}")

    async def _switch(self, *, on: bool) -> None:
        await self._ask("POST", f"{self._at}/{'on' if on else 'off'}")


def _state(percent: int, strategies: Sequence[Mapping[str, Any]], *, enabled: bool) -> FlagState:
    raw = json.dumps({"enabled": enabled, "strategies": strategies}, sort_keys=True)
    return FlagState(percent=percent, version=version_of(raw), raw=raw)


def _told(state: FlagState) -> tuple[bool, list[dict[str, Any]]]:
    told = json.loads(state.raw)
    return told["enabled"], told["strategies"]


def _is_rule(had: Mapping[str, Any], attribute: str) -> bool:
    asked = (had.get("contextName"), had.get("operator"), had.get("values"))
    return asked == (attribute, "IN", ["true"]) and not had.get("inverted")


def _given(told: Any, flag: str) -> tuple[bool, list[Any]] | None:
    features = told.get("features", ()) if isinstance(told, dict) else ()
    for one in features:
        if one.get("name") == flag:
            rollouts = [s.get("parameters", {}).get("rollout") for s in one.get("strategies", ())]
            enabled = bool(one.get("enabled"))
            return enabled, rollouts if enabled else []
    return None


__all__ = ["UnleashTool"]
