"""Checks that a document has the form that its readers rely on: which keys, and of which kinds."""

from __future__ import annotations

import json
import math

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NoReturn

from proctor.core.checks.check import NULL, PASS, Finding, Given, RowCheck, fail

NUMBER: Final = "number"


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _all(one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(one, value))


KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "text": _is_text,
    NUMBER: _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, Mapping),
    "list": lambda value: isinstance(value, list | tuple),
    "texts": _all(_is_text),
    "numbers": _all(_is_number),
    "any": lambda _value: True,
}
"""Kinds of JSON values; with a question mark behind it a key may be missing, or null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonShape(RowCheck):
    """A JSON object with these keys, each of its kind, and no others where it is `closed`."""

    kind: ClassVar[str] = "json_shape"
    keys: tuple[tuple[str, str], ...]
    closed: bool = False

    def judge(self, value: Any, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """A document, or its text as JSON."""
        if value is None:
            return NULL
        found = _read(value) if isinstance(value, str) else value
        if not isinstance(found, Mapping):
            return fail("is no JSON object")
        for key, sort in self.keys:
            said = found.get(key)
            if sort.endswith("?") and said is None:
                continue
            if key not in found:
                return fail(f"lacks {key}")
            if not KINDS[sort.removesuffix("?")](said):
                return fail(f"has a {key} that is no {sort.removesuffix('?')}")
        if self.closed and set(found) - {key for key, _ in self.keys}:
            return fail("has other keys")
        return PASS


def _read(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)
