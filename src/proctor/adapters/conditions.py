"""Computes the conditions of metrics over the figures of a look, by simpleeval."""

from __future__ import annotations

import math

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from proctor.core.gates import fault, one_line
from proctor.errors import ConfigError, Unmeasured
from proctor.model import Figures


def _nil(value: object) -> bool:
    return value is None


def _default(value: Any, other: Any) -> Any:
    return other if value is None else value


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "asInt": int,
    "asFloat": float,
    "isNaN": math.isnan,
    "isInf": math.isinf,
    "isNil": _nil,
    "default": _default,
}


class _Result:
    """The figures, as attributes and as items; a name that is not there is an error."""

    __slots__ = ("_figures",)

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def __getitem__(self, name: str) -> float:
        return self._figures[name]

    def __getattr__(self, name: str) -> float:
        return self._figures[name]


class SimpleConditions:
    """Conditions that are read once and can do nothing but compare numbers.

    What may stand in one is decided by core/gates before the library sees it: it has had holes
    in what it forbids, and here nothing is left of what it would have to forbid.
    """

    def __init__(self) -> None:
        """Raises ConfigError where the library is missing."""
        try:
            import simpleeval
        except ImportError:
            raise ConfigError(
                "conditions of metrics are computed by simpleeval",
                found="it is not installed",
                fix="pip install 'proctor[rollout]'",
            ) from None
        self._library = simpleeval
        self._read = lru_cache(maxsize=512)(self._parsed)

    def holds(self, expression: str, result: Figures) -> bool:
        """See the port."""
        tree = self._read(expression)
        # One for each question: an evaluator holds the names that it was asked with.
        evaluator = self._library.SimpleEval(
            functions=_FUNCTIONS, names={"result": _Result(result)}
        )
        try:
            answer = evaluator.eval(expression, previously_parsed=tree)
        except KeyError as error:
            there = ", ".join(sorted(result)) or "nothing"
            lost = _no(expression, f"there is no figure {error}; there is {there}")
            lost.missing = True
            raise lost from None
        except (ArithmeticError, ValueError) as error:  # by the numbers, which may be others soon
            raise _no(expression, str(error), for_good=False) from None
        except (self._library.InvalidExpression, TypeError) as error:
            raise _no(expression, str(error)) from None
        if not isinstance(answer, bool):
            raise _no(expression, f"its value is {answer!r}, and no yes or no")
        return answer

    def _parsed(self, expression: str) -> Any:
        if wrong := fault(expression):
            raise _no(expression, wrong)
        return self._library.SimpleEval.parse(one_line(expression))


def _no(expression: str, why: str, *, for_good: bool = True) -> Unmeasured:
    error = Unmeasured(
        "the condition of a metric cannot be computed",
        found=f"{expression}: {why}",
        fix="mend the condition, or the figures that its source gives",
    )
    error.for_good = for_good
    return error


__all__ = ["SimpleConditions"]
