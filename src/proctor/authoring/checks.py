"""Ready checks for what is filled in, above all by models: `from proctor import checks`.

    @backfill(table("songs", key="id"), fills="mood", checks=[
        checks.length("mood", most=100), checks.leaked_tags("mood"), checks.refusal("mood"),
    ])

Each judges one field of a row before it is written, and among the latest rows. `level` is
"warning", "error" or "critical": only a warning is written all the same. `allowed` and
`min_samples` are for verdicts over several rows: so many failures still pass (a number of rows,
or below 1 a share), and with fewer rows that could be judged the verdict is inconclusive.
Raises DefinitionError, which shows the right code.
"""

from __future__ import annotations

import importlib.util
import math
import re

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from proctor.authoring.given import names, short, text
from proctor.core.checks import (
    LANGUAGES,
    CutOff,
    Echo,
    Empty,
    Forbidden,
    Language,
    LeakedTags,
    Length,
    NearDuplicates,
    NoList,
    OneSentence,
    Pattern,
    Ready,
    Refusal,
    Repeats,
    Vector,
)
from proctor.errors import DefinitionError
from proctor.model import Level

if TYPE_CHECKING:
    from typing import Unpack

DETECTOR = "py3langid"


class Terms(TypedDict, total=False):
    """What every check takes beside its own words."""

    level: str
    min_samples: int
    allowed: float


def length(
    field: str, *, most: int | None = None, least: int = 0, **terms: Unpack[Terms]
) -> Length:
    """From `least` to `most` characters: `checks.length("mood", least=1, most=100)`."""
    right = 'checks.length("mood", least=1, most=100)'
    _whole("length", "least", least, 0, right)
    if most is not None:
        _whole("length", "most", most, least, right)
    if most is None and not least:
        raise _no("length needs a bound", "neither most= nor least=", right)
    return Length(**_told(field, terms), least=least, most=most)


def pattern(field: str, regex: str, **terms: Unpack[Terms]) -> Pattern:
    """The whole text fits a regular expression: `checks.pattern("mood", "[a-z]+(, [a-z]+)*")`."""
    return Pattern(**_told(field, terms), regex=_regex("pattern", regex))


def forbidden(field: str, regex: str, **terms: Unpack[Terms]) -> Forbidden:
    """A regular expression fits nowhere in it: `checks.forbidden("mood", "(?i)lorem ipsum")`."""
    return Forbidden(**_told(field, terms), regex=_regex("forbidden", regex))


def empty(field: str, **terms: Unpack[Terms]) -> Empty:
    """It is neither null nor blank; the other checks say nothing of a null."""
    return Empty(**_told(field, terms))


def one_sentence(field: str, **terms: Unpack[Terms]) -> OneSentence:
    """Exactly one sentence on one line."""
    return OneSentence(**_told(field, terms))


def no_list(field: str, **terms: Unpack[Terms]) -> NoList:
    """Prose without bullets and numbered lines."""
    return NoList(**_told(field, terms))


def leaked_tags(
    field: str, *, also: str | Sequence[str] = (), **terms: Unpack[Terms]
) -> LeakedTags:
    """No tags of reasoning or chat, closed or not: <think>, [confidence: …], <|im_end|>, User:.

    also: names of your prompt's own tags, `also=("draft",)` for <draft>.
    """
    extra = names("also", also, 'also=("draft",)') if also else ()
    return LeakedTags(**_told(field, terms), also=extra)


def refusal(field: str, **terms: Unpack[Terms]) -> Refusal:
    """It is no refusal ("I'm sorry, but I can't help with that"), in thirteen languages."""
    return Refusal(**_told(field, terms))


def cut_off(field: str, **terms: Unpack[Terms]) -> CutOff:
    """It ends where a sentence ends; for prose, not for labels."""
    return CutOff(**_told(field, terms))


def echo(
    field: str,
    *,
    of: str | Sequence[str] = (),
    prompt: str = "",
    share: float = 0.5,
    **terms: Unpack[Terms],
) -> Echo:
    """It does not repeat columns of its row, or the prompt: `checks.echo("mood", of="lyrics")`.

    share: the part of its words, in runs of five, that may be theirs.
    """
    right = 'checks.echo("mood", of="lyrics")'
    columns = names("of", of, right) if of else ()
    if not columns and not prompt:
        raise _no("echo needs something to compare with", "neither of= nor prompt=", right)
    _share("echo", "share", share, right)
    return Echo(**_told(field, terms), of=columns, prompt=prompt, share=share)


def language(field: str, want: str, *, least: int = 20, **terms: Unpack[Terms]) -> Language:
    """It is in the language `want`, an ISO 639 code: `checks.language("mood", "en")`.

    A text of fewer than `least` letters, and one that may be in several languages, is
    inconclusive. Needs `pip install 'proctor[language]'`, which brings its model along.
    """
    right = 'checks.language("mood", "en")'
    if want not in LANGUAGES:
        raise _no("language takes the ISO 639 code of a language that it can tell", want, right)
    _whole("language", "least", least, 1, right)
    if importlib.util.find_spec(DETECTOR) is None:
        raise DefinitionError(
            "check language has nothing that tells languages",
            found=f"the package {DETECTOR} is not installed here",
            fix="pip install 'proctor[language]'",
        )
    return Language(**_told(field, terms), want=want, least=least)


def near_duplicates(field: str, *, likeness: float = 0.7, **terms: Unpack[Terms]) -> NearDuplicates:
    """Few rows have nearly the text of another; judged over several rows alone.

    likeness: the part of their runs of three words that two texts share. `allowed` is 0.05 and
    `min_samples` 20 where nothing else is said.
    """
    _share("near_duplicates", "likeness", likeness, 'checks.near_duplicates("mood", likeness=0.7)')
    return NearDuplicates(**_told(field, terms), likeness=likeness)


def vector(
    field: str,
    *,
    dimension: int | None = None,
    norm: tuple[float, float] | None = None,
    **terms: Unpack[Terms],
) -> Vector:
    """A vector: finite, not all zero, of this dimension, of a norm within these bounds.

        checks.vector("embedding", dimension=384, norm=(0.99, 1.01))

    Lists of numbers, text as pgvector writes it, and bytes of 4-byte floats.
    """
    right = 'checks.vector("embedding", dimension=384, norm=(0.99, 1.01))'
    if dimension is not None:
        _whole("vector", "dimension", dimension, 1, right)
    if norm is not None:
        norm = _bounds(norm, right)
    return Vector(**_told(field, terms), dimension=dimension, norm=norm)


def repeats(field: str, **terms: Unpack[Terms]) -> Repeats:
    """Few rows have the very value of another; judged over several rows alone."""
    return Repeats(**_told(field, terms))


def ready(check: object) -> bool:
    """Whether a value is a check of this module, rather than a function of (row, answer)."""
    return isinstance(check, Ready)


def _told(field: Any, terms: Terms) -> dict[str, Any]:
    """The words that all checks share, judged."""
    right = 'checks.leaked_tags("mood", level="warning", min_samples=50, allowed=0.01)'
    known: dict[str, Any] = {"field": text("the field of a check", field, right)}
    for word, value in terms.items():
        if word == "level":
            if value not in set(Level):
                raise _no("level is one of warning, error, critical", repr(value), right)
            known["level"] = Level(str(value))
        elif word == "min_samples":
            _whole("a check", "min_samples", value, 1, right)
            known["min_samples"] = value
        elif word == "allowed":
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise _no("allowed is a number of rows, or a share", repr(value), right)
            if value > 1 and value != int(value):
                raise _no("allowed is a whole number of rows, or a share below 1", value, right)
            known["allowed"] = value
        else:
            raise _no("a check does not know this word", f"{word}=", right)
    return known


def _whole(kind: str, word: str, value: Any, least: int, right: str) -> None:
    if type(value) is not int or value < least:
        raise _no(f"{kind}: {word}= is a whole number of at least {least}", repr(value), right)


def _share(kind: str, word: str, value: Any, right: str) -> None:
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise _no(f"{kind}: {word}= is a part of one", repr(value), right)


def _bounds(norm: Any, right: str) -> tuple[float, float]:
    try:
        low, high = map(float, norm)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not 0 <= low <= high:
        raise _no("vector: norm= is two bounds, the lower first", repr(norm), right)
    return low, high


def _regex(kind: str, regex: Any) -> str:
    right = f'checks.{kind}("mood", r"[a-z]+")'
    if isinstance(regex, re.Pattern):
        raise _no(f"{kind} takes a regular expression as text", "a compiled one", right)
    told = text(f"the expression of {kind}", regex, right)
    try:
        re.compile(told)
    except re.error as error:
        raise _no(f"{kind}: this is no regular expression ({error})", told, right) from None
    return told


def _no(what: str, found: object, right: str) -> DefinitionError:
    return DefinitionError(what, found=short(str(found)), fix=right)


__all__ = [
    "cut_off",
    "echo",
    "empty",
    "forbidden",
    "language",
    "leaked_tags",
    "length",
    "near_duplicates",
    "no_list",
    "one_sentence",
    "pattern",
    "refusal",
    "repeats",
    "vector",
]
