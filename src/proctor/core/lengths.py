"""Texts that are longer than an embedding model takes: found out, cut, or taken to pieces.

By an estimate that is always the same for the same text: one that learned from replies would cut
at another place the next time, and what was cut there would be asked and paid again.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final

USUAL: Final = 4
"""Bytes a token, as vendors write of English: what is longer by this is surely too long."""
PLAIN: Final = 1 / 3
"""Tokens an ASCII character where it must fit."""
WIDE: Final = 1 / 2.5
"""Tokens a byte of any other character where it must fit."""
BACK: Final = 0.1
"""How far back from a cut the end of a word is looked for, as a share of the piece."""


def seems(text: str) -> int:
    """Tokens of a text, by what is usual."""
    return -(-len(text.encode()) // USUAL)


def fits(text: str, most: int) -> bool:
    """Whether a text has no more tokens than that, with some to spare."""
    return len(text) * PLAIN <= most if text.isascii() else _weight(text) <= most


def pieces(text: str, most: int) -> list[str]:
    """The text in pieces that fit, cut between words where there are any; put together, itself."""
    found, at = [], 0
    # No character weighs less than an ASCII one: what is behind these cannot fit.
    longest = int(most / PLAIN) + 1
    while at < len(text):
        head = text[at : at + longest]
        last = at + len(head) == len(text) and fits(head, most)
        size = len(head) if last else _cut(head, most)
        found.append(head[:size])
        at += size
    return found


def _cut(head: str, most: int) -> int:
    """Where a piece that fits ends: behind the last blank near there, else in the middle."""
    at = max(1, _most(head, most))
    least = at - int(at * BACK)
    blank = max(head.rfind(blank, least, at) for blank in (" ", "\n", "\t"))
    return at if blank < 0 else blank + 1


def _most(head: str, most: int) -> int:
    """Characters that fit."""
    for at, weight in enumerate(accumulate(map(_weight, head)), start=1):
        if weight > most:
            return at - 1
    return len(head)


def _weight(text: str) -> float:
    plain = sum(map(str.isascii, text)) if len(text) > 1 else int(text.isascii())
    return plain * PLAIN + (len(text.encode()) - plain) * WIDE


__all__ = ["fits", "pieces", "seems"]
