"""Reads the rules of a metric and of a baseline as an author wrote them, word by word."""

from __future__ import annotations

import math

from datetime import timedelta
from typing import Any

from proctor.authoring.given import short, text
from proctor.core.gates import FEWEST_WINDOWS, fault
from proctor.errors import DefinitionError
from proctor.model import Baseline, Direction, Metric, Mode

_LEAST = {  # whole numbers, and the least that each may be
    "count": 1,
    "failure_limit": -1,
    "inconclusive_limit": -1,
    "consecutive_error_limit": -1,
    "consecutive_success_limit": 0,
    "min_samples": 1,
}
_TIMES = {"interval": True, "initial_delay": False, "timeout": True}
"""Lengths of time, and whether each has to be above zero."""
_SWITCHES = ("dry_run", "critical")
_CONDITIONS = ("success_condition", "failure_condition")
_KNOWN = (*_LEAST, *_TIMES, *_SWITCHES, *_CONDITIONS, "baseline")


def rules(given: dict[str, Any], right: str) -> dict[str, Any]:
    """The words of a metric, judged; what may be left out is not there."""
    said = {
        word: value
        for word, value in given.items()
        if value is not None or word not in {"count", "baseline"}
    }
    for word, value in said.items():
        _judge(word, value, right)
    streak, count = said.get("consecutive_success_limit", 0), said.get("count")
    if streak and not any(map(said.get, _CONDITIONS)):
        raise _no(
            "consecutive_success_limit counts looks that were judged by a condition",
            "no condition",
            'success_condition="result.ok == 1", consecutive_success_limit=3',
        )
    if count is not None and streak > count:
        raise _no(
            "consecutive_success_limit= cannot be reached within count=",
            f"{streak} of {count}",
            "count=10, consecutive_success_limit=3",
        )
    return said


def _judge(word: str, value: Any, right: str) -> None:
    if word not in _KNOWN:
        raise _no("a metric does not know this word", f"{word}=", ", ".join(_KNOWN))
    if word in _LEAST:
        _whole(word, value, _LEAST[word])
    elif word in _TIMES:
        _time(word, value, above=_TIMES[word])
    elif word in _CONDITIONS:
        condition(word, value)
    elif word in _SWITCHES and not isinstance(value, bool):
        raise _no(f"{word}= is True or False", repr(value), f"{word}=True")
    elif word == "baseline" and not isinstance(value, Baseline):
        raise _no("baseline= is one of proctor.metrics", repr(value), right)


def condition(word: str, value: Any) -> str:
    """An expression over `result`; DefinitionError with the place of what is wrong in it."""
    right = f'{word}="result.rate > 0.02 and result.total >= 500"'
    told = text(f"{word}=", value, right)
    if wrong := fault(told):
        raise _no(f"{word}= is no condition: {wrong}", told, right)
    return told


def by_conditions(asked: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """Metrics that one look can answer: nothing is proved against a baseline before its end."""
    for metric in asked:
        if metric.baseline is not None:
            raise _no(
                f"a gate is passed by one look, and {metric.name} is compared over a time",
                "baseline=",
                'stages.soak("six hours", duration=timedelta(hours=6), metrics=[…])',
            )
    return asked


def of_baseline(
    mode: Mode,
    right: str,
    allowed: Any,
    direction: Any,
    confidence: Any,
    **more: Any,
) -> Baseline:
    """A baseline, with `allowed` on the side of 1 on which it bears something."""
    if direction not in set(Direction):
        raise _no('direction is "decrease" or "increase"', repr(direction), right)
    which = Direction(str(direction))
    _number("allowed", allowed, right)
    if not (0 < allowed < 1 if which is Direction.DECREASE else allowed > 1):
        raise _no(*_sides(which, allowed, right))
    _number("confidence", confidence, right)
    if not 0.5 < confidence < 1:
        raise _no("confidence is between 0.5 and 1", repr(confidence), "confidence=0.95")
    if "rate" in more:
        _number("rate", more["rate"], right)
        if not 0 < more["rate"] < 1 or more["rate"] * allowed >= 1:
            raise _no("rate is a share between 0 and 1", f"{more['rate']}", right)
    if "windows" in more:
        _whole("windows", more["windows"], FEWEST_WINDOWS)
        _time("lag", more["lag"], above=True)
    return Baseline(mode=mode, allowed=allowed, direction=which, confidence=confidence, **more)


def _sides(which: Direction, allowed: float, right: str) -> tuple[str, str, str]:
    if which is Direction.DECREASE:
        what = "a rate that must not decrease is allowed a part of its baseline, below 1"
        other = right if allowed <= 1 else right.replace("0.85", '1.15, direction="increase"')
        return what, f"allowed={allowed}", other
    what = "a rate that must not increase is allowed more than its baseline, above 1"
    return what, f"allowed={allowed}", right.replace("0.85", '1.15, direction="increase"')


def _whole(word: str, value: Any, least: int) -> None:
    if type(value) is not int or value < least:
        raise _no(
            f"{word}= is a whole number of at least {least}",
            repr(value),
            f"{word}={max(least, 1)}" if least >= 0 else f"{word}=2, or -1 for no limit",
        )


def _time(word: str, value: Any, *, above: bool) -> None:
    zero = timedelta(0)
    if not isinstance(value, timedelta) or value < zero or (above and value == zero):
        bound = "above zero" if above else "of at least zero"
        raise _no(
            f"{word}= is a length of time {bound}", repr(value), f"{word}=timedelta(minutes=15)"
        )


def _number(word: str, value: Any, right: str) -> None:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise _no(f"{word}= is a number", repr(value), right)


def _no(what: str, found: object, right: str) -> DefinitionError:
    return DefinitionError(what, found=short(str(found)), fix=right)


__all__ = ["by_conditions", "condition", "of_baseline", "rules"]
