"""Ready checks for what is filled in, above all by models: `from proctor import checks`.

    @backfill(table("songs", key="id"), fills="mood", checks=[
        checks.length("mood", most=100), checks.leaked_tags("mood"), checks.refusal("mood"),
    ])

Each judges one field of a row before it is written, and among the latest rows. `level` is
"warning", "error" or "critical": only a warning is written all the same. `allowed` and
`min_samples` are for verdicts over several rows: so many failures still pass (a number of rows,
or below 1 a share), and with fewer rows that could be judged the verdict is inconclusive. With
`where`, an SQL condition, other rows are not looked at, and none is before it is written.
Raises DefinitionError, which shows the right code.
"""

from __future__ import annotations

import importlib.util
import math
import re

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from proctor.authoring.checkwords import Terms, no, told, whole
from proctor.authoring.checkwords import share as _part
from proctor.authoring.datachecks import (
    between,
    drift,
    json_shape,
    lower_case,
    one_of,
    python,
    refers,
    sql,
    stamped,
    unique,
)
from proctor.authoring.given import names, text
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

if TYPE_CHECKING:
    from typing import Unpack

DETECTOR = "py3langid"


def length(
    field: str, *, most: int | None = None, least: int = 0, **terms: Unpack[Terms]
) -> Length:
    """From `least` to `most` characters: `checks.length("mood", least=1, most=100)`."""
    right = 'checks.length("mood", least=1, most=100)'
    whole("length", "least", least, 0, right)
    if most is not None:
        whole("length", "most", most, least, right)
    if most is None and not least:
        raise no("length needs a bound", "neither most= nor least=", right)
    return Length(**told(field, terms), least=least, most=most)


def pattern(field: str, regex: str, **terms: Unpack[Terms]) -> Pattern:
    """The whole text fits a regular expression: `checks.pattern("mood", "[a-z]+(, [a-z]+)*")`."""
    return Pattern(**told(field, terms), regex=_regex("pattern", regex))


def forbidden(field: str, regex: str, **terms: Unpack[Terms]) -> Forbidden:
    """A regular expression fits nowhere in it: `checks.forbidden("mood", "(?i)lorem ipsum")`."""
    return Forbidden(**told(field, terms), regex=_regex("forbidden", regex))


def empty(field: str, **terms: Unpack[Terms]) -> Empty:
    """It is neither null nor blank; the other checks say nothing of a null."""
    return Empty(**told(field, terms))


def one_sentence(field: str, **terms: Unpack[Terms]) -> OneSentence:
    """Exactly one sentence on one line."""
    return OneSentence(**told(field, terms))


def no_list(field: str, **terms: Unpack[Terms]) -> NoList:
    """Prose without bullets and numbered lines."""
    return NoList(**told(field, terms))


def leaked_tags(
    field: str, *, also: str | Sequence[str] = (), **terms: Unpack[Terms]
) -> LeakedTags:
    """No tags of reasoning or chat, closed or not: <think>, [confidence: …], <|im_end|>, User:.

    also: names of your prompt's own tags, `also=("draft",)` for <draft>.
    """
    extra = names("also", also, 'also=("draft",)') if also else ()
    return LeakedTags(**told(field, terms), also=extra)


def refusal(field: str, **terms: Unpack[Terms]) -> Refusal:
    """It is no refusal ("I'm sorry, but I can't help with that"), in thirteen languages."""
    return Refusal(**told(field, terms))


def cut_off(field: str, **terms: Unpack[Terms]) -> CutOff:
    """It ends where a sentence ends; for prose, not for labels."""
    return CutOff(**told(field, terms))


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
        raise no("echo needs something to compare with", "neither of= nor prompt=", right)
    _part("echo", "share", share, right)
    return Echo(**told(field, terms), of=columns, prompt=prompt, share=share)


def language(field: str, want: str, *, least: int = 20, **terms: Unpack[Terms]) -> Language:
    """It is in the language `want`, an ISO 639 code: `checks.language("mood", "en")`.

    A text of fewer than `least` letters, and one that may be in several languages, is
    inconclusive. Needs `pip install 'proctor[language]'`, which brings its model along.
    """
    right = 'checks.language("mood", "en")'
    if want not in LANGUAGES:
        raise no("language takes the ISO 639 code of a language that it can tell", want, right)
    whole("language", "least", least, 1, right)
    if importlib.util.find_spec(DETECTOR) is None:
        raise DefinitionError(
            "check language has nothing that tells languages",
            found=f"the package {DETECTOR} is not installed here",
            fix="pip install 'proctor[language]'",
        )
    return Language(**told(field, terms), want=want, least=least)


def near_duplicates(field: str, *, likeness: float = 0.7, **terms: Unpack[Terms]) -> NearDuplicates:
    """Few rows have nearly the text of another; judged over several rows alone.

    likeness: the part of their runs of three words that two texts share. `allowed` is 0.05 and
    `min_samples` 20 where nothing else is said.
    """
    _part("near_duplicates", "likeness", likeness, 'checks.near_duplicates("mood", likeness=0.7)')
    return NearDuplicates(**told(field, terms), likeness=likeness)


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
        whole("vector", "dimension", dimension, 1, right)
    if norm is not None:
        norm = _bounds(norm, right)
    return Vector(**told(field, terms), dimension=dimension, norm=norm)


def repeats(field: str, **terms: Unpack[Terms]) -> Repeats:
    """Few rows have the very value of another; judged over several rows alone."""
    return Repeats(**told(field, terms))


def ready(check: object) -> bool:
    """Whether a value is a check of this module, rather than a function of (row, answer)."""
    return isinstance(check, Ready)


def _bounds(norm: Any, right: str) -> tuple[float, float]:
    try:
        low, high = map(float, norm)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not 0 <= low <= high:
        raise no("vector: norm= is two bounds, the lower first", repr(norm), right)
    return low, high


def _regex(kind: str, regex: Any) -> str:
    right = f'checks.{kind}("mood", r"[a-z]+")'
    if isinstance(regex, re.Pattern):
        raise no(f"{kind} takes a regular expression as text", "a compiled one", right)
    said = text(f"the expression of {kind}", regex, right)
    try:
        re.compile(said)
    except re.error as error:
        raise no(f"{kind}: this is no regular expression ({error})", said, right) from None
    return said


__all__ = [
    "between",
    "cut_off",
    "drift",
    "echo",
    "empty",
    "forbidden",
    "json_shape",
    "language",
    "leaked_tags",
    "length",
    "lower_case",
    "near_duplicates",
    "no_list",
    "one_of",
    "one_sentence",
    "pattern",
    "python",
    "refers",
    "refusal",
    "repeats",
    "sql",
    "stamped",
    "unique",
    "vector",
]
