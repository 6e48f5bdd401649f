"""Decides a page of units that emit: each answer is the rows that its unit gives, all or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from proctor.core.answer import Failure
from proctor.core.values import tidy
from proctor.model import Emitted, Key, Spec

SHOWN = 40
"""Characters of a name that is not known."""
TWICE = "two rows of one key"
NO_KEY = "a row without a key"


@dataclass(frozen=True, slots=True)
class Emitting:
    """How the rows of a unit are spelled.

    A key that is not there, or there twice, is what somebody who was asked for a list says of
    one unit: such a failure has a cause, as one that was raised, and does not speak of the code.
    """

    spec: Spec

    @property
    def right(self) -> str:
        """The return statement that would be right."""
        if self.spec.only_touches:
            return "return nothing"
        names = ", ".join(f'"{n}": …' for n in (*self.spec.into_key, *self.spec.fills))
        return f"return [{{{names}}}, …]"

    def read(self, answer: object) -> list[Emitted] | Failure:
        """The rows of one unit, or what is wrong with them."""
        if self.spec.only_touches:
            return self._nothing(answer)
        if not isinstance(answer, list | tuple):
            kind = "nothing" if answer is None else f"a {type(answer).__name__}"
            fix = f"{self.right} (an empty list where there are none), Skip(why) or Refuse(why)"
            return Failure(f"the function returned {kind}: {fix}")
        rows: dict[Key, tuple[Any, ...]] = {}
        for place, row in enumerate(answer, 1):
            found = self._row(row)
            if isinstance(found, Failure):
                return replace(found, reason=f"row {place} of {len(answer)} {found.reason}")
            key, values = found
            if rows.setdefault(key, values) != values:
                return Failure(
                    f"row {place} of {len(answer)} has the key of another row of the unit, and "
                    "other values: give each key once",
                    cause=TWICE,
                )
        return self._tidied(rows)

    def _nothing(self, answer: object) -> list[Emitted] | Failure:
        """What a function says that only calls: nothing."""
        if answer is None or (isinstance(answer, Mapping | list | tuple) and not answer):
            return []
        return Failure(
            f"the function returned a {type(answer).__name__}, and nothing is filled here: "
            "return nothing, Skip(why) or Refuse(why); to fill a field, too, name it in fills="
        )

    def _row(self, row: object) -> Emitted | Failure:
        if not isinstance(row, Mapping):
            return Failure(f"is a {type(row).__name__}: {self.right}")
        given = dict(row)
        key: list[str | int] = []
        for name in self.spec.into_key:
            if name not in given:
                return Failure(f"has no {name!r}, which is its key: {self.right}")
            value = given.pop(name)
            part = _part(value)
            if part is None:
                why = f"has a key that cannot be one: give whole numbers or text as {name!r}"
                return Failure(why, cause=NO_KEY if value is None or isinstance(value, str) else "")
            key.append(part)
        values = []
        for name in self.spec.fills:
            if name not in given:
                return Failure(f"has no {name!r}: {self.right}")
            values.append(given.pop(name))
        if given:
            odd = ", ".join(sorted(str(name)[:SHOWN] for name in given))
            return Failure(f"has {odd}, which fills= does not name: {self.right}")
        return tuple(key), tuple(values)

    def _tidied(self, rows: Mapping[Key, tuple[Any, ...]]) -> list[Emitted] | Failure:
        """The rows in values that can be stored, with the stamp."""
        columns = [list(column) for column in zip(*rows.values(), strict=True)]
        for name, column in zip(self.spec.fills, columns, strict=False):
            for place, why in tidy(column).items():
                return Failure(f"row {place + 1} of {len(rows)}, {name!r}: {why}")
        stamp = [[self.spec.version] * len(rows)] if self.spec.stamp else []
        return list(zip(rows, zip(*columns, *stamp, strict=True), strict=True))


def _part(value: object) -> str | int | None:
    """A part of a key as keys are kept; None where it can be none."""
    if isinstance(value, str):
        return str(value) if value and "\x00" not in value else None
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return None


def take_emitted(
    answers: Sequence[object], spec: Spec, others: tuple[type, ...], faults: dict[int, Failure]
) -> tuple[list[int], list[list[Emitted]]]:
    """The positions of the units that gave rows, and these; `others` are no rows but a word."""
    reader = Emitting(spec)
    position: list[int] = []
    emitted: list[list[Emitted]] = []
    for i, answer in enumerate(answers):
        if isinstance(answer, Failure):
            faults[i] = answer
        elif not isinstance(answer, others):
            found = reader.read(answer)
            if isinstance(found, Failure):
                faults[i] = found
            else:
                position.append(i)
                emitted.append(found)
    return position, emitted
