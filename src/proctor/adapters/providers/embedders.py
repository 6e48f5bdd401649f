"""What is known of vendors' embedding models before they are asked."""

from __future__ import annotations

import re

from collections.abc import Mapping
from typing import Final

from proctor.model import ProviderSettings

_LONGEST: Final[Mapping[str, int]] = {
    "text-embedding-3": 8191,
    "text-embedding-ada-002": 8191,
    "gemini-embedding-2": 8192,
    "gemini-embedding-001": 2048,
    "text-embedding-004": 2048,
}
"""Model to tokens of the longest text, as the vendors write. Google cuts without a word."""
_OPENAIS_MOST: Final = 300_000
"""Tokens of all texts of one request."""
PARTS: Final = 4
"""Into so many calls goes what may be asked in a minute: more at once would be let through late."""
_LONGEST_HERE: Final = 32_768
"""The same of a model of this process: it has no limit but memory, a kilobyte or more a token."""
_FLEXIBLE: Final = re.compile(r"(?:^|/)(?:text-embedding-3|gemini-embedding-|text-embedding-004)")
"""Models that give vectors of as many dimensions as they are told."""


def most_input(settings: ProviderSettings) -> int | None:
    """Tokens of the longest text: what the user says, else what is known; None if nothing is."""
    if settings.max_input is not None:
        return settings.max_input
    if settings.vendor == "local":
        return _LONGEST_HERE
    bare = settings.model.rpartition("/")[2]
    return next((most for name, most in _LONGEST.items() if bare.startswith(name)), None)


def most_tokens(settings: ProviderSettings) -> int | None:
    """Tokens of all texts of one request; a part of what may be asked in a minute, at most."""
    tpm = settings.limits.tpm
    bounds = [_OPENAIS_MOST] if settings.vendor == "openai" else []
    bounds += [] if tpm is None else [max(1, tpm // PARTS)]
    return min(bounds, default=None)


def sends_dimensions(settings: ProviderSettings) -> bool:
    """Whether its vendor is told the dimensions: others would refuse the word."""
    return settings.dimensions is not None and bool(_FLEXIBLE.search(settings.model))


__all__ = ["most_input", "most_tokens", "sends_dimensions"]
