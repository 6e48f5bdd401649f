"""The report as one self-contained HTML page: it opens from disk, offline, in any browser.

Every value passes the template's autoescape; the page loads nothing and runs nothing, and a
Content-Security-Policy says so to the browser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from proctor.engine.snapshot import Report
from proctor.model import Bucket, ChunkState
from proctor.ui import bills, units, words
from proctor.ui.reports import charts

TEMPLATES: Final = Path(__file__).with_name("templates")
LONG: Final = 240
"""Characters of a value that are shown before it is cut; the JSON report has all of it."""


def render(report: Report) -> str:
    """The whole page as text."""
    return template("report.html").render(
        report=report,
        run=report.run,
        books=report.run.outcome,
        counts=report.run.outcome.as_dict(),
        buckets=[b.value for b in Bucket],
        applied=[c for c in report.chunks if c.state is ChunkState.APPLIED],
        success=_percent(report.success_rate),
        rate_chart=charts.rates(report.rates, report.throttle),
        chunk_chart=charts.chunk_times(report.chunks),
        bucket_chart=charts.buckets(report.run.outcome),
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        words=words,
        bills=bills,
        units=units,
    )


def template(name: str) -> Template:
    """One of our pages: every value in it is escaped, and an unknown name is an error."""
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    environment.filters["visible"] = lambda text: words.visible(str(text), LONG)
    return environment.get_template(name)


def prose(sentence: str) -> Markup:
    """One of our own sentences: escaped, and what stands in backticks set as code."""
    return Markup(  # noqa: S704 - every part is escaped before it is joined
        "".join(
            f"<code>{escape(part)}</code>" if odd % 2 else str(escape(part))
            for odd, part in enumerate(words.visible(sentence).split("`"))
        )
    )


def _percent(share: float | None) -> str:
    return words.UNKNOWN if share is None else words.share(share, 1)
