"""Where the reports of a run are kept: a folder of its own in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from proctor.engine.snapshot import Report
from proctor.engine.writing import replace_now
from proctor.ui.reports import html, json, markdown

NAMES: Final = {"md": "report.md", "html": "report.html", "json": "statistics.json"}
RENDER: Final = {"md": markdown.render, "html": html.render, "json": json.render}


def keep(report: Report, folder: Path) -> dict[str, Path]:
    """Write every format to `folder/RUN/`; the paths by format.

    They hold values of rows (masked where the backfill says sensitive), so that only their
    owner may enter the folder. Raises OSError where the disk or a right is missing.
    """
    place = folder / report.run.id
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = {}
    for form, name in NAMES.items():
        path = place / name
        replace_now(path, RENDER[form](report))
        written[form] = path
    return written


def kept(run: str, folder: Path) -> list[Path]:
    """The files that are kept of a run, whoever wrote them there."""
    place = folder / run
    return sorted(p for p in place.iterdir() if p.is_file()) if place.is_dir() else []
