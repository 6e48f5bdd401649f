"""Why questions wait at this moment, in the words of the purse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proctor.model import Elsewhere, Wait
from proctor.ports import Word

LONG_S: Final = 2.0
"""Seconds without a call that was let through after which a wait is worth a word."""


@dataclass(slots=True)
class Waits:
    """What the purse last said, of one process."""

    why: str = ""
    since: float = 0.0
    """On the monotonic clock, when the first of these waits began."""

    def heard(self, provider: str, word: Word, at: float) -> None:
        """Take down what was said; a call that is let through ends the wait."""
        if isinstance(word, Wait | Elsewhere):
            self.since = self.since if self.why else at
            self.why = f"{provider}: {word.reason}"
        else:
            self.why = ""

    def told(self, at: float) -> str:
        """Why all questions wait; empty while some go on."""
        return self.why if at - self.since >= LONG_S else ""


__all__ = ["Waits"]
