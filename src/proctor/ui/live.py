"""A run, or a rollback, as it goes, drawn on a terminal; see `lines` for where there is none."""

from __future__ import annotations

import sys

from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from proctor.engine.snapshot import Estimate, Snapshot, Undoing
from proctor.model import Bucket, RunState
from proctor.ui import bills, lines, words

COLOURS: Final = {
    Bucket.WRITTEN: "green",
    Bucket.UNCHANGED: "bright_black",
    Bucket.SKIPPED: "cyan",
    Bucket.REFUSED: "yellow",
    Bucket.FAILED: "red",
    Bucket.CONFLICTED: "magenta",
    Bucket.GONE: "bright_black",
}
STATE_COLOURS: Final = {
    RunState.RUNNING: "green",
    RunState.SUCCEEDED: "green",
    RunState.FAILED: "red",
    RunState.CANCELLED: "red",
    RunState.CANCELLING: "red",
    RunState.PAUSED: "yellow",
    RunState.PAUSING: "yellow",
    RunState.ROLLING_BACK: "magenta",
    RunState.ROLLED_BACK: "magenta",
}


class LiveView:
    """Progress, buckets, throttle and size of chunks, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: Snapshot | None = None
        self._said = ""
        self._live = Live(
            console=console, get_renderable=self._draw, refresh_per_second=4, redirect_stdout=False
        )

    def __enter__(self) -> Self:
        """Take the lower end of the screen."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Draw a last time and give the screen back."""
        self._live.stop()

    def __call__(self, seen: Snapshot) -> None:
        """Keep it for the next drawing."""
        self._seen = seen

    def say(self, sentence: str) -> None:
        """Show it under the run until the next one."""
        self._said = sentence

    def tell(self, sentence: str) -> None:
        """Print it above the run, which is drawn below it from now on."""
        self._console.print(Text(sentence, style="yellow"))

    def _draw(self) -> RenderableType:
        if self._seen is None:
            return Text()
        drawn = panel(self._seen)
        return Group(drawn, Text(self._said, style="bold yellow")) if self._said else drawn


class UndoView:
    """A rollback as it goes: chunks undone, where their rows ended, rate, time left, waits."""

    def __init__(
        self,
        stream: TextIO | None = None,
        now: Callable[[], float] = monotonic,
        *,
        dry_run: bool = False,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._now = now
        self._dry_run = dry_run
        self._begun = now()
        self._shown: float | None = None
        self._done = -1
        """Chunks undone when it was last shown."""
        self._said = ""
        self._drawn: RenderableType = Text()
        self._live = (
            Live(
                console=Console(file=self._stream),
                get_renderable=self._draw,
                refresh_per_second=4,
                redirect_stdout=False,
            )
            if self._stream.isatty()
            else None
        )

    def __enter__(self) -> Self:
        """Take the lower end of the screen, if there is one."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the screen back."""
        if self._live is not None:
            self._live.stop()

    def _draw(self) -> RenderableType:
        if not self._said:
            return self._drawn
        return Group(self._drawn, Text(self._said, style="bold yellow"))

    def say(self, sentence: str) -> None:
        """Show a sentence beside it, such as an answer to Ctrl-C."""
        self._said = sentence
        if self._live is None:
            self._write(sentence)

    def _write(self, sentence: str) -> None:
        self._stream.write(sentence + "\n")
        self._stream.flush()

    def __call__(self, seen: Undoing) -> None:
        """Show the rollback as it is now."""
        now = self._now()
        undone, done, chunks = seen.undone, seen.chunks_undone, seen.chunks
        took = max(now - self._begun, 1e-6)
        pace = [words.rate(undone.written / took)] if undone.written else []
        if 0 < done < chunks:
            left = took * (chunks - done) / done
            # Chunks differ in size, and the throttle may change its mind.
            range_left = Estimate(
                low=timedelta(seconds=left * 0.8), high=timedelta(seconds=left * 1.3)
            )
            pace.append(f"{words.estimate(range_left)} left")
        share = f"{done:,} of {words.plural(chunks, 'chunk')} ({words.share(done, chunks)})"
        books = "would be " if self._dry_run else ""
        books += (
            f"restored {undone.restored:,}, left alone {undone.changed:,}, gone {undone.gone:,}, "
            f"blocked {undone.blocked:,}"
        )
        bar = ProgressBar(total=max(chunks, 1), completed=done, width=36, complete_style="magenta")
        grid = Table.grid(padding=(0, 2))
        grid.add_row(bar, share, *pace)
        waits = [f"waiting: {words.visible(seen.throttle_reason)}"] if seen.throttle_reason else []
        stops = [f"stopping: {words.visible(seen.stopping)}"] if seen.stopping else []
        rows: list[RenderableType] = [grid, Text(books)]
        rows.append(Text(waits[0], style="yellow") if waits else Text("not waiting", style="dim"))
        if seen.throttle:
            rows.append(Text(" · ".join(words.gauge(s) for s in seen.throttle), style="dim"))
        rows += [Text(why, style="yellow") for why in stops]
        self._drawn = Group(*rows)
        late = self._shown is None or now - self._shown >= lines.LINE_EVERY.total_seconds()
        last = done == chunks and done != self._done
        self._done = done
        if self._live is None and (late or last):
            self._shown = now
            verb = "looked at" if self._dry_run else "undone"
            self._write(f"{verb} {'; '.join((share, *pace, books, *waits, *stops))}")


def panel(seen: Snapshot) -> RenderableType:
    """A snapshot on four or five lines for a terminal."""
    run = seen.run
    head = Text.assemble(
        (run.backfill, "bold"),
        f" {run.version} · {run.env} · {run.id} · ",
        (lines.state(seen), STATE_COLOURS.get(run.state, "")),
        f" · {words.duration(seen.elapsed)}",
    )
    rows: list[RenderableType] = [head, _bar(seen), _buckets(seen), _pace(seen)]
    if seen.throttle:
        rows.append(Text(" · ".join(words.gauge(s) for s in seen.throttle), style="dim"))
    rows += _paid(seen)
    if run.reason:
        rows.append(Text(words.visible(run.reason), style="yellow"))
    if unended := words.unended(run):
        rows.append(Text(unended, style="yellow"))
    return Group(*rows)


def _paid(seen: Snapshot) -> list[RenderableType]:
    """What providers were asked, what that has cost, and what is waited for."""
    if seen.paid_unknown:
        return [Text(f"paid answers: {bills.all_in_one((), seen.paid_unknown, 0)}", style="yellow")]
    drawn: list[RenderableType] = []
    for one in seen.paid:
        drawn.append(Text(bills.line(one, seen.run.outcome.written)))
        if minute := bills.minute(one):
            drawn.append(Text(f"  this minute {minute}", style="dim"))
        drawn += [Text(f"  {said}", style="yellow") for said in bills.warnings(one)]
    for said in seen.paid_waits:
        drawn.append(Text(f"waiting for {words.visible(said)}", style="yellow"))
    return drawn


def _bar(seen: Snapshot) -> RenderableType:
    read, expected = seen.run.outcome.read, lines.expected(seen)
    done = Text(f"{read:,}")
    if seen.run.state is RunState.ROLLING_BACK:
        read, expected = seen.chunks_undone, seen.chunks_applied
        done = Text(lines.progress(seen))
    elif expected:
        done = Text(words.among(read, expected, estimated=seen.run.estimated))
        if read <= expected:
            of = words.count(expected, estimated=seen.run.estimated)
            done = Text(f"{read:,} / {of}  {words.share(read, expected)}")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=36)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    bar = ProgressBar(
        total=expected or None,
        completed=min(read, expected) if expected else 0,
        width=36,
        complete_style="cyan",
        finished_style="yellow" if words.unended(seen.run) else "green",
        pulse=not expected and seen.run.ended is None,
    )
    pace = words.rate(seen.rate) if seen.rate is not None else ""
    grid.add_row(bar, done, pace, lines.left(seen))
    return grid


def _buckets(seen: Snapshot) -> Text:
    counts = seen.run.outcome.as_dict()
    text = Text()
    for bucket in Bucket:
        number = counts[bucket.value]
        # A failure must not first be seen when it is there: its zero is shown too.
        if number or bucket in (Bucket.WRITTEN, Bucket.FAILED):
            style = COLOURS[bucket] if number else "bright_black"
            text.append(f"{bucket.value} ", style="dim").append(f"{number:,}   ", style=style)
    return text


def _pace(seen: Snapshot) -> Text:
    parts = []
    if seen.chunk_rows is not None:
        parts.append(f"chunk {words.plural(seen.chunk_rows, 'row')}")
    if seen.workers is not None:
        parts.append(words.plural(seen.workers, "worker"))
    if seen.chunks_applied:
        parts.append(f"{words.plural(seen.chunks_applied, 'chunk')} applied")
    if tuned := words.tuned(seen.run.tuning):
        parts.append(f"tuned to {tuned}")
    text = Text("".join(f"{part} · " for part in parts), style="dim")
    if seen.throttle_reason:
        return text.append(f"waiting: {words.visible(seen.throttle_reason)}", style="yellow")
    return text.append("not waiting", style="dim")
