"""What readers are let to see: a flag's state, and what its tool can do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagPowers:
    """What a flag's tool can do; the plan says what it cannot."""

    percent: bool = True
    """Whether a part of the readers can be let in; else it is on or off."""
    sticky: bool = True
    """Whether whoever was let in stays in as the part grows."""
    needs_redeploy: bool = False
    """Whether nothing changes before the application is deployed again."""
    compare_and_set: bool = True
    """Whether a write fails where somebody else has written since."""
    observable: bool = True
    """Whether it can be asked what single readers see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagState:
    """A flag as it was read: percent of the readers who are let in, and a version of it.

    `raw` is all that the tool keeps of it, as JSON text, so that it can be put back exactly.
    """

    percent: int
    version: str
    raw: str = ""


__all__ = ["FlagPowers", "FlagState"]
