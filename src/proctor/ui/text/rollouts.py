"""What a rollout would do, stage by stage, in the words of its author."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from proctor.ui import words


def stage(number: int, told: Mapping[str, Any]) -> list[str]:
    """Its name and kind, and below that what it was told."""
    lines = [f"  {number}. {words.visible(told['name'])} ({told['what']})"]
    said = [one for one in map(_word, told.items()) if one]
    if said:
        lines.append(f"       {'; '.join(said)}")
    lines += [f"       milestone {_milestone(one)}" for one in told.get("milestones", ())]
    lines += [f"       probe {words.visible(one['name'])}" for one in told.get("probes", ())]
    lines += [f"       metric {metric(one)}" for one in told.get("metrics", ())]
    return lines


def metric(told: Mapping[str, Any]) -> str:
    """How often it is looked at, by which rule, and what follows from a fail."""
    rules = [f"succeeds where {told['success_condition']}"] if told["success_condition"] else []
    rules += [f"fails where {told['failure_condition']}"] if told["failure_condition"] else []
    if baseline := told["baseline"]:
        rules.append(f"at least {baseline['allowed']:g} of {baseline['mode'].replace('_', ' ')}")
    marks = [word for word in ("critical", "dry_run") if told[word]]
    every = _length(told["interval"])
    return f"{words.visible(told['name'])} every {every}: {'; '.join([*rules, *marks])}"


def _milestone(told: Mapping[str, Any]) -> str:
    place = f"{told['rows']:,} rows" if told["rows"] is not None else f"{told['share']:.0%}"
    return f"at {place}, sample of {told['sample']:,}"


def _word(item: tuple[str, Any]) -> str:
    """One word of a stage; those that say nothing new are left out."""
    name, value = item
    if name in ("duration", "most", "hold", "within", "expires"):
        return f"{name} {_length(value)}" if value else ""
    if name == "steps":
        return "steps " + ", ".join(f"{one}%" for one in value)
    if name in ("backfill", "flag", "until", "approvals", "report", "plan", "since"):
        return f"{name} {words.visible(str(value))}" if value else ""
    if name in ("look", "confirm", "self_review") and value:
        return name if value is True else f"look at {', '.join(map(words.visible, value))}"
    return ""


def _length(seconds: float) -> str:
    return words.duration(timedelta(seconds=seconds))


__all__ = ["metric", "stage"]
