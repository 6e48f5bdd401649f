"""Has the database judge a check over all rows at once: counts, and the keys of some that fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from proctor.core.checks import Drift, Holds, Ready, counted
from proctor.core.checks.insql import Place, Pushed, pushed, quoted
from proctor.core.checks.judging import SHOWN_KEYS
from proctor.core.checks.paths_insql import Inside, pushed_inside
from proctor.engine.site import Site
from proctor.errors import TargetError, TooSlow
from proctor.model import Checked, Key, Ruling, Shape, Span, Spec

ALL: Final = "all rows"
JSON: Final = ("json", "jsonb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The filled rows of a backfill, to be judged where they are.

    `spec` is the target as rows to look at, `shape` what the store found of it.
    """

    site: Site
    spec: Spec
    shape: Shape
    now: datetime

    def form(self, check: Ready) -> Pushed | None:
        """The check as the database would judge it; None where only Python can."""
        types = {column.name: column.type.lower() for column in self.shape.target_columns}
        named = not isinstance(check, Holds)
        column, steps = _head(check.field, types) if named else ("", ())
        if named and not column:
            return None
        of = check.of if isinstance(check, Drift) else ""
        place = Place(
            dialect=self.site.dialect,
            table=self.shape.target_sql,
            scope=self.scope(check),
            column=_column(column) if named else "",
            type=types.get(column, ""),
            other=_column(of) if of in types else "",
            other_type=types.get(of, ""),
            moment=self.now,
        )
        if not steps:
            return pushed(check, place)
        # As the store gives it: what a JSON column holds, and one that is filled at a path.
        nested = any(fill.startswith(f"{column}.") for fill in self.spec.fills)
        return pushed_inside(
            check, place, Inside(steps=steps, parsed=nested or types[column] in JSON)
        )

    def scope(self, check: Ready) -> str:
        """Which rows are looked at."""
        said = (self.spec.where, self.spec.missing, check.where)
        return " AND ".join(f"({part})" for part in said if part)

    async def judge(self, check: Ready, form: Pushed) -> Checked:
        """One statement for the counts, and one more for the keys where any row fails.

        A check that the database cannot judge, or not in time, is inconclusive, and says why.
        """
        case = f"CASE WHEN {form.unsure} THEN 2 WHEN {form.bad} THEN 1 ELSE 0 END"
        sql = (
            "SELECT count(*) AS looked, coalesce(sum(CASE WHEN said = 1 THEN 1 ELSE 0 END), 0) AS "
            "failures, coalesce(sum(CASE WHEN said = 2 THEN 1 ELSE 0 END), 0) AS doubts FROM "
            f"(SELECT {case} AS said FROM {self.shape.target_sql} WHERE {self.scope(check)}) AS c"
        )
        store = self.site.store
        try:
            found = await store.figures(sql, params=self.spec.params)
            keys = await self._keys(check, case) if found["failures"] else ()
        except (TargetError, TooSlow) as error:
            return _unjudged(check, error)
        doubts = Counter({"nothing can be told of it": found["doubts"]} if found["doubts"] else {})
        return counted(
            check,
            Counter({form.told: found["failures"]} if found["failures"] else {}),
            doubts,
            looked_at=found["looked"],
            keys=keys,
            over=ALL,
        )

    async def _keys(self, check: Ready, case: str) -> tuple[Key, ...]:
        failing = f"{self.scope(check)} AND ({case}) = 1"
        some = replace(self.spec, where=None, missing=failing)
        page = await self.site.store.sample(some, SHOWN_KEYS, span=Span())
        return tuple(page.keys)


def _head(field: str, columns: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """The column of a field, and the path inside it; an empty one where there is none."""
    parts = field.split(".")
    for count in range(len(parts), 0, -1):
        head = ".".join(parts[:count])
        if head in columns:
            return head, tuple(parts[count:])
    return "", ()


def _column(name: str) -> str:
    return quoted(name) if "." not in name else '"' + name.replace('"', '""') + '"'


def _unjudged(check: Ready, error: TargetError | TooSlow) -> Checked:
    why = f"the database could not judge it: {error.what}"
    if error.found:
        why += f" ({error.found})"
    if isinstance(error, TooSlow):
        why += "; raise statement_timeout_s, or narrow it with where="
    return Checked(
        kind=check.kind,
        field=check.field,
        level=check.level,
        verdict=Ruling.INCONCLUSIVE,
        reason=why,
        samples=0,
        failures=0,
        over=ALL,
    )


__all__ = ["ALL", "Whole"]
