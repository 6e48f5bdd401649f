"""Which columns of a row a backfill uses: samples show these and no other."""

from __future__ import annotations

import re

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from proctor.model import Event, Page, Spec

WATCHED = 10
"""Rows of a run's first page whose use is noted: enough to know what a report may show."""


class Noted(dict[str, Any]):
    """A row that notes the names of the values taken from it.

    What code written in C takes without asking, as some parsers do, is not noted: then less is
    shown. Names alone are no values, so going through them notes nothing.
    """

    __slots__ = ("names",)

    def __init__(self, row: Mapping[str, Any], names: set[str]) -> None:
        """A copy of the row, whose author may change it; names are added to `names`."""
        super().__init__(row)
        self.names = names

    def __getitem__(self, name: str) -> Any:
        """One value."""
        self.names.add(name)
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        """As a dict does; that it stands here makes dict(row) and **row ask for each value."""
        return super().__iter__()

    def __repr__(self) -> str:
        """All of it."""
        return repr(self._whole())

    def __or__(self, other: Any) -> Any:
        """All of it, and the other."""
        return self._whole() | other

    def __ror__(self, other: Any) -> Any:
        """The other, and all of it."""
        return other | self._whole()

    def __reduce__(self) -> Any:
        """A plain dict: what travels to another process is noted no more."""
        return dict, (self._plain(),)

    def copy(self) -> Noted:
        """A row that notes to the same place."""
        return Noted(self._plain(), self.names)

    def get(self, name: str, default: Any = None) -> Any:
        """One value, or the default."""
        self.names.add(name)
        return super().get(name, default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """One value, or the default, which it then has."""
        self.names.add(name)
        return super().setdefault(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        """One value, which it then lacks."""
        self.names.add(name)
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        """One value with its name, which it then lacks."""
        name, value = super().popitem()
        self.names.add(name)
        return name, value

    def items(self) -> Any:
        """All of it."""
        return self._whole().items()

    def values(self) -> Any:
        """All of it."""
        return self._whole().values()

    def _whole(self) -> dict[str, Any]:
        self.names.update(self.keys())
        return self._plain()

    def _plain(self) -> dict[str, Any]:
        return dict(super().items())


@dataclass(slots=True)
class Notes:
    """Which columns of a few rows were used."""

    names: set[str] = field(default_factory=set)

    def on(self, page: Page, most: int | None = None) -> Page:
        """The page, its first rows replaced by copies that note what is taken from them."""
        rows = [Noted(row, self.names) for row in page.rows[:most]]
        return replace(page, rows=[*rows, *page.rows[len(rows) :]])


def named_in_sql(spec: Spec, columns: Iterable[str]) -> frozenset[str]:
    """The columns that the expressions of `sql=` name."""
    text = "\n".join(expression for _, expression in spec.sql).casefold()
    words = set(re.findall(r"\w+", text))
    return frozenset(
        name for name in columns if name.casefold() in words or f'"{name}"'.casefold() in text
    )


def on_record(told: Iterable[Event]) -> frozenset[str]:
    """The columns that the processes of a run noted."""
    return frozenset(
        name for e in told if e.name == "columns.noted" for name in e.data.get("columns", ())
    )
