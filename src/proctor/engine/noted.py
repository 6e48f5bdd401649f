"""What came of questions beside plain answers: repaired, asked elsewhere, stood in for, declined.

Each process tells it at its end, and the report adds up. What a kill takes along is lost: rows
that were not written stand in their buckets all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from proctor.engine.kit import Kit
from proctor.engine.paid import as_asker
from proctor.model import Event

WORDS: Final = {
    "reparsed": "read anew from replies that were kept of {}",
    "repaired": "repaired by one more call to {}",
    "fallback": "answered by the fallback provider {}",
    "instead": "a value of the function's own stood in for {}",
    "declined": "declined by {}, one of several asked",
    "unanswered": "not answered by {}, one of several asked",
}
"""What is noted of a question, as a report says it."""


def tell(kit: Kit) -> None:
    """Put on record what this process has noted."""
    asker = as_asker(kit.asking)
    if asker is None:
        return
    for (what, provider), count in sorted(asker.noted.items()):
        kit.events.emit("answers.noted", kit.run.id, what=what, provider=provider, count=count)
    asker.noted.clear()


def noted(told: Iterable[Event]) -> dict[str, int]:
    """How often each of it came about in a run, the most frequent first."""
    sums: Counter[str] = Counter()
    for event in told:
        if event.name == "answers.noted":
            said = WORDS.get(event.data["what"], event.data["what"] + " by {}")
            sums[said.format(event.data["provider"])] += event.data["count"]
    return dict(sums.most_common())


__all__ = ["noted", "tell"]
