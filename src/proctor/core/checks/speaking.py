"""Checks that a text is written in the language that it should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from proctor.core.checks.check import PASS, Finding, Given, TextCheck, fail, unsure
from proctor.errors import ConfigError

LANGUAGES: Final = frozenset(
    (  # noqa: SIM905 - codes are read as a line of words
        "af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha "
        "he hi hr ht hu hy id ig is it ja jv ka kk km kn ko ku ky la lg ln lo lt lv mg mk ml mn mr "
        "ms my ne nl no om or pa pl ps pt qu ro ru sa si sk sl so sq sr sv sw ta te th tl tr ug uk "
        "ur uz vi xh yo zh zu nn oc mt lb fo tg tk tt ba rw sn st wa an"
    ).split()
)
"""What can be told, as ISO 639 writes it."""
_ALIKE: Final = (
    {"no", "nn", "da"}, {"zh", "yue", "wuu"}, {"ar", "arz", "ary"}, {"hr", "bs", "sr"},
    {"id", "ms"}, {"uz", "uzs"}, {"ku", "sdh"}, {"cs", "sk"}, {"gl", "pt"}, {"fa", "tg"},
    {"ru", "be", "uk"}, {"es", "an", "ext"},
)  # fmt: skip
"""Short texts of these are not told apart."""
SURE: Final = 0.6
ENOUGH: Final = 20
"""Letters; a character of Chinese, Japanese or Korean says as much as three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language(TextCheck):
    """The text is in `want`; a short one, or one that might be in several, is inconclusive."""

    kind: ClassVar[str] = "language"
    want: str
    least: int = ENOUGH

    def text(self, text: str, given: Given) -> Finding:
        """Ask the detector that was handed in."""
        if given.detect is None:
            raise ConfigError(
                "check language has nothing that tells languages",
                found="the package py3langid is not installed here",
                fix="pip install 'proctor[language]'",
            )
        if _letters(text) < self.least:
            return unsure("is too short for its language to be told")
        found, sure = given.detect(text)
        if found == self.want and sure >= SURE:
            return PASS
        alike = any({found, self.want} <= group for group in _ALIKE)
        if sure < SURE or alike:
            return unsure("may be in one of several languages")
        return fail(f"is in {found}, not in {self.want}")


def _letters(text: str) -> int:
    return sum(3 if "\u2e80" <= c <= "\ud7ff" else 1 for c in text if c.isalpha())
