"""How fast a run goes, when it will end, and whether it has collapsed."""

from __future__ import annotations

import statistics

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

WINDOW = timedelta(seconds=30)
COLLAPSE = 0.2
"""A rate under this share of its own recent median is a collapse."""
MOST_MARKS = 600


@dataclass(slots=True)
class Pace:
    """Rows read over time; the only state is the marks that it was given."""

    marks: deque[tuple[datetime, int]] = field(default_factory=lambda: deque(maxlen=MOST_MARKS))
    rates: deque[tuple[datetime, float]] = field(default_factory=lambda: deque(maxlen=MOST_MARKS))

    def mark(self, at: datetime, read: int) -> None:
        """Take down how many rows the run had read at that moment."""
        if self.marks and at <= self.marks[-1][0]:
            return
        if self.marks:
            since, before = self.marks[-1]
            self.rates.append((at, max(0.0, (read - before) / (at - since).total_seconds())))
        self.marks.append((at, read))

    def rate(self, window: timedelta = WINDOW) -> float | None:
        """Rows a second over the last window; None with fewer than two marks in it."""
        if len(self.marks) < 2:
            return None
        end, read = self.marks[-1]
        inside = [m for m in self.marks if end - m[0] <= window]
        start, before = inside[0]
        if start == end:
            start, before = self.marks[-2]
        return max(0.0, (read - before) / (end - start).total_seconds())

    def eta(self, remaining: int) -> tuple[timedelta, timedelta] | None:
        """A range for the time left, from the spread of the recent rates."""
        recent = [r for _, r in list(self.rates)[-60:] if r > 0]
        rate = self.rate()
        if not recent or not rate or remaining < 0:
            return None
        spread = statistics.pstdev(recent) / statistics.fmean(recent) if len(recent) > 1 else 0.5
        margin = min(0.75, max(0.1, spread))
        seconds = remaining / rate
        return timedelta(seconds=seconds * (1 - margin)), timedelta(seconds=seconds * (1 + margin))

    def collapsed(self, *, least: int = 20) -> tuple[float, float] | None:
        """(rate now, usual rate) if the last five marks fell below a fifth of the usual.

        None with fewer than `least` rates: too few to call anything usual.
        """
        if len(self.rates) < least:
            return None
        rates = [r for _, r in self.rates]
        now, usual = statistics.fmean(rates[-5:]), statistics.median(rates[:-5])
        return (now, usual) if usual > 0 and now < COLLAPSE * usual else None
