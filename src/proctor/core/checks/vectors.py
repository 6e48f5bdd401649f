"""Checks of vectors: dimension, numbers that are none, zero, norm; rows that have the same."""

from __future__ import annotations

import json
import math

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from proctor.core.checks.check import NULL, PASS, Finding, Given, RowCheck, RowsCheck, fail
from proctor.core.checks.fields import numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector(RowCheck):
    """A vector of so many numbers, all finite and not all zero, of a length within bounds."""

    kind: ClassVar[str] = "vector"
    dimension: int | None = None
    norm: tuple[float, float] | None = None

    def judge(self, value: Any, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """Lists of numbers, or text as pgvector writes it."""
        if value is None:
            return NULL
        found = numbers(value)
        if found is None:
            return fail("is no vector")
        if not found:
            return fail("is an empty vector")
        if self.dimension is not None and len(found) != self.dimension:
            return fail(f"has {len(found):,} dimensions, not {self.dimension:,}")
        if not all(map(math.isfinite, found)):
            return fail("holds NaN or infinity")
        if not any(found):
            return fail("is a zero vector")
        if self.norm is not None and not self.norm[0] <= math.hypot(*found) <= self.norm[1]:
            return fail(f"has a norm outside of {self.norm[0]:g} to {self.norm[1]:g}")
        return PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats(RowsCheck):
    """Values of different rows are different: a model that is stuck gives one for all."""

    kind: ClassVar[str] = "repeats"
    min_samples: int = 20
    allowed: float = 0.05

    def judge_all(self, values: Sequence[Any]) -> list[Finding]:
        """The first of several that are equal passes."""
        seen: set[Any] = set()
        found = []
        for value in values:
            if value is None:
                found.append(NULL)
                continue
            same = hashable(value)
            found.append(fail("repeats another row") if same in seen else PASS)
            seen.add(same)
        return found


def hashable(value: Any) -> Any:
    """A value that stands for it in a set."""
    vector = numbers(value)
    if vector is not None:
        return tuple(vector)
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=repr)
    return value
