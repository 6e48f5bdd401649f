"""The units of a grid in words, for every face alike."""

from __future__ import annotations

from typing import Any, Final

from proctor.engine.snapshot import UnitsSeen
from proctor.model import TouchedBooks, Unit, UnitState
from proctor.ui import documents, words

OPEN: Final = frozenset({UnitState.RETRY, UnitState.FAILED, UnitState.PROCESSING})
"""States of which a person wants to see each unit."""


def states(seen: UnitsSeen | None) -> str:
    """How many units stand in each state; empty where rows are rows."""
    return ", ".join(f"{name} {n:,}" for name, n in seen.states.items()) if seen else ""


def totals(seen: UnitsSeen | None) -> str:
    """The author's numbers over all units."""
    if seen is None:
        return ""
    return ", ".join(f"{words.visible(name)} {_number(n)}" for name, n in seen.totals.items())


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def touched(books: TouchedBooks) -> str:
    """What called services wrote, by table; empty where the backfill declares no such rows."""
    if not books.names:
        return ""
    said = books.told or f"nothing in {', '.join(books.names)}"
    parts = [said]
    parts += [f"{books.undone:,} undone"] if books.undone else []
    parts += [f"{books.left:,} left alone by undoing"] if books.left else []
    return words.visible("; ".join(parts))


def to_see(seen: UnitsSeen | None) -> list[Unit]:
    """The units that are not as they should be in the end, or are being worked on."""
    return [unit for unit in seen.units if unit.state in OPEN] if seen else []


def document(seen: UnitsSeen | None) -> dict[str, Any] | None:
    """The units for other programs."""
    if seen is None:
        return None
    return {
        "states": dict(seen.states),
        "totals": documents.plain(seen.totals),
        "listed": [
            {
                "key": documents.plain(unit.key),
                "state": unit.state.value,
                "attempts": unit.attempts,
                "run": unit.run or None,
                "started": documents.plain(unit.started),
                "completed": documents.plain(unit.completed),
                "emitted": unit.emitted,
                "metrics": documents.plain(unit.metrics),
                "reason": unit.reason,
            }
            for unit in seen.units
        ],
    }
