"""The shapes that every text is made of: a heading, facts, a list and a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

ANY_WIDTH: Final = 100_000
"""Columns in which everything has room."""


def heading(title: str, beside: str = "") -> Text:
    """A line that begins a part."""
    return Text.assemble((title, "bold"), (f"  {beside}" if beside else "", "dim"))


def facts(pairs: Iterable[tuple[str, str | Text]]) -> Table:
    """Name and value, one pair a line; pairs without a value are left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True, min_width=14)
    grid.add_column(overflow="fold")
    for name, said in pairs:
        if said:
            grid.add_row(f"  {name}", said)
    return grid


def listing(sentences: Iterable[str], *, style: str = "", mark: str = "-") -> Table:
    """One sentence a line, indented when it needs more than one."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for sentence in sentences:
        grid.add_row(f"  {mark}", Text(sentence, style=style))
    return grid


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    right: str = "",
) -> Table:
    """Columns under heads; those whose head is in `right` (comma separated) hold numbers."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    numbers = right.split(",")
    for place, head in enumerate(heads):
        drawn.add_column(
            f"  {head}" if place == 0 else head,
            justify="right" if head in numbers else "left",
            overflow="fold",
        )
    for row in rows:
        first, *others = row
        start = Text("  ").append(first if isinstance(first, Text) else Text(first))
        drawn.add_row(start, *others)
    return drawn


class Fitting:
    """Something wide where it has room on every line, and else what needs less.

    Columns that are squeezed break what stands in them in the middle of a word.
    """

    def __init__(self, wide: Table, narrow: Sequence[RenderableType]) -> None:
        """`narrow` is drawn one below the other."""
        self._wide = wide
        self._narrow = narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Decide by the width of what it is drawn on."""
        anywhere = options.update(width=ANY_WIDTH)
        if console.measure(self._wide, options=anywhere).maximum <= options.max_width:
            yield self._wide
        else:
            yield from self._narrow
