"""Tells regular expressions that mean the same to Python and to Postgres from all others."""

from __future__ import annotations

import re

from typing import Final

# Letters, digits and signs that stand for themselves; escaped signs; classes of these; groups;
# greedy quantifiers. No dot, no \d, no anchors, no flags, no references: there the two differ.
_SELF: Final = r"[A-Za-z0-9 _,;:@%&=<>/!~\"'-]|[^\x00-\x7f]|\\[.\-+*?()\[\]{}|^$\\/]"
_CLASS: Final = r"\[\^?(?:[A-Za-z0-9 _,;:@.+*/-]|[^\x00-\x7f]|\\[.\-+*?()\[\]{}|^$\\/])+\]"
_PLAIN: Final = re.compile(
    rf"(?:(?:{_SELF}|{_CLASS}|\((?:\?:)?|\)|\|)"
    r"(?:(?:(?<![(|])(?<!\(\?:)(?:[*+?]|\{\d{1,2}(?:,\d{0,2})?\}))(?![?+*{]))?)*\Z"
)


def is_plain(regex: str) -> bool:
    """Whether it is made of nothing but what both read alike."""
    return _PLAIN.match(regex) is not None
