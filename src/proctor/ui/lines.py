"""A run as it goes, in plain lines: for logs, pipes and whoever needs no terminal.

What draws on a terminal is imported only where there is one: rows need not wait for it.
"""

from __future__ import annotations

import sys

from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Protocol, Self, TextIO

from proctor.engine.snapshot import Snapshot
from proctor.model import RunState
from proctor.ui import bills, words

LINE_EVERY: Final = timedelta(seconds=3)


class View(Protocol):
    """What shows a run while it goes: a context, called with every snapshot."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""

    def __call__(self, seen: Snapshot) -> None:
        """Show the run as it is now."""

    def say(self, sentence: str) -> None:
        """Show a sentence beside it, such as an answer to Ctrl-C, until the next one."""

    def tell(self, sentence: str) -> None:
        """Show a sentence once, before what is to come: how the run began."""


def view(stream: TextIO | None = None) -> View:
    """The live view where somebody looks, plain lines where nobody does."""
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        return LineView(stream)
    from rich.console import Console

    from proctor.ui.live import LiveView

    return LiveView(Console(file=stream))


class LineView:
    """One line every few seconds, and whenever the run's state changes."""

    def __init__(self, stream: TextIO, every: timedelta = LINE_EVERY) -> None:
        self._stream = stream
        self._every = every
        self._shown: tuple[datetime, RunState] | None = None
        self._last: Snapshot | None = None

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Print the last snapshot if it has not been."""
        if self._last is not None and self._shown != (self._last.at, self._last.run.state):
            self._print(self._last)

    def __call__(self, seen: Snapshot) -> None:
        """Print it if it is time, by the clock of the snapshots."""
        self._last = seen
        if (
            self._shown is None
            or seen.at - self._shown[0] >= self._every
            or seen.run.state is not self._shown[1]
        ):
            self._print(seen)

    def say(self, sentence: str) -> None:
        """One line."""
        self._stream.write(sentence + "\n")
        self._stream.flush()

    tell = say

    def _print(self, seen: Snapshot) -> None:
        self._shown = (seen.at, seen.run.state)
        self.say(line(seen))


def line(seen: Snapshot) -> str:
    """A snapshot in one plain line."""
    parts = [f"{state(seen)}: {progress(seen)}"]
    if seen.rate is not None:
        parts.append(words.rate(seen.rate))
    if until := left(seen):
        parts.append(until)
    parts.append(words.buckets(seen.run.outcome))
    if tuned := words.tuned(seen.run.tuning):
        parts.append(f"tuned to {tuned}")
    if seen.throttle_reason:
        parts.append(f"waiting: {words.visible(seen.throttle_reason)}")
    parts += [bills.line(one, seen.run.outcome.written) for one in seen.paid]
    if seen.paid_unknown:
        parts.append(f"paid answers: {bills.all_in_one((), seen.paid_unknown, 0)}")
    parts += [f"waiting for {words.visible(said)}" for said in seen.paid_waits]
    if seen.run.reason:
        parts.append(words.visible(seen.run.reason))
    return "; ".join(parts)


def progress(seen: Snapshot) -> str:
    """How far it is, in rows or, backwards, in chunks."""
    if seen.run.state is RunState.ROLLING_BACK:
        done, chunks = seen.chunks_undone, seen.chunks_applied
        return f"undone {done:,} of {words.plural(chunks, 'chunk')} ({words.share(done, chunks)})"
    rows, read = expected(seen), seen.run.outcome.read
    share = words.share(read, rows) if rows and read <= rows else ""
    said = words.among(read, rows or None, estimated=seen.run.estimated)
    unended = words.unended(seen.run)
    return (
        f"processed {said}" + (f" ({share})" if share else "") + (f", {unended}" if unended else "")
    )


def left(seen: Snapshot) -> str:
    """The time left; nothing where it is not known, or none is."""
    return f"{words.estimate(seen.eta)} left" if seen.eta is not None and seen.eta.high else ""


def state(seen: Snapshot) -> str:
    """The state as people know it: nobody works on an interrupted run."""
    return "interrupted" if seen.run.interrupted else seen.run.state.value


def expected(seen: Snapshot) -> int | None:
    """Rows to read; None where that is not known."""
    return seen.expected if seen.expected is not None else seen.run.expected
