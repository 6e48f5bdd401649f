"""The local vendor of a demo: told what happens, and asked for its own books."""

from __future__ import annotations

import json
import urllib.request

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from proctor.ui.demo.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What the vendor's own books say, by model or service where it is a mapping."""

    calls: Mapping[str, int]
    by_day: Mapping[str, Mapping[str, int]]
    paid_again: Mapping[str, int]
    limited: int
    usd: Mapping[str, Decimal]


def said(stage: Stage, path: str, told: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Tell the vendor something; its books, by model."""
    request = urllib.request.Request(  # noqa: S310 - on this machine
        f"{stage.variables['VENDOR']}/{path}", json.dumps(told).encode()
    )
    # Not through a proxy that the environment may name.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as reply:
        books: dict[str, dict[str, Any]] = json.load(reply)
    return books


def paid(stage: Stage) -> Paid:
    """What the vendor counted until now."""
    books = said(stage, "_books", {})
    return Paid(
        calls={name: one["calls"] for name, one in books.items()},
        by_day={name: one["by_day"] for name, one in books.items()},
        paid_again={
            name: sum(count - 1 for count in one["asked"].values()) for name, one in books.items()
        },
        limited=sum(one["limited"] for one in books.values()),
        usd={name: Decimal(one["usd"]) for name, one in books.items()},
    )
