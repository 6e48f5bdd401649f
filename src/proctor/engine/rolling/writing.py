"""Files that a rollout writes: whole or not at all, and the same again after a crash."""

from __future__ import annotations

import asyncio

from collections.abc import Sequence
from pathlib import Path

from proctor.engine.writing import replace_now


async def replace_file(path: Path, text: str, *, mode: int | None = None) -> None:
    """Put a file in the place of the one that is there; nobody ever reads half of it."""

    def replaced() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_now(path, text, mode=mode)

    await asyncio.to_thread(replaced)


def listed(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell(one) for one in line)} |" for line in lines)


def cell(value: object) -> str:
    """A value in a table: on one line, and with nothing that Markdown or HTML would act on."""
    flat = " ".join(str(value).split())
    for char in ("\\", "|", "<", "`"):
        flat = flat.replace(char, f"\\{char}")
    return flat if len(flat) <= CUT else f"{flat[: CUT - 1]}…"


CUT = 400
"""Characters of a value that are shown."""


__all__ = ["cell", "listed", "replace_file"]
