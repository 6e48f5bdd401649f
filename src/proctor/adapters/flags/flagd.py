"""A flag in a flagd file: shares by flagd's own hash, and read through OpenFeature."""

from __future__ import annotations

import asyncio
import json

from collections.abc import Mapping, Sequence
from typing import Any, Final

from proctor.adapters.flags.files import content, locked, replace
from proctor.adapters.flags.tool import Said, fault, made_up, moved, version_of
from proctor.errors import ConfigError, FlagFault
from proctor.model import FlagdFlag, FlagPowers, FlagState

_LINGER_MS: Final = 20
"""How often a provider looks at its file, and so how long its thread outlives it."""


class FlagdTool:
    """A `Tool` over one flag of one file; everything else in it stays as it is.

    The variant `on` stands first in the fraction and the weights add up to 100, so that whoever
    is in stays in as the share grows. At 0 the flag is not DISABLED: then applications would
    take the default of their own code, which may be true; it says `off`.
    """

    powers = FlagPowers(compare_and_set=False)

    def __init__(self, settings: FlagdFlag) -> None:
        """Nothing is read yet."""
        self._settings = settings
        self._domain = f"proctor {id(self)}"

    async def fetch(self) -> FlagState:
        """See `Tool`."""
        return await asyncio.to_thread(self._fetch)

    def after(self, percent: int, expect: FlagState) -> FlagState | None:
        """See `Tool`."""
        raw = _json(self._rendered(json.loads(expect.raw), percent))
        return FlagState(percent=percent, version=version_of(raw), raw=raw)

    async def put(self, percent: int, expect: FlagState, _said: Said) -> None:
        """See `Tool`."""
        entry = self._rendered(json.loads(expect.raw), percent, was=expect.percent)
        await asyncio.to_thread(self._write, entry, expect)

    async def put_back(self, state: FlagState, _said: Said) -> None:
        """See `Tool`."""
        await asyncio.to_thread(self._write, json.loads(state.raw))

    def is_back(self, found: FlagState, state: FlagState) -> bool:
        """See `Tool`."""
        return found.raw == state.raw

    async def readers(self, most: int) -> list[str]:
        """See `Tool`."""
        return made_up(most)

    async def observe(self, subjects: Sequence[str]) -> list[bool]:
        """See `Tool`: by flagd's provider for OpenFeature, which reads the file by itself."""
        return await asyncio.to_thread(self._observe, subjects)

    async def aclose(self) -> None:
        """See `Tool`."""

    def _fetch(self) -> FlagState:
        return self._state(content(self._settings, self._settings.path))

    def _state(self, text: str) -> FlagState:
        entry = self._entry(text)
        raw = _json(entry)
        return FlagState(percent=self._percent(entry), version=version_of(raw), raw=raw)

    def _document(self, text: str) -> dict[str, Any]:
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict) or not isinstance(document.get("flags"), dict):
            raise fault(
                self._settings,
                f"is in {self._settings.path.name}, which is no flagd file",
                fix='it is JSON, and begins with {"flags": {…}}',
            )
        return document

    def _entry(self, text: str) -> dict[str, Any]:
        entry = self._document(text)["flags"].get(self._settings.flag)
        if not isinstance(entry, dict):
            raise fault(
                self._settings,
                f"is not in {self._settings.path.name}",
                found=f"no flag {self._settings.flag}",
                fix=f'add "{self._settings.flag}": {{"state": "ENABLED", "variants":'
                ' {"on": true, "off": false}, "defaultVariant": "off"}',
            )
        return entry

    def _variants(self, entry: Mapping[str, Any]) -> tuple[str, str]:
        variants = entry.get("variants")
        told = variants.items() if isinstance(variants, dict) else ()
        on = [name for name, value in told if value is True]
        off = [name for name, value in told if value is False]
        if len(on) != 1 or len(off) != 1:
            raise fault(
                self._settings,
                "has no two variants true and false",
                fix='write "variants": {"on": true, "off": false}',
            )
        return on[0], off[0]

    def _rendered(
        self, entry: dict[str, Any], percent: int, *, was: int | None = None
    ) -> dict[str, Any]:
        on, off = self._variants(entry)
        only = self._settings.only_filled
        if was and only != self._only(entry):
            raise fault(
                self._settings,
                "lets readers in by another rule than only_filled",
                found=f"{was} percent by the other",
                fix="set it to 0 first: with the rule the readers change",
            )
        targeting: dict[str, Any] = {"fractional": [[on, percent], [off, 100 - percent]]}
        if only:
            targeting = {"if": [{"==": [{"var": only}, True]}, targeting, off]}
        # Readers without a targeting key get the default.
        default = on if percent == 100 and not only else off
        return {**entry, "state": "ENABLED", "defaultVariant": default, "targeting": targeting}

    def _percent(self, entry: Mapping[str, Any]) -> int:
        on, off = self._variants(entry)
        if entry.get("state") == "DISABLED":
            return 0
        targeting = entry.get("targeting") or {}
        if not targeting:
            return 100 if entry.get("defaultVariant") == on else 0
        if self._only(entry):
            targeting = targeting["if"][1]
        match targeting:
            case {"fractional": [[str(first), int(share)], [str(second), int(rest)]]} if (
                (first, second) == (on, off) and share >= 0 <= rest and share + rest == 100
            ):
                return share
        raise fault(
            self._settings,
            "has a targeting that Proctor did not write",
            fix='take "targeting" out of it, or write'
            f' {{"fractional": [["{on}", 0], ["{off}", 100]]}}',
        )

    def _only(self, entry: Mapping[str, Any]) -> str:
        """The attribute that its targeting asks for."""
        match entry.get("targeting"):
            case {"if": [{"==": [{"var": str(only)}, True]}, {"fractional": _}, _]}:
                return only
        return ""

    def _write(self, entry: dict[str, Any], expect: FlagState | None = None) -> None:
        with locked(self._settings, self._settings.path) as path:
            text = content(self._settings, path)
            if expect and (found := self._state(text)).raw != expect.raw:
                raise moved(self._settings, found, expect)
            document = self._document(text)
            document["flags"] = {**document["flags"], self._settings.flag: entry}
            end = "\n" if text.endswith("\n") else ""
            replace(self._settings, path, json.dumps(document, indent=2, ensure_ascii=False) + end)

    def _observe(self, subjects: Sequence[str]) -> list[bool]:
        try:
            from openfeature import api
            from openfeature.contrib.provider.flagd import FlagdProvider
            from openfeature.contrib.provider.flagd.config import ResolverType
            from openfeature.evaluation_context import EvaluationContext
            from openfeature.exception import OpenFeatureError
            from openfeature.provider.no_op_provider import NoOpProvider
        except ImportError as error:
            raise ConfigError(
                "what readers of a flagd file see is asked through OpenFeature",
                found=f"no module named {error.name}",
                fix="pip install 'proctor[flags]'",
            ) from None
        # A fresh provider has read the file as it is now; one that is kept looks now and then.
        provider = FlagdProvider(
            resolver_type=ResolverType.FILE,
            offline_flag_source_path=str(self._settings.path),
            deadline_ms=_LINGER_MS,
        )
        only, seen = self._settings.only_filled, []
        try:
            api.set_provider_and_wait(provider, self._domain)
            client = api.get_client(self._domain)
            for subject in subjects:
                context = EvaluationContext(subject, {only: True} if only else {})
                told = client.get_boolean_details(
                    self._settings.flag, default_value=False, evaluation_context=context
                )
                if told.error_code is not None:
                    raise _unreadable(self._settings, str(told.error_code.value))
                seen.append(told.value)
        except OpenFeatureError as error:
            raise _unreadable(self._settings, type(error).__name__) from None
        finally:
            api.set_provider(NoOpProvider(), self._domain)
        return seen


def _unreadable(settings: FlagdFlag, found: str) -> FlagFault:
    return fault(
        settings,
        "cannot be evaluated by flagd's own provider",
        found=found,
        fix="applications cannot, either: look at the file",
    )


def _json(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"))


__all__ = ["FlagdTool"]
