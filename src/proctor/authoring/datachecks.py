"""Ready checks of plain data, most of which a database can judge over all rows at once."""

from __future__ import annotations

import math

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from proctor.authoring.checkwords import Terms, no, told
from proctor.authoring.given import text
from proctor.core.checks import (
    KINDS,
    Between,
    Drift,
    Holds,
    JsonShape,
    Judged,
    LowerCase,
    OneOf,
    Refers,
    Stamped,
    Unique,
)

if TYPE_CHECKING:
    from typing import Unpack

_NUMBER: Final = (int, float)


def one_of(field: str, values: Sequence[str | int | float | bool], **terms: Unpack[Terms]) -> OneOf:
    """One of these values, in a list each: `checks.one_of("mood", ("calm", "sad"))`."""
    right = 'checks.one_of("mood", ("calm", "sad"))'
    given = () if isinstance(values, str | bytes) else tuple(values)
    if not given or not all(isinstance(one, str | int | float) for one in given):
        raise no("one_of takes texts, numbers or booleans", repr(values), right)
    if not all(isinstance(one, str) or math.isfinite(one) for one in given):
        raise no("one_of takes finite numbers", repr(values), right)
    return OneOf(**told(field, terms), values=given)


def lower_case(field: str, **terms: Unpack[Terms]) -> LowerCase:
    """Every text in it is all lower case, as Unicode says."""
    return LowerCase(**told(field, terms))


def between(
    field: str,
    least: float | None = None,
    most: float | None = None,
    **terms: Unpack[Terms],
) -> Between:
    """A number from `least` to `most`, both included: `checks.between("score", 0, 1)`."""
    right = 'checks.between("score", least=0, most=1)'
    if least is None and most is None:
        raise no("between needs a bound", "neither least= nor most=", right)
    for bound in (least, most):
        if bound is not None and (type(bound) not in _NUMBER or not math.isfinite(bound)):
            raise no("between: a bound is a finite number", repr(bound), right)
    if least is not None and most is not None and least > most:
        raise no("between: the lower bound comes first", f"{least} and {most}", right)
    return Between(**told(field, terms), least=least, most=most)


def json_shape(
    field: str, keys: Mapping[str, str], *, closed: bool = False, **terms: Unpack[Terms]
) -> JsonShape:
    """A JSON object with these keys, each of its kind.

        checks.json_shape("normalized", {"style": "texts", "version": "text", "note": "text?"})

    Kinds: text, number, boolean, object, list, texts, numbers, any; a key of a kind with a
    question mark may be missing, or null. closed: other keys are a fault.
    """
    right = 'checks.json_shape("normalized", {"style": "texts", "note": "text?"})'
    if not isinstance(keys, Mapping) or not keys:
        raise no("json_shape takes kinds by key", repr(keys), right)
    for key, kind in keys.items():
        if not isinstance(key, str) or str(kind).removesuffix("?") not in KINDS:
            raise no(f"json_shape knows the kinds {', '.join(KINDS)}", f"{key}: {kind}", right)
    return JsonShape(**told(field, terms), keys=tuple(keys.items()), closed=closed)


def unique(field: str, **terms: Unpack[Terms]) -> Unique:
    """No two rows have the same value; judged over several rows alone."""
    return Unique(**told(field, terms))


def stamped(field: str, *, within: timedelta | None = None, **terms: Unpack[Terms]) -> Stamped:
    """A moment, not of the future, no older than `within`; text as ISO 8601, or a datetime."""
    right = 'checks.stamped("filled_at", within=timedelta(days=7))'
    if within is not None and (not isinstance(within, timedelta) or within <= timedelta(0)):
        raise no("stamped: within= is a timedelta above zero", repr(within), right)
    return Stamped(
        **told(field, terms), within_s=None if within is None else within.total_seconds()
    )


def refers(field: str, table: str, key: str, **terms: Unpack[Terms]) -> Refers:
    """It is the key of a row of another table: `checks.refers("song_id", "songs", "id")`.

    Judged by the database alone, over all rows.
    """
    right = 'checks.refers("song_id", "songs", "id")'
    return Refers(
        **told(field, terms),
        table=text("the table of refers", table, right),
        key=text("the key of refers", key, right),
    )


def drift(field: str, most: float, *, of: str = "", **terms: Unpack[Terms]) -> Drift:
    """A number differs from its old value by at most that part of it: `checks.drift("price", 0.1)`.

    of: another column of the row to compare with. Without it what stood there before is known
    only until it is written over: afterwards the check cannot tell.
    """
    right = 'checks.drift("price", 0.1)'
    if type(most) not in _NUMBER or not math.isfinite(most) or most < 0:
        raise no("drift: most= is a part of the old value", repr(most), right)
    if of:
        text("of= of drift", of, right)
    return Drift(**told(field, terms), most=most, of=of)


def sql(name: str, condition: str, **terms: Unpack[Terms]) -> Holds:
    """A condition that has to hold in every filled row: `checks.sql("ordered", "low <= high")`.

    Over the columns of the filled table. Judged by the database alone, over all rows; where the
    condition is null nobody can tell.
    """
    right = 'checks.sql("ordered", "low <= high")'
    return Holds(**told(name, terms), condition=text("the condition of sql", condition, right))


def python(
    field: str, function: Callable[..., Any], *, source: bool = False, **terms: Unpack[Terms]
) -> Judged:
    """A function of the value: True or None is well, False or a text is a fault.

        checks.python("isbn", valid_isbn)

    source: it takes the row, too. A text is the reason, the same for all rows of one kind of
    fault and without values. Where it raises nobody can tell.
    """
    if not callable(function) or not hasattr(function, "__qualname__"):
        raise no(
            "python takes a function of the value",
            repr(function),
            'checks.python("isbn", valid_isbn)',
        )
    return Judged(**told(field, terms), function=function, source=source)


__all__ = [
    "between",
    "drift",
    "json_shape",
    "lower_case",
    "one_of",
    "python",
    "refers",
    "sql",
    "stamped",
    "unique",
]
