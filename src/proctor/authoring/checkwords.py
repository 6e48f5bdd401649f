"""The words that every ready check takes, judged, and what is said of wrong ones."""

from __future__ import annotations

from typing import Any, TypedDict

from proctor.authoring.given import short, text
from proctor.errors import DefinitionError
from proctor.model import Level


class Terms(TypedDict, total=False):
    """What every check takes beside its own words."""

    level: str
    min_samples: int
    allowed: float
    where: str


def told(field: Any, terms: Terms) -> dict[str, Any]:
    """The words that all checks share, judged."""
    right = 'checks.leaked_tags("mood", level="warning", min_samples=50, allowed=0.01)'
    known: dict[str, Any] = {"field": text("the field of a check", field, right)}
    for word, value in terms.items():
        if word == "level":
            if value not in set(Level):
                raise no("level is one of warning, error, critical", repr(value), right)
            known["level"] = Level(str(value))
        elif word == "min_samples":
            whole("a check", "min_samples", value, 1, right)
            known["min_samples"] = value
        elif word == "allowed":
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise no("allowed is a number of rows, or a share", repr(value), right)
            if value > 1 and value != int(value):
                raise no("allowed is a whole number of rows, or a share below 1", value, right)
            known["allowed"] = value
        elif word == "where":
            known["where"] = text("where= of a check", value, "where=\"lang = 'en'\"")
        else:
            raise no("a check does not know this word", f"{word}=", right)
    return known


def whole(kind: str, word: str, value: Any, least: int, right: str) -> None:
    """Refuse what is no whole number of at least that."""
    if type(value) is not int or value < least:
        raise no(f"{kind}: {word}= is a whole number of at least {least}", repr(value), right)


def share(kind: str, word: str, value: Any, right: str) -> None:
    """Refuse what is no part of one."""
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise no(f"{kind}: {word}= is a part of one", repr(value), right)


def no(what: str, found: object, right: str) -> DefinitionError:
    """What is wrong with a check, and what to write instead."""
    return DefinitionError(what, found=short(str(found)), fix=right)


__all__ = ["Terms", "no", "share", "told", "whole"]
