"""Where sentences end: full stops of many scripts, abbreviations, closing quotes; a cut-off."""

from __future__ import annotations

import re
import unicodedata

from dataclasses import dataclass
from typing import ClassVar, Final

from proctor.core.checks.check import PASS, Finding, Given, TextCheck, fail, unsure
from proctor.core.checks.lazy import compiled

STOPS: Final = ".!?…。．！？｡؟۔।॥።፧။།։෴᙮᠃⸮‽"
"""Latin, Chinese and Japanese, Arabic and Urdu, Devanagari, Ethiopic, Burmese, Tibetan, …"""
_CLOSERS: Final = frozenset("\"'’”»›)]}）］】」』〉》*_~`\u2060\u200d\ufe0f")
_PAIRS: Final = {")": "(", "]": "[", "”": "“", "»": "«", "」": "「", "』": "『", "）": "（"}
_ABBREVIATED: Final = (
    r"(?:^|[\s(\[\"'“«])(?:(?:Mr|Mrs|Ms|Dr|Prof|St|vs|cf|ca|approx|incl|esp|resp|Fig|Nr|bzw|bspw"
    r"|vgl|evtl|ggf|sog|p\.? ?ex|ej|т\. ?е)\.|(?:e\. ?g|i\. ?e|z\. ?B|d\. ?h|u\. ?a|o\. ?ä)\.)$"
)
"""What nobody ends a sentence with; "etc." and "U.S." may."""
_SHORT: Final = (
    r"(?:^|[\s(\[\"'“«])(?:Mr|Mrs|Ms|Dr|Prof|St|vs|cf|ca|No|Nr|Vol|Jr|Sr|feat|ft|approx|etc|bzw"
    r"|vgl|\w|(?:\w\.)+ ?\w)\.$"
)
"""Behind these a text may go on: initials, "U.S.", "etc."."""
_STOP: Final = f"[{re.escape(STOPS)}]"
# Begun at the first full stop only and never given back: a thousand of them are read once.
_END: Final = rf"(?<!{_STOP}){_STOP}++[\"'’”»›)\]）」』*_]*+(?=\s|$)|[。！？｡]"
_UNSTOPPED: Final = ("THAI", "LAO", "KHMER")
"""Scripts that write no full stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff(TextCheck):
    """The text ends with the end of a sentence; for fields that hold prose, not labels."""

    kind: ClassVar[str] = "cut_off"

    def text(self, text: str, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """Look at the last characters, behind closing quotes, markup and emoji."""
        end = text.rstrip()
        if not any(c.isalnum() for c in end):
            return unsure("has no word")
        bare = _without_closers(end)
        if text.count("```") % 2:
            return fail("ends inside a block of code")
        if _is_symbol(end[-1]) and not _is_symbol(bare[-1]):
            return PASS  # an emoji ends a sentence as well as a full stop
        if bare[-1] not in STOPS:
            if unicodedata.name(bare[-1], "").startswith(_UNSTOPPED):
                return unsure("is in a script without full stops")
            return fail("ends in the middle of a sentence")
        if compiled(_ABBREVIATED).search(bare[-12:]):
            return fail("ends in the middle of a sentence")
        return fail("ends inside a quotation or bracket") if _open(end) else PASS


def _without_closers(text: str) -> str:
    """The text up to its last character that is no closing quote, markup or emoji."""
    end = len(text)
    while end > 1 and (text[end - 1] in _CLOSERS or _is_symbol(text[end - 1])):
        end -= 1
        while end > 1 and text[end - 1].isspace():
            end -= 1
    return text[:end]


def _is_symbol(char: str) -> bool:
    return unicodedata.category(char) in {"So", "Sk"} or char in "\ufe0f\u200d"


def _open(text: str) -> bool:
    """Whether its last paragraph opens a pair that it does not close; smileys aside."""
    last = re.sub(r"[:;=8][-^]?[()\[\]]", "", text.rpartition("\n\n")[2])
    last = re.sub(r"^[ \t]*\w{1,3}[)\]]", "", last, flags=re.MULTILINE)  # a) b) c)
    return any(last.count(opener) > last.count(closer) for closer, opener in _PAIRS.items())


def sentences(text: str) -> int:
    """How many sentences a text has; one without a full stop is one."""
    text = text.strip()
    if not any(c.isalnum() for c in text):
        return 0
    count = 0
    begun = False  # a letter or digit stands in what is read and not yet counted
    read = 0
    for match in compiled(_END).finditer(text):
        begun = begun or any(c.isalnum() for c in text[read : match.end()])
        read = match.end()
        if read < len(text) and compiled(_SHORT).search(text[max(0, read - 12) : read]):
            continue
        follows = compiled(r"\S").search(text, read)
        if follows and follows[0].islower():
            continue  # "Wait … what", "Yahoo! says": it goes on
        count += begun
        begun = False
    return count + (begun or any(c.isalnum() for c in text[read:]))
