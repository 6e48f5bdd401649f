"""Gates: when to look, what a look came to, and what all looks say."""

from proctor.core.gates.comparing import (
    FEWEST_WINDOWS,
    Compared,
    Proofs,
    broken_split,
    compared,
    final,
    harmed,
    tightened,
)
from proctor.core.gates.expression import FUNCTIONS, LONGEST, fault, named, one_line
from proctor.core.gates.fold import Judged, gate, judged
from proctor.core.gates.grid import Due, at, due, looks, windows
from proctor.core.gates.judge import Holds, lacking, look, with_earlier
from proctor.core.gates.ratio import quantile, ratio_bounds
from proctor.core.gates.rehearsing import Rehearsed, reachable_by_windows, rehearse
from proctor.core.gates.samples import Reach, needed, provable, reachable

__all__ = [
    "FEWEST_WINDOWS",
    "FUNCTIONS",
    "LONGEST",
    "Compared",
    "Due",
    "Holds",
    "Judged",
    "Proofs",
    "Reach",
    "Rehearsed",
    "at",
    "broken_split",
    "compared",
    "due",
    "fault",
    "final",
    "gate",
    "harmed",
    "judged",
    "lacking",
    "look",
    "looks",
    "named",
    "needed",
    "one_line",
    "provable",
    "quantile",
    "ratio_bounds",
    "reachable",
    "reachable_by_windows",
    "rehearse",
    "tightened",
    "windows",
    "with_earlier",
]
