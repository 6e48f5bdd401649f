"""A flag that is a variable in an env file: on or off, and read when an application starts."""

from __future__ import annotations

import asyncio
import json
import re

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proctor.adapters.flags.files import content, locked, replace
from proctor.adapters.flags.tool import Said, by_state, fault, made_up, moved, version_of
from proctor.model import EnvFileFlag, FlagPowers, FlagState

_LINE: Final = re.compile(
    r"(?P<before>[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][\w.]*)[ \t]*=[ \t]*)"
    # A value in quotes may run over several lines, and what looks like a key in it is none.
    r"(?P<value>\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\r\n]*?)"
    r"(?P<after>[ \t]*(?:(?<=[ \t])#[^\r\n]*)?(?:\r?\n|$))"
    r"|[^\r\n]*(?:\r?\n|$)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a variable's value stands in the text, and what it is."""

    start: int
    end: int
    value: str


class EnvFileTool:
    """A `Tool` over one variable of one file."""

    powers = FlagPowers(percent=False, needs_redeploy=True, compare_and_set=False, observable=False)

    def __init__(self, settings: EnvFileFlag) -> None:
        """Nothing is read yet."""
        self._settings = settings

    async def fetch(self) -> FlagState:
        """See `Tool`."""
        return await asyncio.to_thread(lambda: self._state(self._content()))

    def after(self, percent: int, expect: FlagState) -> FlagState:
        """See `Tool`."""
        return _state(percent, self._value(percent, expect))

    async def put(self, percent: int, expect: FlagState, _said: Said) -> None:
        """See `Tool`."""
        await asyncio.to_thread(self._write, self._value(percent, expect), expect)

    async def put_back(self, state: FlagState, _said: Said) -> None:
        """See `Tool`: a variable that was not there is taken out again."""
        await asyncio.to_thread(self._write, json.loads(state.raw))

    def is_back(self, found: FlagState, state: FlagState) -> bool:
        """See `Tool`."""
        return found.raw == state.raw

    async def readers(self, most: int) -> list[str]:
        """See `Tool`."""
        return made_up(most)

    async def observe(self, subjects: Sequence[str]) -> list[bool]:
        """See `Tool`: what an application would be told that starts now."""
        return by_state(await self.fetch(), subjects)

    async def aclose(self) -> None:
        """See `Tool`."""

    def _value(self, percent: int, expect: FlagState) -> str:
        """In the quotes that it has."""
        value = self._settings.on if percent else self._settings.off
        kept = json.loads(expect.raw) or ""
        quote = kept[0] if kept[:1] in {'"', "'"} else ""
        return f"{quote}{value}{quote}"

    def _content(self) -> str:
        return content(self._settings, self._settings.path)

    def _state(self, text: str) -> FlagState:
        found, settings = self._found(text), self._settings
        if found is None:
            return _state(0, None)
        value = _bare(found.value)
        if value not in {settings.on, settings.off}:
            raise fault(
                settings,
                f"has a value in {settings.path.name} that is neither on nor off",
                fix=f"write {settings.flag}={settings.off}, or say what on and off are:"
                f' on = "1", off = "0" in [flags.{settings.name}]',
            )
        return _state(100 if value == settings.on else 0, found.value)

    def _found(self, text: str) -> _Found | None:
        found: list[_Found] = []
        at = 0
        while at < len(text):
            line = _LINE.match(text, at)
            if line is None or line.end() == at:
                break
            if line["key"] == self._settings.flag:
                found.append(_Found(line.start("value"), line.end("value"), line["value"]))
            at = line.end()
        if len(found) > 1:
            raise fault(
                self._settings,
                f"stands {len(found)} times in {self._settings.path.name}",
                fix=f"leave one line with {self._settings.flag}=",
            )
        return found[0] if found else None

    def _write(self, value: str | None, expect: FlagState | None = None) -> None:
        with locked(self._settings, self._settings.path) as path:
            text = content(self._settings, path)
            if expect and (found := self._state(text)).raw != expect.raw:
                raise moved(self._settings, found, expect)
            replace(self._settings, path, self._written(text, value))

    def _written(self, text: str, value: str | None) -> str:
        found, key = self._found(text), self._settings.flag
        if value is not None and found is not None:
            return text[: found.start] + value + text[found.end :]
        if value is not None:
            end = "\r\n" if "\r\n" in text else "\n"
            return f"{text}{'' if not text or text.endswith(end) else end}{key}={value}{end}"
        if found is None:
            return text
        start = text.rfind("\n", 0, found.start) + 1
        after = text.find("\n", found.end)
        return text[:start] + (text[after + 1 :] if after >= 0 else "")


def _bare(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _state(percent: int, value: str | None) -> FlagState:
    raw = json.dumps(value)
    return FlagState(percent=percent, version=version_of(raw), raw=raw)


__all__ = ["EnvFileTool"]
