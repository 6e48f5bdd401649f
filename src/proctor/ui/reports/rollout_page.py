"""The report of a rollout as one self-contained HTML page; see html.py for what that promises."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from proctor.engine.rolling.story import MetricTold, Story
from proctor.engine.show import cost
from proctor.ui import words
from proctor.ui.reports import charts
from proctor.ui.reports import entries as log
from proctor.ui.reports.html import TEMPLATES, template


def page(story: Story) -> str:
    """The whole page as text."""
    return template("rollout.html").render(
        story=story,
        rollout=story.rollout,
        held=story.standing.held,
        charts=[(one, chart) for one in story.metrics if (chart := _chart(one)) is not None],
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        words=words,
        cost=cost,
        log=log,
    )


def _chart(metric: MetricTold) -> Markup | None:
    """A metric over time."""
    points = [(at, drawn(figures)) for at, figures in metric.series if figures]
    unit = points[-1][1][1] if points else ""
    return charts.over_time([(at, y) for at, (y, now) in points if now == unit], unit, metric.name)


def drawn(figures: Mapping[str, float]) -> tuple[float, str]:
    """The one figure of a look that is drawn, and its unit: a share where it says one."""
    if "share" in figures:
        return figures["share"] * 100, "%"
    if "events" in figures and figures.get("total"):
        return figures["events"] / figures["total"] * 100, "%"
    return next(
        value for _, value in sorted(figures.items(), key=lambda one: one[0] == "total")
    ), ""


__all__ = ["drawn", "page"]
