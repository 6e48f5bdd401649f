"""What lacks its fill, for people."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from proctor.app.healing import Health
from proctor.ui import words
from proctor.ui.reports.health import advice
from proctor.ui.text.blocks import facts, heading, listing, table


def health(found: Health, command: str = "") -> list[RenderableType]:
    """The verdict, the reasons, the first keys, and what to do."""
    said: list[RenderableType] = [
        heading(f"Health: {found.backfill} in {found.env}", "nothing was written"),
        facts((("verdict", found.verdict.value), ("why", words.visible(found.reason)))),
    ]
    if found.reasons:
        rows = [(words.visible(reason), words.count(n)) for reason, n in found.reasons.items()]
        said += [Text(), heading("Why"), table(("reason", "rows"), rows, right="rows")]
    if found.shown:
        keys = [(words.key(one.key), words.visible(one.reason)) for one in found.shown]
        said += [Text(), heading("The first of them"), table(("key", "why"), keys)]
    return [*said, Text(), heading("What to do"), listing(advice(found, command))]


__all__ = ["health"]
