"""What each kind of flag tool answers; `VerifiedFlag` makes a `Flag` (see ports) of it."""

from __future__ import annotations

import hashlib

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from proctor.errors import FlagFault, FlagMoved
from proctor.model import FlagPowers, FlagSettings, FlagState


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What goes with a write: why, and a text that is the same for every try at one step."""

    reason: str
    once: str


class Tool(Protocol):
    """One flag in its tool: bare reads and writes, without looking before or after."""

    @property
    def powers(self) -> FlagPowers:
        """What it can do."""

    async def fetch(self) -> FlagState:
        """As it is kept now. Raises FlagFault."""

    def after(self, percent: int, expect: FlagState, /) -> FlagState | None:
        """What a write on top of `expect` leads to; None where only the percent is known."""

    async def put(self, percent: int, expect: FlagState, said: Said, /) -> None:
        """Write. Raises FlagFault, and FlagMoved where the tool itself compares."""

    async def put_back(self, state: FlagState, said: Said, /) -> None:
        """Write what was read once."""

    def is_back(self, found: FlagState, state: FlagState, /) -> bool:
        """Whether it is again as it was read once."""

    async def readers(self, most: int) -> list[str]:
        """Whom to ask about."""

    async def observe(self, subjects: Sequence[str]) -> list[bool]:
        """What applications are told."""

    async def aclose(self) -> None:
        """Give connections back."""


def made_up(most: int) -> list[str]:
    """Readers that nobody is: a flag's hash does not care."""
    return [f"proctor-{number}" for number in range(most)]


def by_state(state: FlagState, subjects: Sequence[str]) -> list[bool]:
    """Of a flag that is on or off: the same for all. FlagFault where it is on for some only."""
    if state.percent not in {0, 100}:
        raise FlagFault(
            "it cannot be asked who sees it",
            found=f"{state.percent} percent, and only its own clients know which",
        )
    return [state.percent == 100] * len(subjects)


def version_of(raw: str) -> str:
    """A version for what has none: it changes with what is kept."""
    return hashlib.sha256(raw.encode()).hexdigest()[:16]


def fault(settings: FlagSettings, what: str, *, found: str = "", fix: str = "") -> FlagFault:
    """An error that names the flag."""
    return FlagFault(f"the flag {settings.name} {what}", found=found, fix=fix)


def moved(settings: FlagSettings, found: FlagState, expect: FlagState) -> FlagMoved:
    """An error for a flag that is not as it was read."""
    return FlagMoved(
        f"somebody else has written the flag {settings.name}",
        found=f"{found.percent} percent (version {found.version}) instead of"
        f" {expect.percent} percent (version {expect.version})",
        fix="ask who, and why, before you go on",
    )


__all__ = ["Said", "Tool", "by_state", "fault", "made_up", "moved", "version_of"]
