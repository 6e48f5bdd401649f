"""What checks say of rows: nouns for verdicts that faces show and gates build on."""

from __future__ import annotations

import enum

from dataclasses import dataclass

from proctor.model.key import Key


class Level(enum.StrEnum):
    """How bad it is when a check fails."""

    WARNING = "warning"
    """The row is written; the report counts it."""
    ERROR = "error"
    """The row is not written."""
    CRITICAL = "critical"
    """The row is not written; a gate steps back at once."""


class Ruling(enum.StrEnum):
    """What a check says."""

    PASS = "pass"  # noqa: S105 - a word, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one check says of several rows, in words and numbers.

    `samples` are the rows of which the check could say anything, `failures` those of them that
    failed, `unsure` the others that were looked at. `keys` are the first that failed.
    """

    kind: str
    field: str
    level: Level
    verdict: Ruling
    reason: str
    samples: int
    failures: int
    unsure: int = 0
    keys: tuple[Key, ...] = ()
    over: str = ""
    """Which rows were looked at, or who says so; empty where the face says it of all."""
