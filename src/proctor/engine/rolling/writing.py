"""Files that a rollout writes: whole or not at all, and the same again after a crash."""

from __future__ import annotations

import asyncio
import os

from collections.abc import Sequence
from pathlib import Path


async def replace_file(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Put a file in the place of the one that is there; nobody ever reads half of it."""
    await asyncio.to_thread(_replace, path, text, mode)


def _replace(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    # As it is made, not afterwards: what it holds may be values of rows.
    with os.fdopen(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


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
