"""The report of a rollout as one self-contained HTML page; see html.py for what that promises."""

from __future__ import annotations

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
    """A metric over time: the rate where it has counts, else its first figure."""
    points = []
    for at, figures in metric.series:
        if figures.get("total"):
            points.append((at, figures.get("events", 0.0) / figures["total"] * 100))
        elif figures:
            points.append((at, next(iter(figures.values()))))
    unit = "%" if metric.series and metric.series[-1][1].get("total") else ""
    return charts.over_time(points, unit, metric.name)


__all__ = ["page"]
