"""Units of work that are not rows: the product of a few axes, spelled as a query."""

from __future__ import annotations

import math
import re

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proctor.authoring.given import names, short
from proctor.authoring.sources import Query, Table
from proctor.errors import DefinitionError
from proctor.model import Guard, KeyPart

RIGHT: Final = 'grid(year=range(2000, 2025), month=range(1, 13), order=("-year", "-month"))'
MOST_UNITS: Final = 100_000
"""More are rows by any name: each chunk looks through all of them for the next one."""
MOST: Final = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Every combination of the axes' values is one unit; made by `grid()`."""

    axes: tuple[tuple[str, tuple[str | int, ...]], ...]
    key: tuple[KeyPart, ...]
    attempts: int
    where: None = None

    @property
    def sql(self) -> str:
        """The units as a SELECT that every database understands: no table need be there."""
        made = ", ".join(
            f"{_quoted(f'proctor_{name}')}({_quoted(name)}) AS "
            f"(VALUES {', '.join(f'({_literal(v)})' for v in values)})"
            for name, values in self.axes
        )
        tables = " CROSS JOIN ".join(_quoted(f"proctor_{name}") for name, _ in self.axes)
        return f"WITH {made} SELECT {', '.join(_quoted(n) for n, _ in self.axes)} FROM {tables}"


def grid(*, order: str | Sequence[str] = (), attempts: int = 5, **axes: Iterable[Any]) -> Grid:
    """Units of work that are not rows: one for each combination of the axes' values.

    axes: by name the values, whole numbers or texts of one kind. A function gets a unit as it
    would get a row: `{"year": 2024, "month": 12}`. Adding values adds units, and those that were
    done stay done: what became of each is kept in the database that is written.
    order: the axes in whose order the units are taken; a minus takes the highest values first.
    Axes that it does not name follow, rising.
    attempts: how often a unit is tried, one time in a run, until it counts as failed.

        grid(year=range(2000, 2025), month=range(1, 13), order=("-year", "-month"))

    Raises DefinitionError.
    """
    if not axes:
        raise DefinitionError("a grid has at least one axis", found="grid()", fix=RIGHT)
    read = tuple((name, _values(name, given)) for name, given in axes.items())
    if type(attempts) is not int or attempts < 1:
        raise DefinitionError(
            "attempts is how often a unit is tried", found=f"attempts={attempts!r}", fix=RIGHT
        )
    count = math.prod(len(values) for _, values in read)
    if count > MOST_UNITS:
        raise DefinitionError(
            f"a grid has at most {MOST_UNITS:,} units",
            found=f"{' x '.join(f'{len(v):,}' for _, v in read)} = {count:,}",
            fix="write the units into a table and name that as the source: table(…, key=…)",
        )
    return Grid(axes=read, key=_order(order, axes), attempts=attempts)


def _values(name: str, given: object) -> tuple[str | int, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise DefinitionError(
            f"the axis {name} is a list of values", found=short(f"{name}={given!r}"), fix=RIGHT
        )
    values: list[Any] = []
    for value in given:
        values.append(value)
        if len(values) > MOST_UNITS:
            raise DefinitionError(
                f"the axis {name} has at most {MOST_UNITS:,} values", found="more", fix=RIGHT
            )
    kinds = set(map(type, values))
    if kinds not in ({int}, {str}):
        raise DefinitionError(
            f"the axis {name} holds whole numbers, or texts",
            found=", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing",
            fix=f'{RIGHT} or grid(country=("de", "fr"))',
        )
    if len(set(values)) != len(values):
        raise DefinitionError(
            f"the axis {name} names each value once",
            found=short(repr(next(v for v in values if values.count(v) > 1))) + " twice",
            fix="a unit is done once: drop the second one",
        )
    odd = [v for v in values if not _fits(v)]
    if odd:
        raise DefinitionError(
            f"the axis {name} holds a value that cannot be a key",
            found=short(repr(odd[0])),
            fix="whole numbers of at most 64 bits, and texts that can be typed",
        )
    return tuple(values)


def _fits(value: str | int) -> bool:
    if isinstance(value, int):
        return -MOST <= value < MOST
    return bool(value) and value.isprintable()


def _order(order: str | Sequence[str], axes: Iterable[str]) -> tuple[KeyPart, ...]:
    known = list(axes)
    wanted = names("order", order, RIGHT) if order else ()
    parts = [KeyPart(column=n.removeprefix("-"), descending=n.startswith("-")) for n in wanted]
    named = [part.column for part in parts]
    wrong = [n for n in named if n not in known or named.count(n) > 1]
    if wrong:
        raise DefinitionError(
            "order= names axes of the grid, each once",
            found=f"{wrong[0]!r}; the axes are {', '.join(known)}",
            fix=RIGHT,
        )
    return (*parts, *(KeyPart(column=n) for n in known if n not in named))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + re.sub("'", "''", value) + "'"


def check_grid(given: Any, no: Callable[[str, str, str], DefinitionError]) -> None:
    """A unit is no row: what it gives is written to a table that is named."""
    right = 'emits=table("works", key="isbn"), fills=("title", "author")'
    if not isinstance(given.source, Grid):
        raise no(
            "emits= is for the units of a grid", "emits= beside rows", "give them into= a table"
        )
    if (given.into is None) == (given.emits is None):
        raise no(
            "a grid has no rows of its own to fill, so it needs one table to write to",
            "into= and emits=" if given.into is not None else "neither into= nor emits=",
            f"one row for each unit: into=table(…); any number of rows: {right}",
        )
    if given.sql is not None:
        raise no("the units of a grid are done by a function", "sql=", "drop sql=, or the grid")
    if given.emits is None:
        return
    emits = given.emits
    if not isinstance(emits, Table) or emits.where is not None or emits.columns is not None:
        raise no(
            "emits= is a table and its key, without where= and columns=",
            short(repr(emits)) if not isinstance(emits, Table) else "where= or columns= in it",
            right,
        )
    for word in ("missing", "batch"):
        if getattr(given, word) is not None:
            raise no(
                f"{word}= does not go with emits=: a function gives each unit's rows, and the "
                "unit's state says whether it is to be done",
                f"{word}={short(repr(getattr(given, word)))}",
                f"drop {word}=",
            )


def guard_of(source: Table | Query | Grid) -> Guard:
    """Of a grid only the written rows can change: its units are what the code says."""
    if isinstance(source, Grid):
        return Guard.TARGET
    return source.guard if isinstance(source, Query) else Guard.ROWS
