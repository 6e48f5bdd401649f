"""Where notices go, and what came of a test message, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from proctor.app.notifying import Tried
from proctor.model import PlaceSeen
from proctor.ui import words
from proctor.ui.text.blocks import heading, listing, table


def places(seen: Sequence[PlaceSeen]) -> list[RenderableType]:
    """Each place: what it is told, and what is wrong with it."""
    rows = [
        (_word(not one.wrong), one.name, one.kind, f"{one.severity} and above", _events(one))
        for one in seen
    ]
    said: list[RenderableType] = [
        heading("Notices", "nothing was sent"),
        table(("", "place", "kind", "severity", "events"), rows),
    ]
    faults = [f"{one.name}: {one.wrong}; {one.fix}" for one in seen if one.wrong]
    return [*said, Text(), listing(map(words.visible, faults))] if faults else said


def tried(came: Sequence[Tried]) -> list[RenderableType]:
    """Each place, and whether the message got there."""
    rows = [(_word(one.sent), one.place, one.kind, _came(one)) for one in came]
    return [heading("Notices", "a test message"), table(("", "place", "kind", "what came"), rows)]


def _came(one: Tried) -> str:
    return "sent" if one.sent else words.visible(one.why)


def _events(one: PlaceSeen) -> str:
    return words.visible(", ".join(one.events))


def _word(well: bool) -> Text:  # noqa: FBT001 - a predicate's answer
    return Text("ok", style="green") if well else Text("BAD", style="red")


__all__ = ["places", "tried"]
