"""Checks of a text's form: its length, patterns, emptiness, one sentence, no list."""

from __future__ import annotations

import re

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from proctor.core.checks.check import PASS, Finding, Given, TextCheck, fail
from proctor.core.checks.ends import sentences
from proctor.core.checks.lazy import compiled
from proctor.core.checks.values import shows_nothing

_BULLET: Final = r"^[ \t]*[-*•‣◦▪·]\s+\S"
_NUMBERED: Final = r"^[ \t]*\(?(?:\d{1,2}|[a-hA-H])[.)、]\s+\S"


@dataclass(frozen=True, slots=True, kw_only=True)
class Length(TextCheck):
    """From `least` to `most` characters."""

    kind: ClassVar[str] = "length"
    least: int = 0
    most: int | None = None

    def text(self, text: str, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """Count characters, as Postgres counts them."""
        if len(text) < self.least:
            return fail(f"is shorter than {self.least:,} characters")
        if self.most is not None and len(text) > self.most:
            return fail(f"is longer than {self.most:,} characters")
        return PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern(TextCheck):
    """The whole text fits a regular expression."""

    kind: ClassVar[str] = "pattern"
    regex: str

    def text(self, text: str, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """Match from its first character to its last."""
        return PASS if compiled(self.regex).fullmatch(text) else fail(f"does not fit {self.regex}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden(TextCheck):
    """A regular expression fits nowhere in the text."""

    kind: ClassVar[str] = "forbidden"
    regex: str

    def text(self, text: str, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """Search anywhere."""
        return (
            fail(f"holds what {self.regex} forbids") if compiled(self.regex).search(text) else PASS
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty(TextCheck):
    """There is something: neither null nor blank, and no list or document without a text."""

    kind: ClassVar[str] = "empty"

    def judge(self, value: Any, given: Given) -> Finding:
        """Null is a fault here, and only here."""
        if value is None:
            return fail("is null")
        if isinstance(value, list | tuple | dict) and not value:
            return fail("is empty")
        if not isinstance(value, str | list | tuple | dict):
            return PASS
        return TextCheck.judge(self, value, given)

    def text(self, text: str, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """Nothing but white space and invisible characters is nothing."""
        return fail("is empty") if all(map(shows_nothing, text)) else PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSentence(TextCheck):
    """Exactly one sentence, on one line."""

    kind: ClassVar[str] = "one_sentence"

    def text(self, text: str, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """Count sentences and lines."""
        if len([line for line in text.splitlines() if line.strip()]) > 1:
            return fail("has more than one line")
        found = sentences(text)
        return PASS if found == 1 else fail(f"has {'more than one' if found else 'no'} sentence")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoList(TextCheck):
    """Prose: no line begins with a bullet, and no two with a number."""

    kind: ClassVar[str] = "no_list"

    def text(self, text: str, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """One number may begin a line ("3. Symphony"); a dash may begin speech."""
        if (
            compiled(_BULLET, re.MULTILINE).search(text)
            or len(compiled(_NUMBERED, re.MULTILINE).findall(text)) > 1
        ):
            return fail("is a list")
        return PASS
