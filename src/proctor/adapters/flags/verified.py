"""A flag whose tool is not believed: looked at before each write, and read back after it."""

from __future__ import annotations

import asyncio
import contextlib
import time

from collections.abc import Callable, Sequence
from typing import Final

from proctor.adapters.flags.tool import Said, Tool, fault, moved
from proctor.errors import FlagFault, FlagMoved
from proctor.model import FlagPowers, FlagSettings, FlagState

PAUSE_S: Final = 0.2
"""Between two looks at a write that does not show yet."""


class VerifiedFlag:
    """A `Flag` (see ports) over any tool."""

    def __init__(self, tool: Tool, settings: FlagSettings) -> None:
        """Nothing is asked yet."""
        self._tool, self._settings = tool, settings

    @property
    def powers(self) -> FlagPowers:
        """See the port."""
        return self._tool.powers

    async def read(self) -> FlagState:
        """See the port."""
        return await self._tool.fetch()

    async def set(self, percent: int, /, *, expect: FlagState, reason: str, once: str) -> FlagState:
        """See the port."""
        self._check(percent)
        found = await self.read()
        after = self._tool.after(percent, expect)

        def written(state: FlagState) -> bool:
            return _same(state, after) if after else state.percent == percent

        if not _same(found, expect):
            if written(found):
                return found  # an earlier try got through, and its answer was lost
            raise moved(self._settings, found, expect)
        try:
            await self._tool.put(percent, expect, Said(reason=reason, once=once))
        except FlagMoved:
            if not written(found := await self.read()):
                raise
            return found  # another try of the same step was quicker
        return await self._read_back(written, f"{percent} percent")

    async def restore(self, state: FlagState, /, *, reason: str, once: str) -> FlagState:
        """See the port."""
        self._check(state.percent)
        with contextlib.suppress(FlagFault):  # a tool that cannot be read may still be written
            found = await self.read()
            if self._tool.is_back(found, state):
                return found  # by a person, or by a try of ours whose answer was lost
        await self._tool.put_back(state, Said(reason=reason, once=once))
        return await self._read_back(
            lambda found: self._tool.is_back(found, state), f"{state.percent} percent, as before"
        )

    async def readers(self, most: int) -> list[str]:
        """See the port."""
        return await self._tool.readers(most)

    async def observe(self, subjects: Sequence[str]) -> list[bool]:
        """See the port."""
        return await self._tool.observe(subjects)

    async def aclose(self) -> None:
        """See the port."""
        await self._tool.aclose()

    def _check(self, percent: int) -> None:
        if not 0 <= percent <= 100:
            raise fault(
                self._settings, "cannot be set so", found=f"{percent} percent", fix="0 to 100"
            )
        if percent not in {0, 100} and not self.powers.percent:
            raise fault(
                self._settings,
                "is on or off",
                found=f"{percent} percent",
                fix="ramp it to 100 at once, or keep it in a tool that knows shares",
            )

    async def _read_back(self, right: Callable[[FlagState], bool], wanted: str) -> FlagState:
        until = time.monotonic() + self._settings.verify_s
        while not right(found := await self.read()):
            if time.monotonic() >= until:
                raise fault(
                    self._settings,
                    "does not read as it was written",
                    found=f"{found.percent} percent (version {found.version}) instead of {wanted}",
                    fix="look at it in its tool: readers may see either",
                )
            await asyncio.sleep(PAUSE_S)
        return found


def _same(one: FlagState, other: FlagState) -> bool:
    return (one.percent, one.version) == (other.percent, other.version)


__all__ = ["VerifiedFlag"]
