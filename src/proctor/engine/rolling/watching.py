"""Soaks and gates: metrics measured on their grid, written down, and judged by what is there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from proctor.core.gates import Judged, at, due, judged, look, looks, windows, with_earlier
from proctor.core.gates import gate as verdict_of
from proctor.engine.rolling.evidence import Told
from proctor.engine.rolling.filing import of_soak
from proctor.engine.rolling.holding import hold
from proctor.engine.rolling.rig import Rig, Turn
from proctor.engine.rolling.stepback import fail
from proctor.errors import Unmeasured
from proctor.model import Figures, Gate, Metric, Mode, Phase, Ruling, Soak, Verdict

SEEN = 0.5
"""The part of its looks that a hold of a flag needs, and a soak whose author says no other."""
LATEST = timedelta(minutes=1)
"""The longest time between two looks at what holds a stage open."""


async def soak(rig: Rig, stage: Soak) -> Turn:
    """The stage: over after its duration where every metric says pass, longer where it is open."""
    standing = rig.journal.standing
    begun = standing.entered or rig.clock.now()
    extended = bool(standing.told("soak.extended"))
    ends = begun + (stage.most if extended else stage.duration)
    ends = seen_at_end(rig, stage.metrics, begun=begun, ends=ends)
    after = await look_all(rig, stage.metrics, begun=begun, ends=ends)
    if after is None:
        return Turn(until=rig.clock.now() + LATEST)
    ends = seen_at_end(rig, stage.metrics, begun=begun, ends=ends)
    over = rig.clock.now() >= ends
    found = rulings(rig, stage.metrics, over=over, endings=stage.endings)
    verdict = seeing(stage.metrics, found, verdict_of(*found), share=stage.seen)
    if verdict.ruling is Ruling.FAIL and any(one.finished for one in found):
        await of_soak(rig, stage, verdict.ruling, verdict.reason)
        await _failed(rig, found, f"soak {stage.name}: {verdict.reason}")
        return Turn(until=rig.clock.now())
    if not over and not any(one.finished for one in _open(found)):
        return Turn(until=min(max(after, rig.clock.now()), ends))
    said = _judged(rig, verdict.ruling, verdict.reason)
    if verdict.ruling is Ruling.PASS:
        await of_soak(rig, stage, verdict.ruling, verdict.reason)
        return Turn(done=verdict.reason, about=(said,))
    if over and not extended and stage.most > stage.duration:
        await rig.journal.add(
            "soak.extended",
            stage=standing.stage,
            until=(begun + stage.most).isoformat(),
            why=verdict.reason,
        )
        return Turn(until=rig.clock.now())
    await of_soak(rig, stage, verdict.ruling, verdict.reason)
    why = f"soak {stage.name}: {verdict.reason}"
    await hold(rig, why, verdict="inconclusive", about=[said])
    return Turn(until=rig.clock.now())


def seeing(
    metrics: Sequence[Metric], found: Sequence[Judged], verdict: Verdict, *, share: float = SEEN
) -> Verdict:
    """The verdict; inconclusive where it is a pass, and too few of the looks were made.

    A baseline is judged by its counts of the whole time, whoever looked meanwhile.
    """
    told = []
    for metric, one in zip(metrics, found, strict=True):
        places = one.looks + one.missed
        if metric.baseline is None and not metric.dry_run and one.looks < share * places:
            told.append(f"{metric.name}: {one.looks:,} of {places:,} looks were made")
    if not told or verdict.ruling is not Ruling.PASS:
        return verdict
    reason = f"nobody looked for too long ({'; '.join(told)})"
    return Verdict(ruling=Ruling.INCONCLUSIVE, reason=reason)


def seen_at_end(
    rig: Rig, metrics: Sequence[Metric], *, begun: datetime, ends: datetime, since: int = 0
) -> datetime:
    """When a time of looks is over: later than it was to be, where nobody took the last look.

    What goes on from here has been seen here: a process that was away looks once more first.
    """
    now, measured = rig.clock.now(), rig.journal.standing.measured(since)
    if now < ends:
        return ends
    for metric in metrics:
        taken = measured.get(metric.name, [])
        if metric.baseline is not None or metric.dry_run or not taken:
            continue
        if taken[-1].phase is Phase.MISSED:
            ends = max(ends, at(metric, begun, looks(metric, begun, now)))
    return ends


async def gate(rig: Rig, stage: Gate) -> Turn:
    """The stage: passed as soon as all hold in one look; at its deadline a person is asked."""
    begun = rig.journal.standing.entered or rig.clock.now()
    ends = begun + stage.within
    after = await look_all(rig, stage.metrics, begun=begun, ends=ends)
    if after is None:
        return Turn(until=rig.clock.now() + LATEST)
    found = rulings(rig, stage.metrics, over=False)
    # What was measured on trial decides nothing.
    failed = [one for one in found if one.finished and one.verdict.ruling is Ruling.FAIL]
    if any(not one.dry_run for one in failed):
        reason = verdict_of(*found).reason
        await _failed(rig, found, f"gate {stage.name}: {reason}")
        return Turn(until=rig.clock.now())
    waiting = _not_yet(rig, stage.metrics)
    if not waiting:
        told = "; ".join(_last(rig, metric) for metric in stage.metrics)
        said = _judged(rig, Ruling.PASS, told)
        return Turn(done=f"all hold: {told}", about=(said,))
    if rig.clock.now() >= ends:
        why = f"not all held within {stage.within}: {'; '.join(waiting)}"
        said = _judged(rig, Ruling.INCONCLUSIVE, why)
        await hold(rig, f"gate {stage.name}: {why}", verdict="inconclusive", about=[said])
    return Turn(until=min(after, ends))


def _not_yet(rig: Rig, metrics: Sequence[Metric]) -> list[str]:
    """The metrics whose latest looks do not hold, with why."""
    measured = rig.journal.standing.measured()
    decides = any(not metric.dry_run for metric in metrics)
    waiting = [] if decides else ["no metric decides: no data never passes"]
    for metric in metrics:
        taken = measured.get(metric.name, [])
        want = max(1, metric.consecutive_success_limit)
        held = len(taken) >= want and all(one.phase is Phase.SUCCESSFUL for one in taken[-want:])
        if not held and not metric.dry_run:
            waiting.append(_last(rig, metric))
    return waiting


def _last(rig: Rig, metric: Metric) -> str:
    taken = rig.journal.standing.measured().get(metric.name, [])
    return f"{metric.name}: {taken[-1].told if taken else 'not measured yet'}"


def _judged(rig: Rig, ruling: Ruling, reason: str) -> Told:
    stage = rig.journal.standing.stage
    return "stage.judged", {"stage": stage, "verdict": ruling.value, "why": reason}


async def _failed(rig: Rig, found: Sequence[Judged], why: str) -> None:
    """A fail of a critical metric steps back by itself; of another one a person is asked."""
    about = [_judged(rig, Ruling.FAIL, why)]
    if any(one.harm for one in found):
        await fail(rig, why, then="pass", about=about)
    else:
        await hold(rig, why, verdict="fail", about=about)


def _open(found: Sequence[Judged]) -> list[Judged]:
    """Those of which nobody will know more by waiting."""
    return [
        one
        for one in found
        if one.verdict.ruling is Ruling.INCONCLUSIVE and one.finished and not one.dry_run
    ]


def rulings(
    rig: Rig,
    metrics: Sequence[Metric],
    *,
    over: bool,
    after: int = 0,
    share: float | None = None,
    endings: int = 1,
) -> list[Judged]:
    """What each metric comes to by the looks that are written down, behind entry `after`.

    share: the part of the readers that is let in, from 0 to 1. endings: how often the stage may
    end, for each of them is a chance to pass.
    """
    measured = rig.journal.standing.measured(after)
    return [
        judged(
            metric,
            measured.get(metric.name, []),
            over=over,
            proofs=rig.statistics,
            share=share,
            endings=endings,
        )
        for metric in metrics
    ]


async def look_all(
    rig: Rig, metrics: Sequence[Metric], *, begun: datetime, ends: datetime, since: int = 0
) -> datetime | None:
    """Take every look that is due and write it down; when the next is.

    since: the entry with which the grid began. None where the clock shows a time that has been
    before: the rollout is held then.
    """
    after = ends
    for metric in metrics:
        taken = rig.journal.standing.measured(since).get(metric.name, [])
        now = rig.clock.now()
        found = due(
            metric,
            begun=begun,
            ends=ends,
            now=now,
            last=taken[-1].slot if taken else None,
            seen=rig.journal.standing.last,
        )
        if found.backwards:
            await hold(
                rig,
                f"the clock went back: it shows {now:%Y-%m-%d %H:%M:%S} UTC, and the log goes to "
                f"{rig.journal.standing.last:%Y-%m-%d %H:%M:%S}",
                verdict="inconclusive",
                then="go_on",
                look=["the clock of this machine"],
            )
            return None
        if found.missed:
            await rig.journal.add(
                "metric.missed",
                stage=rig.journal.standing.stage,
                metric=metric.name,
                first=found.missed[0],
                last=found.missed[-1],
            )
        if found.slot is not None:
            before = taken[-1].figures if taken else None
            await _measure(rig, metric, begun, found.slot, before)
        if found.next_at is not None:
            after = min(after, found.next_at)
    return after


async def _measure(
    rig: Rig, metric: Metric, begun: datetime, slot: int, before: Figures | None
) -> None:
    """One look, written down whatever it came to: a question that fails is no value."""
    spans = windows(metric, begun, slot)
    figures: Figures = {}
    try:
        figures = await rig.measure(metric, *spans[0], before)
        if metric.baseline is not None and metric.baseline.mode is Mode.MATCHED_WINDOWS:
            figures = with_earlier(
                figures, [await _earlier(rig, metric, *span) for span in spans[1:]]
            )
        phase, told = look(metric, figures, rig.condition)
    except Unmeasured as error:
        phase, told = Phase.ERROR, str(error)
    await rig.journal.add(
        "metric.measured",
        stage=rig.journal.standing.stage,
        metric=metric.name,
        slot=slot,
        due=spans[0][1].isoformat(),
        phase=phase.value,
        figures=dict(figures),
        told=told,
    )


async def _earlier(rig: Rig, metric: Metric, since: datetime, until: datetime) -> Figures | None:
    """One of the windows to compare with; None where it cannot be measured any more."""
    try:
        return await rig.measure(metric, since, until, None)
    except Unmeasured:
        return None


__all__ = ["gate", "look_all", "rulings", "seeing", "seen_at_end", "soak"]
