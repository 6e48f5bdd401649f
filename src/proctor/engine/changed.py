"""What differs between what was approved and what would run, in words.

Digests alone can only say that something does. The facts kept beside them are for words only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from proctor.core.same import text_of
from proctor.model import Column, Shape, Span, Spec

SHOWN: Final = 80
"""Characters of a fact in a sentence."""
Facts = Mapping[str, Mapping[str, str]]


def facts_of(spec: Spec, shape: Shape, span: Span, env: str) -> dict[str, dict[str, str]]:
    """What is behind the parts that are not made of facts themselves, by part and name."""
    columns = {c.name: _column(c) for c in shape.columns}
    if spec.into:
        columns |= {f"{spec.target}.{c.name}": _column(c) for c in shape.target_columns}
    part = {"from": span.start, "to": span.stop, "limit": span.limit, "keys": len(span.keys)}
    return {
        "backfill": {"backfill": spec.backfill},
        "environment": {"environment": env},
        "target": {"database": shape.identity, "table": spec.target},
        "params": {name: str(text_of(value)) for name, value in spec.params},
        "schema": columns,
        "part": {name: str(text_of(value)) for name, value in part.items() if value is not None},
    }


def in_words(part: str, then: Facts, now: Facts) -> str:
    """One part: what was added, dropped or changed, by name."""
    before, after = then.get(part), now.get(part)
    if before is None or after is None:
        return f"{part} is not what it was"
    told = list(_columns(before, after) if part == "schema" else _facts(before, after))
    if not told and part == "schema":
        return "a constraint, an index or a trigger is not what it was"
    return ", ".join(told) or f"{part} is not what it was"


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names of the facts that differ."""
    return [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]


def _facts(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in differing(then, now):
        was, found = (_short(facts.get(name, "not given")) for facts in (then, now))
        yield f"{name} was {was} and is {found}"


def _columns(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in differing(then, now):
        if name not in then:
            yield f"column {name} was added ({now[name]})"
        elif name not in now:
            yield f"column {name} was dropped ({then[name]})"
        else:
            yield f"column {name} was {then[name]} and is {now[name]}"


def _column(column: Column) -> str:
    marks = [column.type or "no type", "" if column.nullable else "not null"]
    marks += ["generated" if column.generated else "", "default" if column.has_default else ""]
    return " ".join(mark for mark in marks if mark)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
