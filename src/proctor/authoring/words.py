"""What stands beside an author's function: its context, its error budget, its own signals."""

from __future__ import annotations

import json
import math
import random

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from proctor.authoring.asking import Embed, Llm, must_be_async, no_provider
from proctor.authoring.service import Http
from proctor.errors import DefinitionError
from proctor.model import Key
from proctor.ports import Asking


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBudget:
    """How many failed rows a run bears before it pauses for a person.

    share: the part of the rows read that may fail, 0.05 is one in twenty; it counts once
    `after` rows were read. count: an absolute ceiling, None for none.
    """

    share: float = 0.05
    count: int | None = None
    after: int = 100

    def __post_init__(self) -> None:
        """Refuse budgets that mean nothing."""
        if not 0 <= self.share <= 1:
            raise DefinitionError(
                "the share of an error budget is a part of one",
                found=f"share={self.share!r}",
                fix="for five rows in a hundred write ErrorBudget(share=0.05)",
            )
        if (self.count is not None and self.count < 0) or self.after < 0:
            raise DefinitionError(
                "the counts of an error budget are rows",
                found=f"count={self.count!r}, after={self.after!r}",
                fix="for at most 20 failed rows write ErrorBudget(count=20)",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A throttle signal of your own: the run slows down as it nears `limit`, and stops there.

    Exactly one of: python, a function that returns the number; sql, one SELECT of one number
    on the same database; http, a URL that answers JSON, in which `json` is the dotted path to
    the number.

        Watch(name="queue length", limit=1000, sql="SELECT count(*) FROM outbox")
    """

    name: str
    limit: float
    python: Callable[[], float] | None = None
    sql: str | None = None
    http: str | None = None
    json: str | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse a signal that has no source, or two."""
        given = [w for w in ("python", "sql", "http") if getattr(self, w) is not None]
        if len(given) != 1:
            raise DefinitionError(
                f"the signal {self.name!r} needs exactly one of python=, sql= and http=",
                found=" and ".join(f"{w}=" for w in given) or "none of them",
                fix='Watch(name="queue length", limit=1000, sql="SELECT count(*) FROM outbox")',
            )
        if (self.json is not None) != (self.http is not None):
            raise DefinitionError(
                f"the signal {self.name!r}: json= is the path to the number in what http= answers",
                found="json= without http=" if self.http is None else "http= without json=",
                fix='Watch(name="lag", limit=5, http="http://localhost:9000/lag", json="seconds")',
            )
        if not self.limit > 0:
            raise DefinitionError(
                f"the signal {self.name!r} needs a limit above zero",
                found=f"limit={self.limit!r}",
                fix="give the number at which the run should stop",
            )


class Context:
    """The second parameter of a function that asks for it: `def fill(row, ctx)`.

    params: the validated parameters, an instance of the model given as `params=`, or None.
    now: when the run began, aware UTC; the same for every row of the run, also after a resume.
    key: the row's key; for a list function that of the first row of the group.
    record: keeps numbers of your own with a unit of a grid.
    llm, embed, http: models and services of proctor.toml, under their limits and budgets.
    random: a random.Random seeded by that key: the same dice for the same row, always.
    """

    __slots__ = ("_asking", "_awaits", "_random", "_record", "key", "now", "params")

    def __init__(
        self,
        *,
        params: Any,
        now: datetime,
        key: Key,
        asking: Asking | None = None,
        awaits: bool = True,
        record: dict[str, Any] | None = None,
    ) -> None:
        self.params = params
        self.now = now
        self.key = key
        self._random: random.Random | None = None
        self._asking = asking
        self._awaits = awaits
        self._record = record

    @property
    def random(self) -> random.Random:
        """Dice seeded by the key, made when first asked for."""
        if self._random is None:
            self._random = random.Random(json.dumps(self.key))  # noqa: S311 - repeatable, not secret
        return self._random

    def record(self, **metrics: float | str | bool | None) -> None:
        """Keep numbers and short texts of your own with a unit of a grid.

        They stand beside its state, whatever becomes of it: `ctx.record(books_generated=20)`. A
        name that is given again takes the new value; a new attempt begins without any.
        """
        if self._record is None:
            raise DefinitionError(
                "ctx.record() keeps numbers with a unit of a grid, and this is a row",
                found=", ".join(metrics) or "nothing",
                fix="give a field to fills=, or make the work a grid(…)",
            )
        for name, value in metrics.items():
            finite = not isinstance(value, float) or math.isfinite(value)
            if not (value is None or isinstance(value, bool | int | float | str)) or not finite:
                raise TypeError(
                    f"ctx.record({name}=…) takes a number, a text or a truth value, and "
                    f"was given {'one that is not finite' if not finite else type(value).__name__}"
                )
            self._record[name] = value

    @property
    def llm(self) -> Llm:
        """Language models: `await ctx.llm(prompt, output=Model)`; for asynchronous functions."""
        return Llm(self._asked("llm"))

    @property
    def embed(self) -> Embed:
        """Embedding models: `await ctx.embed(texts)`; for asynchronous functions."""
        return Embed(self._asked("embed"))

    @property
    def http(self) -> Http:
        """HTTP services: `await ctx.http(provider="resolver", title=…)`; asynchronous as well."""
        return Http(self._asked("http"))

    def _asked(self, name: str) -> Asking:
        if not self._awaits:
            raise must_be_async(name)
        if self._asking is None:
            raise no_provider(name)
        return self._asking
