"""Reads what an author wrote into a decorator: one name or several, a text, an SQL condition."""

from __future__ import annotations

import string

from collections.abc import Iterable
from pathlib import PurePath
from typing import Final

from proctor.errors import DefinitionError


def names(what: str, given: object, right: str) -> tuple[str, ...]:
    """One name or several, as a tuple of at least one."""
    if isinstance(given, str):
        several: tuple[object, ...] = (given,)
    elif isinstance(given, Iterable) and not isinstance(given, bytes):
        several = tuple(given)
    else:
        several = (given,)
    if not several:
        raise DefinitionError(f"{what} names nothing", found=f"{what}={given!r}", fix=right)
    return tuple(text(what, name, right) for name in several)


def text(what: str, given: object, right: str) -> str:
    """A text that is not empty; else DefinitionError."""
    if not isinstance(given, str) or not given.strip() or "\x00" in given:
        raise DefinitionError(f"{what} must be text", found=short(repr(given)), fix=right)
    return given


def condition(what: str, sql: object) -> str | None:
    """An SQL condition, or None; without a trailing semicolon, which would end our statement."""
    if sql is None:
        return None
    sql_text = text(what, sql, f"{what}=\"style <> ''\"")
    if sql_text.rstrip().endswith(";"):
        raise DefinitionError(
            f"{what} is a condition, not a statement",
            found=short(sql_text),
            fix="drop the semicolon at its end",
        )
    return sql_text


HOLES: Final = frozenset({"backfill", "run", "rollout", "date"})
"""What may stand in braces in the name of a file that a rollout writes."""


def file(what: str, given: object, right: str) -> str:
    """The name of a file in the project; else DefinitionError."""
    told = text(f"{what}=", given, right)
    path = PurePath(told)
    if path.is_absolute() or ".." in path.parts or "\n" in told:
        raise DefinitionError(f"{what}= is a file in the project", found=short(told), fix=right)
    if strange := holes(told) - HOLES:
        raise DefinitionError(
            f"{what}= has a place that nothing fills in",
            found=", ".join(sorted(strange)),
            fix=f"there are {', '.join(sorted(HOLES))}; as in {right}",
        )
    return told


def holes(name: str) -> set[str]:
    """What stands in braces in it; `{` alone where the braces do not match."""
    try:
        parts = list(string.Formatter().parse(name))
    except ValueError:
        return {"{"}
    return {found for _, found, _, _ in parts if found is not None}


def short(said: str) -> str:
    """At most 80 characters on one line."""
    flat = " ".join(said.split())
    return flat if len(flat) <= 80 else f"{flat[:79]}…"
