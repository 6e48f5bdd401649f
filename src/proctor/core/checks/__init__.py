"""Ready checks of what is filled in: frozen values that judge rows, and verdicts in words."""

from proctor.core.checks.check import Case, Detect, Finding, Given, Ready, RowCheck, RowsCheck
from proctor.core.checks.echoing import Echo, NearDuplicates
from proctor.core.checks.ends import CutOff
from proctor.core.checks.judging import Reviewed, cases, counted, judge, review
from proctor.core.checks.leaks import LeakedTags
from proctor.core.checks.refusing import Refusal, says_no
from proctor.core.checks.shapes import KINDS, JsonShape
from proctor.core.checks.speaking import LANGUAGES, Language
from proctor.core.checks.standing import Holds, Refers, StandingCheck, Unique
from proctor.core.checks.text import Empty, Forbidden, Length, NoList, OneSentence, Pattern
from proctor.core.checks.values import Between, Drift, Judged, LowerCase, OneOf, Stamped
from proctor.core.checks.vectors import Repeats, Vector

__all__ = [
    "KINDS",
    "LANGUAGES",
    "Between",
    "Case",
    "CutOff",
    "Detect",
    "Drift",
    "Echo",
    "Empty",
    "Finding",
    "Forbidden",
    "Given",
    "Holds",
    "JsonShape",
    "Judged",
    "Language",
    "LeakedTags",
    "Length",
    "LowerCase",
    "NearDuplicates",
    "NoList",
    "OneOf",
    "OneSentence",
    "Pattern",
    "Ready",
    "Refers",
    "Refusal",
    "Repeats",
    "Reviewed",
    "RowCheck",
    "RowsCheck",
    "Stamped",
    "StandingCheck",
    "Unique",
    "Vector",
    "cases",
    "counted",
    "judge",
    "review",
    "says_no",
]
