"""Charts as inline SVG: no script, no font, no address outside the page.

Colours come from the page's style sheet by class, so that they follow light and dark mode.
Every number drawn is also said in a `<title>` or beside the chart.
"""

from __future__ import annotations

import math
import statistics

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from markupsafe import Markup, escape

from proctor.model import Bucket, ChunkRecord, ChunkState, Outcome
from proctor.ui import words

WIDTH: Final = 560
HEIGHT: Final = 220
LEFT: Final = 56
RIGHT: Final = 14
TOP: Final = 14
BOTTOM: Final = 30
BARS: Final = 80
"""More chunks than this are drawn in groups."""
TICKS: Final = 4


@dataclass(frozen=True, slots=True)
class _Frame:
    """The plane of a chart: `high` is the value at its upper edge."""

    high: float

    def x(self, part: float) -> float:
        """The place of a share of the width."""
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """The place of a value."""
        return HEIGHT - BOTTOM - value / self.high * (HEIGHT - TOP - BOTTOM)

    @property
    def floor(self) -> float:
        """The place of zero."""
        return HEIGHT - BOTTOM


def rates(
    points: Sequence[tuple[datetime, float]], waits: Sequence[tuple[datetime, str]]
) -> Markup | None:
    """Rows a second over time, with a mark wherever the run waited; None below two points."""
    return over_time(points, "rows/s", "Rows a second", waits)


def over_time(
    points: Sequence[tuple[datetime, float]],
    unit: str,
    label: str,
    waits: Sequence[tuple[datetime, str]] = (),
) -> Markup | None:
    """A number over time, with marks for what happened meanwhile; None below two points."""
    if len(points) < 2:
        return None
    begin = points[0][0]
    whole = max((points[-1][0] - begin).total_seconds(), 1e-9)
    frame = _Frame(_ceiling(max(value for _, value in points)))
    where = [(frame.x((at - begin).total_seconds() / whole), frame.y(v)) for at, v in points]
    path = " L".join(f"{x:.1f},{y:.1f}" for x, y in where)
    area = f"M{where[0][0]:.1f},{frame.floor} L{path} L{where[-1][0]:.1f},{frame.floor} Z"
    parts = [
        _grid(frame, unit),
        f'<path class="area" d="{area}"/><path class="line" d="M{path}"/>',
        *(
            f'<text class="tick" x="{frame.x(part):.1f}" y="{HEIGHT - 10}" '
            f'text-anchor="{anchor}">{words.duration(timedelta(seconds=whole * part))}</text>'
            for part, anchor in ((0.5, "middle"), (1, "end"))
        ),
        f'<text class="tick" x="{frame.x(0):.1f}" y="{HEIGHT - 10}">start</text>',
    ]
    for at, why in waits:
        x = frame.x(min(max((at - begin).total_seconds() / whole, 0), 1))
        parts.append(
            f'<path class="wait" d="M{x:.1f},{frame.floor - 7} l4,7 l-8,0 Z">'
            f"<title>{words.moment(at)}: {escape(why)}</title></path>"
        )
    return _svg(parts, f"{label} over {words.duration(timedelta(seconds=whole))}")


def chunk_times(chunks: Sequence[ChunkRecord]) -> Markup | None:
    """Time of each chunk's write transaction; many chunks are grouped, median before maximum."""
    applied = [c for c in chunks if c.state is ChunkState.APPLIED]
    if not applied:
        return None
    groups = _grouped(applied)
    frame = _Frame(_ceiling(max(max(_millis(g)) for g in groups)))
    step = 1 / len(groups)
    parts = [_grid(frame, "ms")]
    for place, group in enumerate(groups):
        times = _millis(group)
        left, wide = frame.x(place * step), (WIDTH - LEFT - RIGHT) * step
        gap = min(2.0, wide * 0.2)
        wide = min(wide - gap, 28)
        left += ((WIDTH - LEFT - RIGHT) * step - wide) / 2
        title = _chunk_title(group, times)
        middle = statistics.median(times)
        parts.append(
            f"<g><title>{title}</title>"
            f"{_bar('most', frame, left, wide, max(times)) if len(group) > 1 else ''}"
            f"{_bar('middle', frame, left, wide, middle)}</g>"
        )
    first, last = applied[0].chunk.number, applied[-1].chunk.number
    parts.append(f'<text class="tick" x="{frame.x(0):.1f}" y="{HEIGHT - 10}">chunk {first}</text>')
    if last != first:
        parts.append(
            f'<text class="tick" x="{frame.x(1):.1f}" y="{HEIGHT - 10}" '
            f'text-anchor="end">chunk {last}</text>'
        )
    return _svg(parts, f"Write time of {words.plural(len(applied), 'chunk')}")


def buckets(outcome: Outcome) -> Markup | None:
    """One bar, as long as the rows read, cut by where they ended."""
    if not outcome.read:
        return None
    counts = outcome.as_dict()
    parts, at = [], 0.0
    for bucket in Bucket:
        wide = counts[bucket.value] / outcome.read * 1000
        if wide:
            # A single failed row among a million must still be seen.
            shown = max(wide, 3.0)
            parts.append(
                f'<rect class="{bucket.value}" x="{min(at, 1000 - shown):.2f}" y="0" '
                f'width="{shown:.2f}" height="26"><title>{bucket.value}: '
                f"{counts[bucket.value]:,} of {outcome.read:,}</title></rect>"
            )
        at += wide
    label = f"Where {words.plural(outcome.read, 'row')} ended: {words.buckets(outcome)}"
    return Markup(  # noqa: S704 - made of numbers and our own words; the label is escaped
        f'<svg class="buckets" viewBox="0 0 1000 26" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _bar(kind: str, frame: _Frame, left: float, wide: float, value: float) -> str:
    top = frame.y(value)
    high = max(frame.floor - top, 1.0)
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{frame.floor - high:.1f}" width="{wide:.1f}" '
        f'height="{high:.1f}" rx="1.5"/>'
    )


def _grouped(applied: Sequence[ChunkRecord]) -> list[Sequence[ChunkRecord]]:
    many = math.ceil(len(applied) / BARS)
    return [applied[i : i + many] for i in range(0, len(applied), many)]


def _millis(group: Sequence[ChunkRecord]) -> list[float]:
    return [c.took.total_seconds() * 1000 for c in group]


def _chunk_title(group: Sequence[ChunkRecord], times: Sequence[float]) -> str:
    rows = sum(c.outcome.read for c in group)
    first, last = group[0].chunk.number, group[-1].chunk.number
    if first == last:
        return f"chunk {first}: {times[0]:.0f} ms, {words.plural(rows, 'row')}"
    middle = statistics.median(times)
    return (
        f"chunks {first} to {last}: median {middle:.0f} ms, at most {max(times):.0f} ms, "
        f"{words.plural(rows, 'row')}"
    )


def _ceiling(value: float) -> float:
    """The next round number whose quarters are round too."""
    if value <= 0:
        return 1.0
    scale = 10 ** math.floor(math.log10(value))
    return float(next(s * scale for s in (1, 2, 4, 6, 8, 10) if s * scale >= value))


def _grid(frame: _Frame, unit: str) -> str:
    lines = []
    for step in range(TICKS + 1):
        value = frame.high * step / TICKS
        y = frame.y(value)
        said = f"{value:,.0f}" if frame.high >= TICKS else f"{value:,.2g}"
        said += f" {unit}" if step == TICKS else ""
        lines.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        # The unit stands at the upper tick, inside the plane where there is room for it.
        place = (LEFT + 4, y - 3, "start") if step == TICKS else (LEFT - 8, y + 4, "end")
        lines.append(
            f'<text class="tick" x="{place[0]}" y="{place[1]:.1f}" '
            f'text-anchor="{place[2]}">{said}</text>'
        )
    return "".join(lines)


def _svg(parts: Sequence[str], label: str) -> Markup:
    return Markup(  # noqa: S704 - made of numbers and our own words; texts are escaped above
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
