"""How fast a run goes, when it will end, and whether it has collapsed."""

from __future__ import annotations

import itertools
import statistics

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

WINDOW = timedelta(seconds=30)
"""The shown rate is that of the last half minute, or of a few chunks where they are slow."""
COLLAPSE = 0.2
"""A rate under this share of the run's own recent past is a collapse."""
RECOVERY = 0.5
"""From this share of its past on, a collapsed run has recovered."""
WATCH = 60.0
"""Seconds over which a collapse must show, at the least."""
WATCHED_STEPS = 5
"""Chunks that should have come in that time: a slow chunk is not a collapse."""
LEAST_STEPS = 5
"""Chunks without which nothing can be called usual."""
UNWATCHED = 10.0
"""Seconds between two marks after which nobody had looked: such a gap proves nothing."""
JUDGED_EVERY = 5.0
"""Seconds worked between two looks for a collapse: it is a matter of minutes."""
MOST_MARKS = 600


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a run was at one moment.

    `worked` are the seconds, `done` the rows of the time in which the run was free to go and
    somebody looked: what a throttle or a blackout takes from a run is no collapse.
    """

    at: datetime
    read: int
    worked: float
    done: int


@dataclass(frozen=True, slots=True)
class Step:
    """One rise of the count: rows come a chunk at a time, with nothing in between."""

    end: float
    took: float
    rows: int

    @property
    def rate(self) -> float:
        """Rows a second since the step before."""
        return self.rows / self.took


@dataclass(slots=True)
class Pace:
    """Rows read over time; the only state is the marks that it was given.

    Only the first mark, those at which the count had risen and the latest are kept, so that a
    slow run remembers as many chunks as a fast one.
    """

    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=MOST_MARKS))
    fallen: tuple[float, float] | None = None
    usual: tuple[float, float] = (0.0, 0.0)
    """The window and the rate against which the collapse was found: kept while it lasts."""
    judged: float = 0.0
    """The seconds worked at the last look for a collapse."""

    def mark(self, at: datetime, read: int, *, held: bool = False) -> None:
        """Take down how many rows the run had read at that moment, a few seconds apart at most.

        held: since the last mark something that we know of held the run back.
        """
        if not self.marks:
            self.marks.append(Mark(at, read, 0.0, 0))
            return
        last = self.marks[-1]
        passed = (at - last.at).total_seconds()
        if passed <= 0:
            return
        read = max(read, last.read)
        free = not held and passed <= UNWATCHED
        if len(self.marks) > 1 and self.marks[-2].read == last.read:
            self.marks.pop()
        self.marks.append(
            Mark(
                at,
                read,
                last.worked + (passed if free else 0.0),
                last.done + (read - last.read if free else 0),
            )
        )
        if self.marks[-1].worked - self.judged >= JUDGED_EVERY:
            self.judged = self.marks[-1].worked
            self._judge()

    def rate(self, window: timedelta = WINDOW) -> float | None:
        """Rows a second over the last window; None while it began with nothing but waiting.

        Where chunks are slower than that it covers the last few of them. It is measured from
        chunk to chunk, so that it does not swing with the moment at which one looks.
        """
        if len(self.marks) < 2:
            return None
        now, rises = self.marks[-1], self._rises()
        if len(rises) == 1 and _since(rises[0], now) <= window.total_seconds():
            return None  # processes start, a first chunk is computed: no rate yet, rather than 0
        gap = _usual_gap([_since(a, b) for a, b in itertools.pairwise(rises)])
        reach = max(window.total_seconds(), (WATCHED_STEPS - 1) * gap)
        first = next((i for i, m in enumerate(rises) if _since(m, now) <= reach), None)
        if first is None:
            return 0.0
        if first == len(rises) - 1:
            first = max(0, first - 1)
        start, end = rises[first], rises[-1]
        if start is end or _since(end, now) > 2 * gap:
            end = now
        return (end.read - start.read) / _since(start, end)

    def eta(self, remaining: int) -> tuple[timedelta, timedelta] | None:
        """A range for the time left, from the spread of the recent steps."""
        rate = self.rate()
        if not rate or remaining < 0:
            return None
        rises = self._rises()[-60:]
        rates = [(b.read - a.read) / _since(a, b) for a, b in itertools.pairwise(rises)]
        spread = statistics.pstdev(rates) / statistics.fmean(rates) if len(rates) > 1 else 0.5
        margin = min(0.75, max(0.1, spread))
        seconds = remaining / rate
        # The chunk in hand began when the last one ended: some of it is done already.
        since = min(_since(rises[-1], self.marks[-1]), seconds)
        low = max(0.0, seconds * (1 - margin) - since)
        return timedelta(seconds=low), timedelta(seconds=seconds * (1 + margin))

    def collapsed(self) -> tuple[float, float] | None:
        """(rate now, usual rate) in rows a second while the run has collapsed, else None.

        It has when a minute, or the time of five chunks where they are slow, brought less than
        a fifth of what was usual before; and until it goes at half of that again. None while
        too little was seen to call anything usual.
        """
        return self.fallen

    def _rises(self) -> list[Mark]:
        """The marks at which the count had risen, and the first."""
        marks = list(self.marks)
        if len(marks) > 1 and marks[-1].read == marks[-2].read:
            marks.pop()
        return marks

    def _judge(self) -> None:
        if self.fallen is not None:
            window, usual = self.usual
            now = self._lately(window)
            if now is None or now < RECOVERY * usual:
                self.fallen = (now or 0.0, usual)
                return
            # What was usual before is over: only what came since the recovery counts now.
            self.fallen = None
            horizon = self.marks[-1].worked - window
            while len(self.marks) > 2 and self.marks[0].worked < horizon:
                self.marks.popleft()
            return
        steps = self._steps()
        gap = _usual_gap([s.took for s in steps])
        window = max(WATCH, WATCHED_STEPS * gap)
        before = [s for s in steps if s.end <= self.marks[-1].worked - window]
        if len(before) < LEAST_STEPS or sum(s.took for s in before) < WATCH / 2:
            return
        usual, now = _median_rate(before), self._lately(window)
        if now is not None and now < COLLAPSE * usual:
            self.fallen, self.usual = (now, usual), (window, usual)

    def _steps(self) -> list[Step]:
        """The rises in the time in which the run was free to go."""
        steps, last = [], self.marks[0]
        for mark in self.marks:
            if mark.done > last.done:
                steps.append(Step(mark.worked, mark.worked - last.worked, mark.done - last.done))
                last = mark
        return steps

    def _lately(self, window: float) -> float | None:
        """Rows a second over the last `window` seconds worked; None where that is not known."""
        start = self.marks[-1].worked - window
        if self.marks[0].worked > start:
            return None
        before = max((m for m in self.marks if m.worked <= start), key=lambda m: m.done)
        return (self.marks[-1].done - before.done) / window


def _since(then: Mark, now: Mark) -> float:
    return (now.at - then.at).total_seconds()


def _usual_gap(gaps: list[float]) -> float:
    """The time within which nine of ten chunks came, in seconds."""
    return sorted(gaps)[int(0.9 * (len(gaps) - 1))] if gaps else 0.0


def _median_rate(steps: list[Step]) -> float:
    """The rate that held for half of the time: a burst of a moment is not usual."""
    ordered = sorted(steps, key=lambda s: s.rate)
    half = sum(s.took for s in steps) / 2
    for step in ordered:
        half -= step.took
        if half <= 0:
            return step.rate
    return ordered[-1].rate
