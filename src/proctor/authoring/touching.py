"""`touches=`: rows that a service writes when it is called for a row or a unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeAlias

from proctor.authoring.given import short
from proctor.authoring.placeholders import placeholders
from proctor.authoring.sources import Table
from proctor.errors import DefinitionError
from proctor.model import Spec, Touch

ATTEMPTS: Final = 5
"""How often a row is tried that nothing is filled of, as with a grid's units."""
RIGHT: Final = 'touches=table("fc_scores", key="id", where="session_id = :id")'
No: TypeAlias = Callable[[str, str, str], DefinitionError]

_NOTHING_FILLED: Final = {
    "missing": "say in where= of the source which rows exist for it: what was done is remembered",
    "stamp": "raise version= to have every row done again",
    "preserve": "drop preserve=",
    "checks": "let the function raise, or return Refuse(why)",
}


def touches_alone(given: Any) -> bool:
    """Whether nothing is filled beside what a called service writes."""
    words = (given.fills, given.into, given.emits, given.sql)
    return bool(given.touches) and all(word is None for word in words)


def touches_of(given: Any) -> tuple[Touch, ...]:
    """The tables as a spec keeps them; to be checked before."""
    return tuple(
        Touch(
            table=one.name,
            key=tuple(part.column for part in one.key),
            where=one.where,
            columns=one.columns,
        )
        for one in _listed(given.touches)
    )


def check_touches(given: Any, no: No) -> bool:
    """Whether there are any; raises DefinitionError where they are not what they must be."""
    listed = _listed(given.touches)
    for one in listed:
        _check_table(one, no)
    names = [one.name for one in listed]
    if twice := [name for name in names if names.count(name) > 1]:
        raise no(
            "touches= names each table once",
            f"{twice[0]} twice",
            'one condition for both: where="session_id = :id OR parent_id = :id"',
        )
    if listed:
        _check_words(given, no)
    return bool(listed)


def _check_table(one: Any, no: No) -> None:
    if not isinstance(one, Table):
        raise no("touches= names tables that a called service writes", short(repr(one)), RIGHT)
    if one.where is None:
        raise no(
            f"touches= says by a condition which rows of {one.name} the service may write",
            f"table({one.name!r}, …) without where=",
            f"name them by the key of the row that it is called for: {RIGHT}",
        )
    if any(part.descending for part in one.key):
        raise no("touched rows have no order", f"a minus in the key of {one.name}", RIGHT)


def _check_words(given: Any, no: No) -> None:
    for word, why in (("sql", "computed in the database"), ("batch", "called for many rows")):
        if getattr(given, word) is not None:
            raise no(
                f"touches= is about a service that is called for a row, and {word}= is {why}",
                f"touches= beside {word}=",
                f"drop {word}=",
            )
    for word, fix in _NOTHING_FILLED.items() if touches_alone(given) else ():
        if getattr(given, word):
            raise no(
                f"{word}= is about what is filled, and with touches= alone nothing is",
                f"{word}={short(repr(getattr(given, word)))} without fills=",
                fix,
            )


def check_placeholders(spec: Spec, params: AbstractSet[str], no: No) -> None:
    """Every `:name` in the conditions is a column of the key, or a parameter."""
    key = {part.column for part in spec.key}
    for touch in spec.touches:
        used = placeholders(touch.where)
        unknown = sorted(used - key - params)
        both = sorted(used & key & params)
        if unknown or both:
            raise no(
                f":{unknown[0]} in the condition on {touch.table} is neither in the key nor a "
                "parameter"
                if unknown
                else f":{both[0]} is in the key and a parameter, too",
                f"the key: {', '.join(sorted(key))}; parameters: "
                f"{', '.join(sorted(params)) or 'none'}",
                "a row's touched rows are found by its key alone"
                if unknown
                else "give the parameter another name",
            )
        if not used & key:
            raise no(
                f"the condition on {touch.table} does not name the key of the row, so every call "
                "would look at the same rows",
                short(touch.where),
                RIGHT,
            )


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
