"""Takes files of other tools as evidence, beside the ready checks and by the same levels."""

from __future__ import annotations

import json

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from proctor.authoring import Backfill
from proctor.core.evidence import read
from proctor.engine.counting import COUNTED_AT_ONCE, counted
from proctor.engine.site import Site
from proctor.errors import UsageError
from proctor.model import Checked, Ruling, Span, Spec

LARGEST: Final = 20_000_000
"""Bytes of a file."""


async def evidence(
    site: Site, backfill: Backfill, rows: Spec, files: Sequence[Path]
) -> tuple[Checked, ...]:
    """What the files say. One that was made before the run's last write passes nothing.

    `rows` is the target as rows to look at. Raises UsageError for a file that cannot be read.
    """
    if not files:
        return ()
    filled = (await counted(site, rows, Span(), upto=COUNTED_AT_ONCE)).eligible
    wrote = await _last_write(site, backfill)
    found: list[Checked] = []
    for file in files:
        text, touched = _text(file)
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        seen = read(document, rows=filled)
        at = seen.at or touched
        when = f"made {at:%Y-%m-%d %H:%M} UTC"
        stale = wrote is not None and at < wrote
        for one in seen.checks:
            told = replace(one, over=f"{file.name}, {when}")
            if stale and one.verdict is Ruling.PASS:
                why = f"{one.reason}; that was before the run's last write"
                told = replace(told, verdict=Ruling.INCONCLUSIVE, reason=why)
            found.append(told)
    return tuple(found)


async def _last_write(site: Site, backfill: Backfill) -> datetime | None:
    """The last sign of life of the latest run that wrote anything."""
    for run in await site.store.runs(backfill=backfill.name):
        if run.outcome.written:
            return run.ended or run.heartbeat
    return None


def _text(file: Path) -> tuple[bytes, datetime]:
    try:
        if file.stat().st_size > LARGEST:
            raise UsageError(
                "a file of evidence is too large",
                found=f"{file}: more than {LARGEST / 1e6:g} MB",
                fix="give the tool's summary, without the rows",
            )
        return file.read_bytes(), datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except OSError as error:
        raise UsageError(
            "a file of evidence cannot be read",
            found=f"{file}: {error.strerror}",
            fix="dbt writes target/run_results.json; of the others see docs/checks.md",
        ) from None


__all__ = ["evidence"]
