"""An HTTP service as it is named in proctor.toml: what is sent where, and what is an answer."""

from __future__ import annotations

import re

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from proctor.model.paid import Limits, Price

HOLE: Final = re.compile(
    r"\$\$\{|\{\{|\}\}|\$\{(?P<secret>[A-Za-z_]\w*)\}|\{(?P<value>[A-Za-z_]\w*)\}", re.ASCII
)
"""What is filled in: `{title}` by the function, `${NAME}` from the environment, when it is sent."""
SAFE: Final = frozenset({"GET"})
"""Methods that change nothing there, so that asking again is harmless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """A service but its secrets: texts stand as they are written, with their holes.

    `at` is where the address leads, with its variables filled in: the same path of another
    machine is another question. `expect` are the statuses that are answers; empty for 2xx.
    `pick` is a JSON path into the reply. `idempotency_key` is the name of a header; empty for none.
    """

    name: str
    url: str
    at: str = field(repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    expect: tuple[int, ...] = ()
    pick: str = ""
    idempotency_key: str = ""
    timeout_s: float = 60.0
    price: Price | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def model(self) -> str:
        """What answers, as faces show it and answers are kept under it."""
        return f"{self.method} {self.url.partition('?')[0]}"

    @property
    def values(self) -> frozenset[str]:
        """The names of what the function must give."""
        return frozenset(names_in((self.url, self.body), "value"))

    @property
    def secrets(self) -> frozenset[str]:
        """The variables of the environment that a call needs."""
        return frozenset(names_in((self.url, self.body, list(self.headers.values())), "secret"))

    def expects(self, status: int) -> bool:
        """Whether a reply of that status is an answer."""
        return status in self.expect if self.expect else 200 <= status < 300


def names_in(text: Any, kind: str) -> Iterator[str]:
    """The holes of one kind in a text, or in all texts of a structure."""
    if isinstance(text, str):
        yield from (hole[kind] for hole in HOLE.finditer(text) if hole[kind])
    elif isinstance(text, Mapping):
        yield from names_in(list(text.values()), kind)
    elif isinstance(text, list | tuple):
        for part in text:
            yield from names_in(part, kind)


def address_of(url: str) -> tuple[str, str]:
    """Scheme and host of a template, and the rest; a variable may stand for the whole address."""
    start = url.find("://") + 3 if "://" in url else 0
    ends = [place for place in (url.find(mark, start) for mark in "/?") if place >= 0]
    end = min(ends, default=len(url))
    return url[:end], url[end:]


__all__ = ["HOLE", "SAFE", "ServiceSettings", "address_of", "names_in"]
