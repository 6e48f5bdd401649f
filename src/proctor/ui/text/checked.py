"""What checks say of rows, one line each: the verdict, and why in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from proctor.model import Checked, Ruling
from proctor.ui import words
from proctor.ui.text.blocks import heading, table

COLOURS: Final = {Ruling.PASS: "green", Ruling.FAIL: "red", Ruling.INCONCLUSIVE: "yellow"}


def verdicts(found: Sequence[Checked]) -> list[RenderableType]:
    """A block of its own; nothing where there are no checks."""
    if not found:
        return []
    rows: list[tuple[str | Text, ...]] = [
        (
            Text(one.verdict.value, style=COLOURS[one.verdict]),
            one.level.value,
            one.kind,
            words.visible(one.field),
            words.visible(one.reason),
        )
        for one in found
    ]
    return [
        Text(),
        heading("Checks", "of the rows shown"),
        table(("verdict", "level", "check", "of", "why"), rows),
    ]
