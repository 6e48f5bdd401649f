"""Regular expressions that are compiled when they are first used: most commands check nothing."""

from __future__ import annotations

import functools
import re


@functools.cache
def compiled(regex: str, flags: int = 0) -> re.Pattern[str]:
    """The expression, compiled once."""
    return re.compile(regex, flags)
