"""The error budget: how many failed rows a run bears before a person must look."""

from __future__ import annotations

import enum

from dataclasses import dataclass

from proctor.model import Outcome


class Word(enum.StrEnum):
    """What a judge says."""

    GO = "go"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's word, and the reason in words and numbers."""

    word: Word
    reason: str = ""

    @property
    def go(self) -> bool:
        """Whether the run may go on."""
        return self.word is Word.GO


GO = Verdict(Word.GO)


def is_spent(reason: str) -> bool:
    """Whether a run rests by our own verdict below: its row keeps the words alone."""
    return " rows failed" in reason or " rows of the first chunk failed" in reason


def judge_errors(
    chunk: Outcome, so_far: Outcome, *, share: float, count: int | None, after: int
) -> Verdict:
    """Whether a chunk's failures, together with the run's, are within the budget.

    `share` of the rows read may fail once `after` rows were read; `count` is absolute. Before
    `after` rows only a chunk in which every row failed says anything: that is a bug.
    """
    books = chunk + so_far
    failed, read = books.failed, books.read
    if count is not None and failed > count:
        return Verdict(Word.PAUSE, f"{failed:,} rows failed; the error budget is {count:,}")
    # Rounded, for 0.29 * 100 is a little less than 29.
    if read >= after and failed > round(share * read, 6):
        return Verdict(
            Word.PAUSE,
            f"{failed:,} of {read:,} rows failed ({failed / read:.1%}); "
            f"the error budget is {share:.1%}",
        )
    if chunk.failed == chunk.read > 1 and so_far.read == 0 and share < 1:
        return Verdict(Word.PAUSE, f"all {chunk.read:,} rows of the first chunk failed")
    return GO
