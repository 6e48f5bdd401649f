"""Judges one look at a metric by its conditions, and the counts of a baseline by their sense."""

from __future__ import annotations

import math

from collections.abc import Callable, Collection, Sequence

from proctor.core.gates.expression import named
from proctor.errors import ProctorError
from proctor.model import Figures, Metric, Mode, Phase

Holds = Callable[[str, Figures], bool]
"""Whether a condition holds of figures; raises Unmeasured where it cannot be computed."""

SAMPLES = ("total", "rows")
"""The figures that say of how much a look speaks, the first that is there."""
COUNTS = (("events", "total"),)
CONTROL_COUNTS = (*COUNTS, ("control_events", "control_total"))


def look(metric: Metric, figures: Figures, holds: Holds) -> tuple[Phase, str]:
    """What a look at a metric came to, and why in words.

    Too few samples are no data. The failure condition is asked first and wins; only a success
    condition: whatever is not success failed; only a failure condition: whatever is not failure
    succeeded; both and neither: inconclusive. What is no number never passes.
    """
    if wrong := senseless(metric, figures):
        return Phase.ERROR, wrong
    if few := short(metric, figures):
        return Phase.INCONCLUSIVE, f"no data: {few}"
    try:
        failed = bool(metric.failure_condition) and holds(metric.failure_condition, figures)
        phase, why = _judged(metric, figures, holds, failed=failed)
    except ProctorError as error:
        return Phase.ERROR, str(error)
    # Comparisons with what is no number are all false: that alone says neither good nor bad.
    if not failed and (blank := _blank(metric, figures)):
        return Phase.INCONCLUSIVE, f"no data: {', '.join(blank)} is no number"
    return phase, why


def short(metric: Metric, figures: Figures) -> str:
    """Why figures are too few to judge; empty where they are enough."""
    counted = next((name for name in SAMPLES if name in figures), None)
    if counted is None:
        if metric.min_samples > 1:
            return f"min_samples is {metric.min_samples:,}, and no figure is called total or rows"
        return "" if figures else "it gave no figure"
    counts = [counted]
    if metric.baseline is not None and metric.baseline.mode is Mode.CONCURRENT:
        counts.append("control_total")
    for name in counts:
        value = number(figures.get(name))
        if not value >= metric.min_samples:  # NaN is not enough either
            return f"{name} is {told(value)}, and {metric.min_samples:,} are asked for"
    return ""


def lacking(metric: Metric, there: Collection[str]) -> str:
    """Which figures its rules ask for and nobody gives; empty where all are there."""
    asked = _asked(metric)
    if metric.baseline is not None:
        pairs = CONTROL_COUNTS if metric.baseline.mode is Mode.CONCURRENT else COUNTS
        asked |= {name for pair in pairs for name in pair}
    if lost := sorted(asked - set(there)):
        return f"no figure is called {' or '.join(lost)}"
    if metric.min_samples > 1 and not any(name in there for name in SAMPLES):
        return f"min_samples is {metric.min_samples:,}, and no figure is called total or rows"
    return ""


def senseless(metric: Metric, figures: Figures) -> str:
    """Why the counts that its baseline compares cannot be; empty where nothing is wrong."""
    baseline = metric.baseline
    if baseline is None:
        return ""
    pairs = CONTROL_COUNTS if baseline.mode is Mode.CONCURRENT else COUNTS
    if baseline.mode is Mode.MATCHED_WINDOWS:
        pairs = (*pairs, *((f"events_{k}", f"total_{k}") for k in earlier(figures)))
    for pair in pairs:
        for name in pair:
            if name not in figures:
                return f"a baseline compares counts, and there is no {name}"
            value = number(figures[name])
            if not (math.isfinite(value) and value >= 0 and value == int(value)):
                return f"{name} is {value:g}, and a count is a whole number of at least 0"
        events, total = (figures[name] for name in pair)
        if events > total:
            return f"{pair[0]} is {events:,.0f}, more than the {total:,.0f} of {pair[1]}"
    return ""


def with_earlier(figures: Figures, before: Sequence[Figures | None]) -> Figures:
    """Figures of now with those of matched windows, as `events_1`, `total_1` and so on.

    They stand in one measurement, so that a verdict can be computed again from the log alone.
    before: nearest first; None where one could not be measured.
    """
    known = dict(figures)
    for k, window in enumerate(before, 1):
        for name in ("events", "total"):
            if window is not None and name in window:
                known[f"{name}_{k}"] = window[name]
    return known


def earlier(figures: Figures) -> list[int]:
    """The numbers of the matched windows that were measured."""
    numbers = (name.partition("_")[2] for name in figures if name.startswith("total_"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def number(value: float | None) -> float:
    """A figure, and NaN for one that is null."""
    return math.nan if value is None else float(value)


def told(value: float) -> str:
    """A figure as one says it: whole ones in full, others to four places that count."""
    if math.isfinite(value) and value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def shown(metric: Metric, figures: Figures) -> str:
    """The figures that a metric is judged by, as one says them."""
    names = _asked(metric)
    if not names:
        names = {"events", "total"} if metric.baseline else set(figures)
    if set(figures) == {"value"}:
        return told(number(figures["value"]))
    return ", ".join(f"{name} {told(number(figures[name]))}" for name in figures if name in names)


def _judged(metric: Metric, figures: Figures, holds: Holds, *, failed: bool) -> tuple[Phase, str]:
    failure, success = metric.failure_condition, metric.success_condition
    seen = shown(metric, figures)
    if failed:
        return Phase.FAILED, f"{seen}: {failure}"
    if success:
        if holds(success, figures):
            return Phase.SUCCESSFUL, f"{seen}: {success}"
        if failure:
            return Phase.INCONCLUSIVE, f"{seen}: neither {success} nor {failure}"
        return Phase.FAILED, f"{seen}: not {success}"
    if failure:
        return Phase.SUCCESSFUL, f"{seen}: not {failure}"
    if metric.baseline:
        return Phase.SUCCESSFUL, f"measured: {seen}"
    return Phase.INCONCLUSIVE, f"{seen}: nothing is asked of it"


def _asked(metric: Metric) -> set[str]:
    """The figures that its conditions ask for."""
    conditions = filter(None, (metric.success_condition, metric.failure_condition))
    return {name for condition in conditions for name in named(condition)}


def _blank(metric: Metric, figures: Figures) -> list[str]:
    """The figures of its conditions that are no numbers: a comparison with those says nothing."""
    names = _asked(metric)
    return sorted(name for name in names if not math.isfinite(number(figures.get(name))))


__all__ = [
    "Holds",
    "earlier",
    "lacking",
    "look",
    "number",
    "senseless",
    "short",
    "shown",
    "told",
    "with_earlier",
]
