"""Flags of vendors, each as three questions of its API; none was tried on the vendor's own service.

What they send and read is from their documents, and tested against a recorder of this machine.
"""

from __future__ import annotations

import json

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

from proctor.adapters.flags.asking import Asking
from proctor.adapters.flags.tool import Said, by_state, fault, made_up, version_of
from proctor.model import FlagPowers, FlagState, VendorFlag


class VendorTool:
    """A `Tool` over a vendor's API: read before every write, and put back by its percent."""

    def __init__(self, settings: VendorFlag, *, redact: Callable[[str], str] = str) -> None:
        """Nothing is sent yet."""
        self._settings = settings
        kind = _KINDS[settings.vendor]
        self._ask = Asking(
            settings, url=settings.url, headers=kind.headers(settings.token), redact=redact
        )
        self._vendor = kind(settings, self._ask)
        self.powers = FlagPowers(
            percent=kind.percent,
            needs_redeploy=kind.needs_redeploy,
            compare_and_set=False,
            observable=False,
        )

    async def fetch(self) -> FlagState:
        """See `Tool`."""
        try:
            percent, kept = await self._vendor.read()
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            raise self._ask.strange(
                f"an answer of another shape ({type(error).__name__})"
            ) from None
        return FlagState(percent=percent, version=version_of(json.dumps(kept, sort_keys=True)))

    def after(self, _percent: int, _expect: FlagState) -> None:
        """See `Tool`."""

    async def put(self, percent: int, _expect: FlagState, said: Said) -> None:
        """See `Tool`."""
        try:
            await self._vendor.write(percent, said)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise self._ask.strange(
                f"an answer of another shape ({type(error).__name__})"
            ) from None

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


class _Vendor(Protocol):
    """What differs from vendor to vendor."""

    percent: bool
    needs_redeploy: bool

    def __init__(self, settings: VendorFlag, ask: Asking) -> None: ...

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        """How it is told who asks."""

    async def read(self) -> tuple[int, Any]:
        """The percent, and what a version is made of."""

    async def write(self, percent: int, said: Said) -> None:
        """Let that part of the readers in."""


class _LaunchDarkly:
    """Semantic patches; weights are thousandths of a percent."""

    percent, needs_redeploy = True, False

    def __init__(self, settings: VendorFlag, ask: Asking) -> None:
        self._settings, self._ask, self._of = settings, ask, settings.of
        project, flag = quote(self._of["project"], safe=""), quote(settings.flag, safe="")
        self._at = f"/api/v2/flags/{project}/{flag}"

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        return {"Authorization": token}

    async def read(self) -> tuple[int, Any]:
        told = await self._told()
        kept = told["environments"][self._of["environment"]]
        on, _ = self._variations(told)
        if not kept["on"]:
            return 0, kept.get("version")
        values = [one["_id"] for one in told["variations"]]
        fallthrough = kept["fallthrough"]
        if "variation" in fallthrough:
            share = 100_000 if values[fallthrough["variation"]] == on else 0
        else:
            weights = fallthrough["rollout"]["variations"]
            share = sum(w["weight"] for w in weights if values[w["variation"]] == on)
        return share // 1000, kept.get("version")

    async def write(self, percent: int, said: Said) -> None:
        on, off = self._variations(await self._told())
        weights = {on: percent * 1000, off: 100_000 - percent * 1000}
        rollout = {"kind": "updateFallthroughVariationOrRollout", "rolloutWeights": weights}
        steps = [rollout, {"kind": "turnFlagOn"}] if percent else [{"kind": "turnFlagOff"}]
        kind = "application/json; domain-model=launchdarkly.semanticpatch"
        body = {
            "environmentKey": self._of["environment"],
            "comment": said.reason,
            "instructions": steps,
        }
        await self._ask("PATCH", self._at, body=body, headers={"Content-Type": kind})

    async def _told(self) -> Any:
        return await self._ask("GET", f"{self._at}?{urlencode({'env': self._of['environment']})}")

    def _variations(self, told: Any) -> tuple[str, str]:
        found = {str(one["value"]): one["_id"] for one in told["variations"]}
        if set(found) != {"True", "False"}:
            raise fault(self._settings, "is not a boolean flag", fix="name one of true and false")
        return found["True"], found["False"]


class _GrowthBook:
    """The switch of an environment; rules of features stay as they are."""

    percent, needs_redeploy = False, False

    def __init__(self, settings: VendorFlag, ask: Asking) -> None:
        self._ask, self._environment = ask, settings.of["environment"]
        self._at = f"/v2/features/{quote(settings.flag, safe='')}"

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    async def read(self) -> tuple[int, Any]:
        told = await self._ask("GET", self._at)
        on = told["feature"]["environments"][self._environment]["enabled"]
        return 100 if on else 0, told["feature"].get("dateUpdated", on)

    async def write(self, percent: int, said: Said) -> None:
        body = {"environments": {self._environment: percent > 0}, "reason": said.reason}
        await self._ask("POST", f"{self._at}/toggle", body=body)


class _ConfigCat:
    """One targeting rule of percentages, on first; other rules are nobody's to change."""

    percent, needs_redeploy = True, False

    def __init__(self, settings: VendorFlag, ask: Asking) -> None:
        environment, setting = (quote(settings.of[n], safe="") for n in ("environment", "setting"))
        self._settings, self._ask = settings, ask
        self._at = f"/v2/environments/{environment}/settings/{setting}/value"

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        return {"Authorization": f"Basic {token}"}

    async def read(self) -> tuple[int, Any]:
        told = await self._ask("GET", self._at)
        rules, whole = told["targetingRules"], told["defaultValue"]["boolValue"]
        kept = {"rules": rules, "whole": whole}
        if not rules:
            return 100 if whole else 0, kept
        match rules:
            case [{"percentageOptions": [first, second], **rest}] if not rest.get("conditions"):
                shares = {o["value"]["boolValue"]: o["percentage"] for o in (first, second)}
                if first["value"]["boolValue"] is True and set(shares) == {True, False}:
                    return int(shares[True]), kept
        raise fault(
            self._settings,
            "has targeting rules that Proctor did not write",
            fix="take them out, or keep this flag in another tool",
        )

    async def write(self, percent: int, said: Said) -> None:
        shares = ((percent, True), (100 - percent, False))
        options = [{"percentage": share, "value": {"boolValue": on}} for share, on in shares]
        rules = [{"conditions": [], "percentageOptions": options}] if 0 < percent < 100 else []
        body = [
            {"op": "replace", "path": "/targetingRules", "value": rules},
            {"op": "replace", "path": "/defaultValue/boolValue", "value": percent == 100},
        ]
        await self._ask("PATCH", f"{self._at}?{urlencode({'reason': said.reason})}", body=body)


class _Railway:
    """A variable of a service, which is deployed again with it."""

    percent, needs_redeploy = False, True

    def __init__(self, settings: VendorFlag, ask: Asking) -> None:
        self._settings, self._ask, of = settings, ask, settings.of
        self._ids = {f"{name}Id": of[name] for name in ("project", "environment", "service")}
        self._on, self._off = of.get("on", "true"), of.get("off", "false")

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    async def read(self) -> tuple[int, Any]:
        told = await self._asked(
            "query variables($projectId: String!, $environmentId: String!, $serviceId: String)"
            " { variables(projectId: $projectId, environmentId: $environmentId,"
            " serviceId: $serviceId) }",
            self._ids,
        )
        value = told["variables"].get(self._settings.flag)  # the others are not ours to look at
        if value not in {self._on, self._off, None}:
            raise fault(
                self._settings,
                "has a value that is neither on nor off",
                fix=f"set it to {self._off}, or say what on and off are",
            )
        return 100 if value == self._on else 0, value

    async def write(self, percent: int, said: Said) -> None:  # noqa: ARG002 - it keeps no reasons
        value = self._on if percent else self._off
        await self._asked(
            "mutation variableUpsert($input: VariableUpsertInput!)"
            " { variableUpsert(input: $input) }",
            {"input": {**self._ids, "name": self._settings.flag, "value": value}},
        )

    async def _asked(self, query: str, variables: Mapping[str, Any]) -> Any:
        body = {"query": query, "variables": variables}
        told = await self._ask("POST", "/graphql/v2", body=body)
        if told.get("errors"):
            raise self._ask.strange("an error of its own")  # whose text may hold variables
        return told["data"]


class _Vercel:
    """An item of an Edge Config, true or false; it takes seconds to be everywhere."""

    percent, needs_redeploy = False, False

    def __init__(self, settings: VendorFlag, ask: Asking) -> None:
        self._ask, self._flag, of = ask, settings.flag, settings.of
        self._at = f"/v1/edge-config/{quote(of['edge_config'], safe='')}"
        self._team = f"?{urlencode({'teamId': of['team']})}" if of.get("team") else ""

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    async def read(self) -> tuple[int, Any]:
        at = f"{self._at}/item/{quote(self._flag, safe='')}{self._team}"
        told = await self._ask("GET", at, missing={"value": False})
        value = told["value"]
        if not isinstance(value, bool):
            raise TypeError(value)
        return 100 if value else 0, value

    async def write(self, percent: int, said: Said) -> None:
        item = {
            "operation": "upsert",
            "key": self._flag,
            "value": percent > 0,
            "description": said.reason[:500],
        }
        await self._ask("PATCH", f"{self._at}/items{self._team}", body={"items": [item]})


_KINDS: Final[Mapping[str, type[_Vendor]]] = {
    "launchdarkly": _LaunchDarkly,
    "growthbook": _GrowthBook,
    "configcat": _ConfigCat,
    "railway": _Railway,
    "vercel": _Vercel,
}


__all__ = ["VendorTool"]
