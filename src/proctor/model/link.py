"""What ties a kept reply to the row that it was for, so that a later run can read it anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Reparse(StrEnum):
    """Whether a run reads replies anew that its rows got in earlier runs."""

    NO = ""
    ONLY = "only"
    """It does, and asks nobody anything: what is not kept is not answered."""
    OR_ASK = "or-ask"
    """It does, and asks for what is not kept or does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One question of a function: for which rows, which of its questions, made of which values.

    `rows` is a digest of the rows' keys, `label` names the provider, the contract and which of
    the questions under them it is. `seen` has a digest of the values of each column, of those in
    `used` at least: the columns that the question was made of, as far as that is known.
    """

    rows: str
    label: str
    seen: Mapping[str, str] = field(repr=False)
    used: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The answer that a row got to one question in a run; the same answer is linked once.

    `asker` is a digest of the backfill, its parameters and the rows; `key` is the answer's.
    """

    asker: str
    label: str
    provider: str
    """Who answered, perhaps as another one's fallback."""
    key: str
    run: str
    at: datetime
    seen: Mapping[str, str] = field(repr=False)
    """Digests of the values that the question was made of, by column."""


__all__ = ["Link", "Place", "Reparse"]
