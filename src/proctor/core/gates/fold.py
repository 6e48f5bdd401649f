"""Folds the looks at a metric into a verdict, and the verdicts of several into one.

The fields are those of Argo Rollouts' analysis. What differs: no data never passes; the worst
that was seen wins (failed, error, inconclusive, running, successful); a missed slot counts for
nothing; counters run over all looks and none is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proctor.core.gates.comparing import Proofs, broken_split, final, harmed
from proctor.core.gates.judge import senseless, short, shown
from proctor.model import Measurement, Metric, Phase, Ruling, Verdict

NO_LIMIT = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the looks at a metric come to so far.

    `finished`: no further look can change it, or none is needed. A metric that passed because it
    held so many times in a row is not finished: a stage of those ends when its gate passes, which
    is when all of them hold at once. `harm`: step back at once, for the metric is critical and
    failed. A dry run says what it would have said, and decides nothing.
    """

    metric: str
    verdict: Verdict
    finished: bool
    harm: bool
    dry_run: bool = False
    looks: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is asked of a baseline."""

    proofs: Proofs | None
    share: float | None
    endings: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tally:
    """Looks by what they came to. `no_data` ones are no evidence, and use up no limit."""

    looks: int
    successful: int
    failed: int
    inconclusive: int
    no_data: int
    errors: int
    missed: int
    streak: int
    """Successful ones in a row, up to the last."""
    errors_in_a_row: int
    """The longest such row."""
    last: Measurement | None
    """The latest that gave figures which can be judged."""
    error: str
    few: str
    """What the latest look without data said."""


def judged(
    metric: Metric,
    measurements: Sequence[Measurement],
    *,
    over: bool,
    proofs: Proofs | None = None,
    share: float | None = None,
    endings: int = 1,
) -> Judged:
    """The verdict of a metric from all looks at it.

    over: whether the stage has ended, so that there will be no further look. proofs: the port
    Statistics; needed where there is a baseline. share: the part of the readers (0 to 1) that was
    let in, for a concurrent baseline. endings: how often `over` may come, which is 2 where a stage
    that is inconclusive goes on: each is a chance to pass, so each has its part of the risk.
    """
    tally = _tally(metric, measurements)
    full = metric.count is not None and (
        tally.successful + tally.failed + tally.inconclusive >= metric.count
    )
    found = _by_limits(metric, tally)
    ended = over or full
    if found is None and metric.baseline is not None:
        asked = _Asked(proofs=proofs, share=share, endings=endings, ended=ended)
        found = _by_baseline(metric, tally, asked)
    if found is None:
        found = _by_count(metric, tally, ended=ended)
    ruling, reason, finished = found
    return Judged(
        metric=metric.name,
        verdict=Verdict(ruling=ruling, reason=f"{metric.name}: {reason}"),
        finished=finished or over,
        harm=ruling is Ruling.FAIL and metric.critical and not metric.dry_run,
        dry_run=metric.dry_run,
        looks=tally.looks,
        missed=tally.missed,
    )


def gate(*several: Judged) -> Verdict:
    """One verdict over several metrics: the worst of those that decide, in words with numbers."""
    deciding = [one for one in several if not one.dry_run]
    aside = [f"{one.verdict.reason} (dry run)" for one in several if one.dry_run]
    if not deciding:
        words = ["no metric decides: no data never passes", *aside]
        return Verdict(ruling=Ruling.INCONCLUSIVE, reason="; ".join(words))
    order = (Ruling.FAIL, Ruling.INCONCLUSIVE, Ruling.PASS)
    worst = min(deciding, key=lambda one: order.index(one.verdict.ruling)).verdict.ruling
    # What passed is not the news where something did not.
    words = [one.verdict.reason for one in deciding if one.verdict.ruling is worst]
    if worst is Ruling.FAIL:
        words += [
            one.verdict.reason
            for one in deciding
            if one.verdict.ruling is Ruling.INCONCLUSIVE and one.finished
        ]
    return Verdict(ruling=worst, reason="; ".join([*words, *aside]))


_Found = tuple[Ruling, str, bool]


def _by_limits(metric: Metric, tally: _Tally) -> _Found | None:
    """What went beyond a limit, the worst first: no later look can mend it."""
    looks = f"{tally.looks:,} {'look' if tally.looks == 1 else 'looks'}"
    if _beyond(tally.failed, metric.failure_limit):
        words = f"{tally.failed:,} of {looks} failed, {metric.failure_limit:,} allowed"
        return Ruling.FAIL, words + _last(metric, tally), True
    if _beyond(tally.errors_in_a_row, metric.consecutive_error_limit):
        words = (
            f"{tally.errors_in_a_row:,} looks in a row could not be made, "
            f"{metric.consecutive_error_limit:,} allowed ({tally.error})"
        )
        return Ruling.INCONCLUSIVE, words + _last(metric, tally), True
    # Counts that are not yet judged against a baseline are no doubt; see _by_baseline.
    if _beyond(tally.inconclusive, metric.inconclusive_limit):
        words = (
            f"{tally.inconclusive:,} of {looks} were inconclusive, "
            f"{metric.inconclusive_limit:,} allowed"
        )
        return Ruling.INCONCLUSIVE, words + _last(metric, tally), True
    return None


def _by_baseline(metric: Metric, tally: _Tally, asked: _Asked) -> _Found | None:
    """What the latest counts say against the baseline; None where they say pass."""
    last, proofs = tally.last, asked.proofs
    if last is None:
        few = tally.few.removeprefix("no data: ")
        return Ruling.INCONCLUSIVE, f"no data{few and ': '}{few}{_seen(tally)}", False
    if proofs is None:
        return Ruling.INCONCLUSIVE, "nothing is there to compute what its counts prove", False
    broken = broken_split(metric, last.figures, asked.share)
    if harm := harmed(metric, last.figures, proofs):
        # Stepping back is right also where the cohorts are not what they should be.
        return Ruling.FAIL, "; ".join(filter(None, (harm, broken))), True
    if broken:
        return Ruling.INCONCLUSIVE, broken, False
    if not asked.ended:
        return None
    verdict = final(metric, last.figures, proofs, endings=asked.endings)
    if verdict.ruling is Ruling.FAIL:
        return Ruling.FAIL, verdict.reason, True
    found = _by_count(metric, tally, ended=True)
    if verdict.ruling is Ruling.INCONCLUSIVE or found[0] is Ruling.PASS:
        return verdict.ruling, verdict.reason + _seen(tally), verdict.ruling is Ruling.PASS
    return found


def _by_count(metric: Metric, tally: _Tally, *, ended: bool) -> _Found:
    """Whether enough was seen, where no limit was gone beyond."""
    words = (
        f"{tally.successful:,} of {tally.looks:,} {'look' if tally.looks == 1 else 'looks'} good"
    )
    words += _asides(metric, tally) + _last(metric, tally)
    streak = metric.consecutive_success_limit
    # What is proved against a baseline is proved at the end alone.
    if streak and tally.streak >= streak and (ended or metric.baseline is None):
        held = f"held {tally.streak:,} times in a row, {streak:,} asked for; {words}"
        # Several metrics have to hold at once: it is looked at until the others do, too.
        return Ruling.PASS, held, ended
    if not ended:
        return Ruling.INCONCLUSIVE, f"still running; {words}", False
    if not tally.successful:
        return Ruling.INCONCLUSIVE, f"no look was good, and no data never passes; {words}", False
    if streak:
        held = f"held {tally.streak:,} times in a row, {streak:,} asked for; {words}"
        return Ruling.INCONCLUSIVE, held, False
    return Ruling.PASS, words, True


def _tally(metric: Metric, measurements: Sequence[Measurement]) -> _Tally:
    counts = dict.fromkeys(("successful", "failed", "inconclusive", "no_data", "errors"), 0)
    missed = streak = row = longest = 0
    last: Measurement | None = None
    error = few = ""
    for one in sorted(measurements, key=lambda seen: seen.slot):
        if one.phase is Phase.MISSED:
            missed += 1
            continue
        kind = _kind(metric, one)
        counts[kind] += 1
        streak = streak + 1 if kind == "successful" else 0
        row = row + 1 if kind == "errors" else 0
        longest = max(longest, row)
        if kind == "errors":
            error = one.told
        elif kind == "no_data":
            few = one.told
        else:
            last = one
    return _Tally(
        looks=sum(counts.values()),
        **counts,
        missed=missed,
        streak=streak,
        errors_in_a_row=longest,
        last=last,
        error=error,
        few=few,
    )


def _kind(metric: Metric, one: Measurement) -> str:
    """The counter of a look. What is no data is judged again here: a phase alone cannot say."""
    if one.phase is Phase.ERROR or senseless(metric, one.figures):
        return "errors"
    if short(metric, one.figures) or one.told.startswith("no data"):
        return "no_data"
    return one.phase.value


def _beyond(count: int, limit: int) -> bool:
    return limit != NO_LIMIT and count > limit


def _last(metric: Metric, tally: _Tally) -> str:
    figures = shown(metric, tally.last.figures) if tally.last else ""
    return f"; last {figures}" if figures else ""


def _seen(tally: _Tally) -> str:
    return f" ({tally.looks:,} looks{f', {tally.missed:,} missed' if tally.missed else ''})"


def _asides(metric: Metric, tally: _Tally) -> str:
    """The looks that were not good, by what they were."""
    limits = {"failed": metric.failure_limit, "inconclusive": metric.inconclusive_limit}
    words = ""
    for name in ("failed", "inconclusive"):
        if count := getattr(tally, name):
            limit = limits[name]
            words += f", {count:,} {name}" + (f" of {limit:,} allowed" if limit > 0 else "")
    words += f", {tally.no_data:,} without data" if tally.no_data else ""
    words += f", {tally.errors:,} could not be made ({tally.error})" if tally.errors else ""
    return words + (f", {tally.missed:,} missed" if tally.missed else "")


__all__ = ["Judged", "gate", "judged"]
