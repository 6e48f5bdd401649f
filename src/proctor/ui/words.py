"""Numbers, times and values as people read them, the same on every face."""

from __future__ import annotations

import unicodedata

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from proctor.engine.snapshot import Estimate, Missed
from proctor.model import Key, Outcome, Run, RunState, Signal, Span, Tuning
from proctor.model.keytext import UNSEEN, escaped, key_text

UNKNOWN: Final = "unknown"
STOPPED: Final = frozenset({RunState.PAUSING, RunState.PAUSED, RunState.FAILED})


def count(number: int | None, *, estimated: bool = False) -> str:
    """A number of rows: 3,421; one that was not counted: ~3,421."""
    if number is None:
        return UNKNOWN
    return f"~{number:,}" if estimated else f"{number:,}"


def filled(fills: Sequence[str], target: str) -> str:
    """What is filled of which table; empty where only called services write."""
    return f"{', '.join(fills)} of {target}" if fills else ""


def among(read: int, expected: int | None, *, estimated: bool = False) -> str:
    """Rows read of those expected: there may be more, arrived since or given and not there."""
    if expected is None:
        return count(read)
    of = count(expected, estimated=estimated)
    return f"{read:,} ({of} eligible at its start)" if read > expected else f"{read:,} of {of}"


def unended(run: Run) -> str:
    """What is to come of a run that was stopped with every row read: "40 of 40" reads as done."""
    stopped = run.state in STOPPED or (run.interrupted and run.state is RunState.RUNNING)
    if not stopped or not run.expected or run.outcome.read < run.expected:
        return ""
    return "a last look for rows left is to come"


def plural(number: int, noun: str) -> str:
    """A number with its noun: 1 row, 3,421 rows."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(span: timedelta | None) -> str:
    """A length of time in its two largest units: 3 min 20 s."""
    if span is None:
        return UNKNOWN
    seconds = span.total_seconds()
    if 0 < seconds < 0.0005:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:  # would be rounded up to 1000 ms
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:  # one digit more where it still matters
        return f"{seconds:.1f} s"
    whole = round(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    parts = [f"{n} {u}" for n, u in ((days, "d"), (hours, "h"), (minutes, "min"), (left, "s")) if n]
    return " ".join(parts[:2])


def worked(time: timedelta, run: Run, at: datetime) -> str:
    """The time worked on a run; since when, where it was paused or dead for a part of it."""
    began = run.started or run.created
    passed = (run.ended or at) - began
    rested = passed - time > timedelta(seconds=2)
    return duration(time) + (f" of work since {moment(began)}" if rested else "")


def estimate(forecast: Estimate | None) -> str:
    """A range that admits what it does not know: 2.0 s to 4.0 s."""
    if forecast is None:
        return UNKNOWN
    low, high = duration(forecast.low), duration(forecast.high)
    return f"about {low}" if low == high else f"{low} to {high}"


def size(octets: float | None) -> str:
    """Bytes in powers of 1,000: 1.2 MB."""
    if octets is None:
        return UNKNOWN
    left = float(octets)
    for unit in ("B", "kB", "MB", "GB"):
        if left < 1000:
            return f"{left:.0f} {unit}" if unit == "B" or left >= 100 else f"{left:.1f} {unit}"
        left /= 1000
    return f"{left:,.1f} TB"


def moment(at: datetime | None) -> str:
    """A moment in UTC, to the second."""
    return "never" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def place(path: Path) -> str:
    """A file as one would type it from here: a short path is not broken over two lines."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def rate(rows_per_second: float | None) -> str:
    """Rows a second, without false precision."""
    if rows_per_second is None:
        return UNKNOWN
    digits = 0 if rows_per_second >= 10 else 1
    return f"{rows_per_second:,.{digits}f} rows/s"


def tuned(tuning: Tuning) -> str:
    """What an operator has set by `tune`; empty while Proctor decides everything."""
    parts = []
    if tuning.chunk_rows is not None:
        parts.append(f"chunks of {plural(tuning.chunk_rows, 'row')}")
    if tuning.workers is not None:
        parts.append(plural(tuning.workers, "worker"))
    if tuning.pause is not None:
        parts.append(f"rests of {duration(tuning.pause)}" if tuning.pause else "no rests")
    if tuning.rows_per_second is not None:
        parts.append(f"at most {rate(tuning.rows_per_second)}")
    return ", ".join(parts)


def share(part: float, whole: float) -> str:
    """Part of a whole in per cent; never rounded up to 100 or down to 0."""
    if not whole:
        return "0 %"
    percent = 100 * part / whole
    if percent in (0, 100):
        return f"{percent:.0f} %"
    return f"{min(max(percent, 0.1), 99.9):.1f} %"


def key(parts: Key) -> str:
    """A row's key as `--keys`, `--from` and `--to` take it."""
    return key_text(parts)


def span(part: Span) -> str:
    """Which rows of the table."""
    if part.whole:
        return "all rows"
    said = []
    if part.keys:
        said.append(f"{plural(len(part.keys), 'key')} given")
    if part.start is not None:
        said.append(f"from {key(part.start)}")
    if part.stop is not None:
        said.append(f"to {key(part.stop)}")
    if part.limit is not None:
        said.append(f"at most {plural(part.limit, 'row')}")
    return ", ".join(said)


def missed(keys: Missed | None) -> str:
    """What became of keys that were given and not filled; empty where there are none."""
    if keys is None:
        return ""
    parts = [f"{keys.not_found:,} not found"] if keys.not_found else []
    parts += [f"{keys.not_eligible:,} not eligible"] if keys.not_eligible else []
    return f"{', '.join(parts)}, of {plural(keys.given, 'key')} given" if parts else ""


def buckets(outcome: Outcome) -> str:
    """Where the rows ended: written always, the others where there are any."""
    said = {b: n for b, n in outcome.as_dict().items() if b != "read" and (n or b == "written")}
    return ", ".join(f"{name} {number:,}" for name, number in said.items())


def still_eligible(run: Run) -> str:
    """Rows still eligible, by reason; of a part of the table they are its own alone."""
    if run.still_eligible is None:
        return "not counted"
    said = ", ".join(f"{n:,} {why}" for why, n in run.still_eligible.items() if n) or "none"
    return said if run.span.whole else f"{said} in the part that it covers"


def gauge(measured: Signal) -> str:
    """A throttle signal with its limit, or that it is not watched."""
    if measured.value is None:
        return f"{measured.name}: not watched"
    unit = f" {measured.unit}" if measured.unit else ""
    return f"{measured.name}: {_figure(measured.value)} of {_figure(measured.limit)}{unit}"


def signal(measured: Signal) -> str:
    """The same with what it means, or why it cannot be had."""
    return gauge(measured) + (f" ({visible(measured.why)})" if measured.why else "")


def _figure(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def visible(text: str, width: int | None = None) -> str:
    """A value from a database, made harmless for a terminal and cut to `width` characters.

    Control characters and direction marks could move the cursor or reorder what is read, so
    they are shown by their code.
    """
    said = "".join(
        escaped(c) if unicodedata.category(c) in UNSEEN else c
        for c in (text if width is None else text[: width + 1])
    )
    if width is not None and (len(said) > width or len(text) > width):
        return said[: width - 1] + "…"
    return said


def value(text: str | None, width: int | None = None) -> str:
    """One field before or after; null is a word of its own."""
    return "null" if text is None else visible(text, width)
