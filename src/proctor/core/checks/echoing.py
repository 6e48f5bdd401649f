"""Compares the words of an answer with what was asked, and of rows with each other."""

from __future__ import annotations

import unicodedata

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from proctor.core.checks.check import (
    NULL,
    PASS,
    Finding,
    Given,
    RowsCheck,
    TextCheck,
    fail,
    unsure,
)
from proctor.core.checks.fields import MISSING, look, texts
from proctor.core.checks.lazy import compiled
from proctor.errors import DefinitionError

RUN: Final = 5
"""So many words in a row in common are a repetition; fewer are the words of the subject."""
_WORD: Final = r"[\u2e80-\u9fff\uf900-\ufaff\u3040-\u30ff]|[^\W_]+(?:['’][^\W_]+)*"
"""A word; of Chinese and Japanese, which set no spaces, a character."""


def words(text: str) -> list[str]:
    """The words of a text without case and accents of composition."""
    return compiled(_WORD).findall(unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo(TextCheck):
    """The answer does not repeat what it was made from, or the prompt."""

    kind: ClassVar[str] = "echo"
    of: tuple[str, ...] = ()
    prompt: str = ""
    share: float = 0.5
    """The part of the answer's words, in runs of five, that may be another's."""

    def columns(self) -> tuple[str, ...]:
        """What it compares with."""
        return self.of

    def text(self, text: str, given: Given) -> Finding:
        """Compare with each source by itself."""
        mine = words(text)
        if not mine:
            return unsure("has no word")
        sources = [("the prompt", self.prompt)] if self.prompt else []
        for name in self.of:
            sources += [(name, said) for said in texts(_source(given, name)) or ()]
        for name, source in sources:
            theirs = words(source)
            if mine == theirs:
                return fail(f"repeats {name}")
            if len(mine) >= RUN and _repeated(mine, theirs) > self.share * len(mine):
                return fail(f"repeats {name} in more than {self.share:.0%} of its words")
        if not sources:
            return unsure("has nothing to be compared with")
        return PASS


def _source(given: Given, name: str) -> Any:
    found = look(given.row, name)
    if found is MISSING:
        raise DefinitionError(
            f"check echo compares with {name}, which is not read",
            found=f"the row has {', '.join(sorted(given.row)) or 'no columns'}",
            fix=f'read it: table(…, columns=(…, "{name}")), or leave it out of of=',
        )
    return found


def _repeated(mine: Sequence[str], theirs: Sequence[str]) -> int:
    """How many of my words stand in runs that are theirs, too."""
    known = {tuple(theirs[i : i + RUN]) for i in range(len(theirs) - RUN + 1)}
    taken = 0
    upto = 0
    for i in range(len(mine) - RUN + 1):
        if tuple(mine[i : i + RUN]) in known:
            taken += i + RUN - max(i, upto)
            upto = i + RUN
    return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates(RowsCheck):
    """Texts of different rows are different: none repeats an earlier one, or nearly.

    Two are near when they share `likeness` of their three-word runs (Jaccard).
    """

    kind: ClassVar[str] = "near_duplicates"
    min_samples: int = 20
    allowed: float = 0.05
    likeness: float = 0.7

    def judge_all(self, values: Sequence[Any]) -> list[Finding]:
        """The first of several that are alike passes."""
        found: list[Finding] = []
        seen = _Seen(self.likeness)
        for value in values:
            said = texts(value) if value is not None else None
            if value is None:
                found.append(NULL)
            elif said is None:
                found.append(fail("is no text"))
            elif not (mine := words(" ".join(said))):
                found.append(unsure("has no word"))
            else:
                found.append(fail("repeats another row") if seen.has(mine) else PASS)
        return found


class _Seen:
    """The texts so far, by their runs of words."""

    def __init__(self, likeness: float) -> None:
        self.likeness = likeness
        self.sizes: list[int] = []
        self.exact: set[tuple[str, ...]] = set()
        self.holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)

    def has(self, mine: list[str]) -> bool:
        """Whether an earlier one is like this; else it is taken in."""
        if (whole := tuple(mine)) in self.exact:
            return True
        self.exact.add(whole)
        runs = {whole[i : i + 3] for i in range(max(1, len(whole) - 2))}
        shared = Counter(at for run in runs for at in self.holders.get(run, ()))
        for at, count in shared.items():
            if count >= self.likeness * (len(runs) + self.sizes[at] - count):
                return True
        for run in runs:
            self.holders[run].append(len(self.sizes))
        self.sizes.append(len(runs))
        return False
