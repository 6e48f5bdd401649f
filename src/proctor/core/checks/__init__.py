"""Ready checks of what is filled in: frozen values that judge rows, and verdicts in words."""

from proctor.core.checks.check import Case, Detect, Finding, Given, Ready, RowCheck, RowsCheck
from proctor.core.checks.echoing import Echo, NearDuplicates
from proctor.core.checks.ends import CutOff
from proctor.core.checks.judging import Reviewed, cases, judge, review
from proctor.core.checks.leaks import LeakedTags
from proctor.core.checks.refusing import Refusal, says_no
from proctor.core.checks.speaking import LANGUAGES, Language
from proctor.core.checks.text import Empty, Forbidden, Length, NoList, OneSentence, Pattern
from proctor.core.checks.vectors import Repeats, Vector

__all__ = [
    "LANGUAGES",
    "Case",
    "CutOff",
    "Detect",
    "Echo",
    "Empty",
    "Finding",
    "Forbidden",
    "Given",
    "Language",
    "LeakedTags",
    "Length",
    "NearDuplicates",
    "NoList",
    "OneSentence",
    "Pattern",
    "Ready",
    "Refusal",
    "Repeats",
    "Reviewed",
    "RowCheck",
    "RowsCheck",
    "Vector",
    "cases",
    "judge",
    "review",
    "says_no",
]
