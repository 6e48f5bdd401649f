"""Checks of plain values: one of a set, lower case, a range, a moment, a drift, a function."""

from __future__ import annotations

import functools
import math
import re
import unicodedata

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Final, TypeAlias

from proctor.core.checks.check import (
    NULL,
    PASS,
    Finding,
    Given,
    RowCheck,
    TextCheck,
    fail,
    unsure,
)
from proctor.core.checks.fields import MISSING, look
from proctor.errors import DefinitionError

Plain: TypeAlias = str | int | float | bool
AHEAD: Final = timedelta(minutes=5)
"""So far clocks may go apart before a moment counts as one of the future."""
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_NOTHING: Final = frozenset(("Cc", "Cf", "Cs", "Zs", "Zl", "Zp"))


@functools.cache
def nothing() -> str:
    """Every character that shows nothing: white space, controls, marks of direction."""
    return "".join(c for c in map(chr, range(0x110000)) if shows_nothing(c))


@functools.cache
def capitals() -> str:
    """Every character that has a lower case and is not in it."""
    return "".join(c for c in map(chr, range(0x110000)) if c != c.lower())


def shows_nothing(char: str) -> bool:
    """Whether a character is invisible; one of private use, or not known yet, may be an emblem."""
    return unicodedata.category(char) in _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf(RowCheck):
    """One of these values; of a list each."""

    kind: ClassVar[str] = "one_of"
    values: tuple[Plain, ...]

    def judge(self, value: Any, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """A yes is no 1 here, and a text no number."""
        if value is None:
            return NULL
        if isinstance(value, list | tuple):
            if not value:
                return unsure("is an empty list")
            return PASS if all(map(self._known, value)) else fail("holds another value")
        return PASS if self._known(value) else fail("is another value")

    def _known(self, value: Any) -> bool:
        for one in self.values:
            sort = isinstance(one, bool) == isinstance(value, bool)
            if sort and isinstance(one, str) == isinstance(value, str) and one == value:
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerCase(TextCheck):
    """No letter of it has a lower case that it is not in."""

    kind: ClassVar[str] = "lower_case"

    def text(self, text: str, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """As Unicode says, whatever the database's locale is."""
        return PASS if text == text.lower() else fail("is not all lower case")


@dataclass(frozen=True, slots=True, kw_only=True)
class Between(RowCheck):
    """A number from `least` to `most`."""

    kind: ClassVar[str] = "between"
    least: int | float | None = None
    most: int | float | None = None

    def judge(self, value: Any, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """NaN and a yes or no are no numbers; infinity is one."""
        if value is None:
            return NULL
        if not is_number(value):
            return fail("is no number")
        if self.least is not None and value < _like(value, self.least):
            return fail(f"is less than {self.least:,}")
        if self.most is not None and value > _like(value, self.most):
            return fail(f"is more than {self.most:,}")
        return PASS


def is_number(value: Any) -> bool:
    """Whether it is one, and not NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return isinstance(value, int) or not math.isnan(value)


def _like(value: Any, bound: float) -> Any:
    """A bound as the author wrote it: 0.1 is a tenth beside a decimal number."""
    return Decimal(str(bound)) if isinstance(value, Decimal) else bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped(RowCheck):
    """A moment, not of the future, and no older than `within_s` seconds where that is given."""

    kind: ClassVar[str] = "stamped"
    within_s: float | None = None

    def judge(self, value: Any, given: Given) -> Finding:
        """Datetimes, and text as ISO 8601 writes it; without a zone it is UTC."""
        if value is None:
            return NULL
        at = moment(value)
        if at is None:
            return fail("is no moment")
        if given.at is None:
            return PASS
        earliest, latest = self.bounds(given.at)
        if at > latest:
            return fail("is in the future")
        if earliest is not None and at < earliest:
            return fail(f"is older than {timedelta(seconds=self.within_s or 0)}")
        return PASS

    def bounds(self, now: datetime) -> tuple[datetime | None, datetime]:
        """The earliest and the latest moment that pass."""
        within = None if self.within_s is None else timedelta(seconds=self.within_s)
        return None if within is None else now - within, now + AHEAD


def moment(value: Any) -> datetime | None:
    """The moment that a value says, in UTC; None where it says none."""
    if isinstance(value, str):
        if not _MOMENT.fullmatch(value):
            return None
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift(RowCheck):
    """A number that lies near another: its own old value, or column `of` of its row.

    `most` is the part of the old value that it may differ by.
    """

    kind: ClassVar[str] = "drift"
    most: float
    of: str = ""

    def columns(self) -> tuple[str, ...]:
        """What it is compared with."""
        return (self.of,) if self.of else ()

    def judge(self, value: Any, given: Given) -> Finding:
        """What stood there before is known only before it is written over."""
        if value is None:
            return NULL
        if not self.of and given.standing:
            return unsure("stands there now, and what stood before is not known here")
        old = look(given.row, self.of or self.field)
        if old is MISSING:
            raise DefinitionError(
                f"check drift compares with {self.of or self.field}, which is not read",
                found=f"the row has {', '.join(sorted(given.row)) or 'no columns'}",
                fix="read it: table(…, columns=(…)), or name another with of=",
            )
        if old is None:
            return unsure("had no old value")
        near = drifts(value, old, self.most)
        if near is None:
            return fail("is no number, or its old value is none")
        return fail(f"differs by more than {self.most:.1%} from the old value") if near else PASS


def drifts(new: Any, old: Any, most: float) -> bool | None:
    """Whether a number is farther from the old one than that part of it; None where one is none."""
    if not (is_number(new) and is_number(old) and math.isfinite(new) and math.isfinite(old)):
        return None
    was = Fraction(old)
    # As it was written: a tenth, and not the float that is nearest to one.
    return abs(Fraction(new) - was) > Fraction(str(most)) * abs(was)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(RowCheck):
    """A function of the author's says of a value whether it is well."""

    kind: ClassVar[str] = "python"
    function: Callable[..., Any]
    source: bool = False
    """Whether it takes the row beside the value."""

    def judge(self, value: Any, given: Given) -> Finding:
        """Asked of nulls too. One that raises has not judged: that is no pass."""
        try:
            said = self.function(value, given.row) if self.source else self.function(value)
        except Exception as error:  # noqa: BLE001 - whatever the author's function raises
            return unsure(f"made the check raise {type(error).__name__}")
        if said is True or said is None:
            return PASS
        return fail(said if isinstance(said, str) and said else "was rejected")

    def identity(self) -> dict[str, Any]:
        """The function by its name: its code is covered with its module."""
        where = f"{self.function.__module__}:{self.function.__qualname__}"
        rest: Mapping[str, Any] = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name != "function"
        }
        return {"kind": self.kind, "function": where, **rest}
