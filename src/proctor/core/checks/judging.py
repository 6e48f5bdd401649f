"""Puts findings together: what a page's answers are rejected for, and verdicts over rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from proctor.core.answer import Answered, Failure
from proctor.core.checks.check import (
    NULL,
    Case,
    Detect,
    Finding,
    Given,
    Ready,
    RowCheck,
    RowsCheck,
)
from proctor.core.checks.fields import MISSING, look
from proctor.core.settle import spelling
from proctor.errors import DefinitionError
from proctor.model import Checked, Key, Page, Ruling

SHOWN_KEYS = 20


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A page's answers after the checks: those that a check rejects are failures now.

    `warned` counts by its reason what is written all the same, `unsure` what could not be judged;
    of a null nobody says anything: it is there or not, and `empty` judges that.
    """

    answers: list[Answered]
    warned: Counter[str] = field(default_factory=Counter)
    unsure: Counter[str] = field(default_factory=Counter)


def cases(page: Page, answers: Sequence[Answered], fills: tuple[str, ...]) -> list[Case | None]:
    """What each answer gives to be checked; None where it is no answer that could be written."""
    names = spelling(fills)
    found: list[Case | None] = []
    for key, row, answer in zip(page.keys, page.rows, answers, strict=True):
        values = None if isinstance(answer, Failure) else names.read(answer)
        found.append(
            Case(key=key, row=row, values=dict(zip(fills, values, strict=True)))
            if isinstance(values, tuple)
            else None
        )
    return found


def review(
    checks: Sequence[Ready],
    page: Page,
    answers: Sequence[Answered],
    fills: tuple[str, ...],
    *,
    detect: Detect | None = None,
) -> Reviewed:
    """Judge each row by itself, before it is written: the first check that rejects it is told."""
    each = [check for check in checks if isinstance(check, RowCheck) and not check.standing]
    seen = Reviewed(answers=list(answers))
    if not each:
        return seen
    for i, case in enumerate(cases(page, answers, fills)):
        if case is None:
            continue
        warned, unsure = [], []
        for check in each:
            said = _judge(check, case, Given(row=case.row, detect=detect))
            told = check.told(said.reason)
            if said.ruling is Ruling.FAIL and check.rejects:
                cause = f"check {check.kind} of {check.field}"
                seen.answers[i] = Failure(told, cause=cause, by_check=True)
                break
            if said.ruling is Ruling.FAIL:
                warned.append(told)
            elif said.ruling is Ruling.INCONCLUSIVE and said is not NULL:
                unsure.append(told)
        else:
            seen.warned.update(warned)
            seen.unsure.update(unsure)
    return seen


def judge(
    checks: Sequence[Ready],
    rows: Sequence[Case],
    *,
    detect: Detect | None = None,
    now: datetime | None = None,
    standing: bool = False,
) -> tuple[Checked, ...]:
    """A verdict of each check over these rows: such as the latest that were written.

    now, standing: see `Given`.

    No data never passes: with fewer rows than its `min_samples` of which it can tell anything a
    check is inconclusive, also where all of them are well.
    """
    given = Given(row={}, detect=detect, at=now, standing=standing)
    return tuple(_over(check, rows, given) for check in checks)


def _over(check: Ready, rows: Sequence[Case], given: Given) -> Checked:
    match check:
        case RowCheck():
            said = [_judge(check, row, replace(given, row=row.row)) for row in rows]
        case RowsCheck():
            said = check.judge_all([_value(check, row) for row in rows])
        case _:
            raise TypeError(type(check).__name__)
    bad = [row.key for row, found in zip(rows, said, strict=True) if found.ruling is Ruling.FAIL]
    return counted(
        check,
        Counter(f.reason for f in said if f.ruling is Ruling.FAIL),
        Counter(f.reason for f in said if f.ruling is Ruling.INCONCLUSIVE),
        looked_at=len(said),
        keys=bad,
    )


def counted(
    check: Ready,
    reasons: Counter[str],
    doubts: Counter[str],
    *,
    looked_at: int,
    keys: Sequence[Key] = (),
    over: str = "",
) -> Checked:
    """The verdict by counts alone, whoever counted: the same rules as for rows judged here."""
    samples, failures = looked_at - doubts.total(), reasons.total()
    verdict = _verdict(check, samples, failures)
    return Checked(
        kind=check.kind,
        field=check.field,
        level=check.level,
        verdict=verdict,
        reason=_words(check, verdict, reasons, doubts, samples),
        samples=samples,
        failures=failures,
        unsure=doubts.total(),
        keys=tuple(keys[:SHOWN_KEYS]),
        over=over,
    )


def _verdict(check: Ready, samples: int, failures: int) -> Ruling:
    """Too few rows prove nothing, neither good nor bad: a gate would else step back by one row."""
    if samples < _least(check):
        return Ruling.INCONCLUSIVE
    most = check.allowed * samples if check.allowed < 1 else check.allowed
    return Ruling.FAIL if failures > most + 1e-9 else Ruling.PASS


def _least(check: Ready) -> int:
    """So many rows it takes: with no more than may fail, all of them could, and it would pass."""
    return max(1, check.min_samples, int(check.allowed) + 1 if check.allowed >= 1 else 1)


def _words(
    check: Ready, verdict: Ruling, reasons: Counter[str], doubts: Counter[str], samples: int
) -> str:
    """The verdict in words and numbers."""
    failures = reasons.total()
    told = f"{failures:,} of {samples:,} rows failed"
    if failures:
        told += f" ({_listed(reasons)})"
    if verdict is Ruling.INCONCLUSIVE:
        few = f"too few rows for a verdict, {told}" if samples else "no row could be judged"
        told = f"{few}; it takes at least {_least(check):,}"
    elif failures or check.allowed:
        most = f"{check.allowed:.1%}" if 0 < check.allowed < 1 else f"{check.allowed:,g}"
        told += f"; allowed are {most}"
    if doubts:
        told += f"; {doubts.total():,} could not be judged ({_listed(doubts)})"
    return told


def _listed(reasons: Counter[str]) -> str:
    return ", ".join(f"{count:,}: {reason}" for reason, count in reasons.most_common(3))


def _judge(check: RowCheck, case: Case, given: Given) -> Finding:
    return check.judge(_value(check, case), given)


def _value(check: Ready, case: Case) -> object:
    value = look(case.values, check.field)
    if value is MISSING:
        raise DefinitionError(
            f"check {check.kind} judges {check.field}, which is not there",
            found=", ".join(sorted(case.values)) or "no fields",
            fix="name one of the fills, or a path inside one",
        )
    return value
