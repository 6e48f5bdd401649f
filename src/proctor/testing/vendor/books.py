"""The vendor's limits and its own count of calls, tokens and money, per model."""

from __future__ import annotations

import hashlib
import math
import time

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

from proctor.testing.vendor.answers import parts
from proctor.testing.vendor.terms import Served, Tally


class Timepiece:
    """The vendor's time: real, and moved forward where a test wants tomorrow."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def advance(self, seconds: float) -> None:
        """Let that much time have gone by."""
        self._ahead_s += seconds

    def ticks(self) -> float:
        """Seconds that never go back."""
        return time.monotonic() + self._ahead_s

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self._ahead_s)


@dataclass(slots=True)
class Entry:
    """One request that was let in: when, and what it counts as until it is known better."""

    at: float
    tokens: int
    gone: bool = False
    """Out of the window, and so no longer counted."""


@dataclass(frozen=True, slots=True)
class Over:
    """A limit that a request would break: which, and in how many seconds it would not."""

    limit: str
    retry_s: float


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of the limits just now, for the headers of a reply."""

    requests: int | None
    tokens: int | None
    requests_reset_s: float
    tokens_reset_s: float


class Account:
    """One model's limits and its tally. Whoever asks is counted: limits hold for all together."""

    def __init__(self, served: Served, clock: Timepiece) -> None:
        self.served = served
        self.tally = Tally()
        self._clock = clock
        self._window: deque[Entry] = deque()
        self._tokens = 0

    def admit(self, most_tokens: int) -> Entry | Over:
        """Let a request in that takes so many tokens at most, or say which limit it would break."""
        self._forget()
        now, served = self._clock.ticks(), self.served
        day = self._clock.now().date().isoformat()
        if served.daily is not None and self.tally.by_day.get(day, 0) >= served.daily:
            return Over("daily", self._till_midnight())
        if served.rpm is not None and len(self._window) >= served.rpm:
            return Over("requests", self._frees(len(self._window) - served.rpm + 1, 0))
        if served.tpm is not None and self._tokens + most_tokens > served.tpm:
            return Over("tokens", self._frees(0, self._tokens + most_tokens - served.tpm))
        entry = Entry(now, most_tokens)
        self._window.append(entry)
        self._tokens += most_tokens
        self.tally.by_day[day] = self.tally.by_day.get(day, 0) + 1
        self.tally.most_in_window = max(self.tally.most_in_window, len(self._window))
        return entry

    def charge(self, entry: Entry, texts: Sequence[str], used: tuple[int, int]) -> None:
        """Count what a request that was let in has really taken: input and output tokens."""
        tally, served = self.tally, self.served
        self._tokens += 0 if entry.gone else sum(used) - entry.tokens
        entry.tokens = sum(used)
        tally.calls += 1
        tally.input_tokens += used[0]
        tally.output_tokens += used[1]
        tally.usd += served.request_usd
        tally.usd += (used[0] * served.input_usd + used[1] * served.output_usd) / 1_000_000
        tally.most_tokens_in_window = max(tally.most_tokens_in_window, self._tokens)
        self._note(texts)

    def charge_batched(self, texts: Sequence[str], used: tuple[int, int]) -> None:
        """The same of a question in a batch call: half the price, and no limit knows of it."""
        tally, served = self.tally, self.served
        usd = (used[0] * served.input_usd + used[1] * served.output_usd) / 2_000_000
        tally.calls += 1
        tally.batched += 1
        tally.input_tokens += used[0]
        tally.output_tokens += used[1]
        tally.usd += usd
        tally.batched_usd += usd
        self._note(texts)

    def _note(self, texts: Sequence[str]) -> None:
        for asked, told in (
            (self.tally.asked, texts),
            (self.tally.parts, chain.from_iterable(map(parts, texts))),
        ):
            for text in told:
                digest = hashlib.sha256(text.encode()).hexdigest()
                asked[digest] = asked.get(digest, 0) + 1

    def room(self) -> Room:
        """What the limits leave at this moment."""
        self._forget()
        served = self.served
        last = self._window[-1].at + served.window_s - self._clock.ticks() if self._window else 0.0
        return Room(
            None if served.rpm is None else max(served.rpm - len(self._window), 0),
            None if served.tpm is None else max(served.tpm - self._tokens, 0),
            last,
            last,
        )

    def _forget(self) -> None:
        border = self._clock.ticks() - self.served.window_s
        while self._window and self._window[0].at <= border:
            entry = self._window.popleft()
            entry.gone = True
            self._tokens -= entry.tokens

    def _frees(self, requests: int, tokens: int) -> float:
        """Seconds until so many requests and tokens have left the window; the whole at most."""
        for number, entry in enumerate(self._window, start=1):
            tokens -= entry.tokens
            if number >= requests and tokens <= 0:
                return max(entry.at + self.served.window_s - self._clock.ticks(), 0.001)
        return self.served.window_s

    def _till_midnight(self) -> float:
        now = self._clock.now()
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return math.ceil((midnight - now).total_seconds())


__all__ = ["Account", "Entry", "Over", "Room", "Timepiece"]
