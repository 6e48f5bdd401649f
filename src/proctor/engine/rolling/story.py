"""A rollout told from its log: what every report of it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from proctor.core.rolling import Standing, fold, where, why
from proctor.core.rolling.standing import measurement
from proctor.engine.snapshot import Snapshot
from proctor.model import LogEntry, Phase, Rollout, RolloutPlan, RunState, Undone


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricTold:
    """The looks at one metric in one stage."""

    stage: str
    name: str
    looks: Mapping[str, int]
    """How many came to what."""
    series: tuple[tuple[datetime, Mapping[str, float]], ...]
    told: str
    """What the last look said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTold:
    """One stage: when it was entered and left, and what was said of it."""

    name: str
    what: str
    entered: datetime | None
    passed: datetime | None
    why: str
    verdicts: tuple[tuple[datetime, str, str], ...]
    """Each with its reason."""
    tries: int = 1
    """How often it was entered; all but that is of the latest."""

    @property
    def state(self) -> str:
        """passed, the latest verdict, under way, or not begun."""
        if self.passed:
            return "passed"
        if self.verdicts:
            return self.verdicts[-1][1]
        return "under way" if self.entered else "not begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTold:
    """One run that it applied, as it is now, and what came of it where it was taken back."""

    seen: Snapshot
    undone: Undone
    """What undoing it has come to so far, by whomever."""
    back: LogEntry | None = None
    """What a step back wrote down when its rows were back; None where none did."""

    @property
    def taken_back(self) -> str:
        """What became of what it wrote, in words; empty while that stands."""
        books, state = self.undone, self.seen.run.state
        if state not in (RunState.ROLLING_BACK, RunState.ROLLED_BACK) and not books.written:
            return ""
        left = books.changed + books.gone + books.blocked
        said = f"{books.restored:,} rows restored, {left:,} left alone"
        if self.back is not None:
            # Without a time it was another process, or a person, that had undone it.
            did = "by the step back of" if self.back.data["seconds"] is not None else "as found at"
            return f"rolled back {did} {self.back.at:%Y-%m-%d %H:%M} UTC: {said}"
        if state is RunState.ROLLED_BACK:
            return f"rolled back by hand: {said}"
        return f"being rolled back, or in part: {said} so far"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything that a report of a rollout needs, and nothing else."""

    rollout: Rollout
    doc: str
    by: str
    began: datetime | None
    at: datetime
    """When it was told: the time of the latest entry."""
    speed: float
    where: str
    """Its state, or that it is stepping back."""
    why: str
    stages: tuple[StageTold, ...]
    metrics: tuple[MetricTold, ...]
    audits: tuple[LogEntry, ...]
    probes: tuple[tuple[str, Any, Any, str], ...]
    """Name, answers before and after, and what the latest said."""
    flags: tuple[LogEntry, ...]
    words: tuple[LogEntry, ...]
    """What people said: approvals, rejections, retries, and what was voided."""
    back: tuple[LogEntry, ...]
    """What was taken back."""
    workers: tuple[LogEntry, ...]
    runs: tuple[RunTold, ...]
    """Every run that it applied, in order, also those that were rolled back since."""
    timeline: tuple[LogEntry, ...]
    standing: Standing


_FLAGS = frozenset(
    {"flag.read", "flag.set", "flag.reset", "flag.reopened", "flag.observed"}
    | {"step_back.flag_restored"}
)
_WORDS = frozenset(
    {
        "approval.given",
        "approval.voided",
        "approval.expired",
        "rollout.rejected",
        "rollout.went_on",
        "stage.retried",
    }
    | {"rollout.changed"}
)
_WORKERS = frozenset({"worker.started", "worker.ended", "run.found", "worker.finished"})
_LITTLE = frozenset(
    {"metric.measured", "metric.missed", "flag.intended", "snapshot.appended", "worker.starting"}
)
"""Of these there are many; they stand in tables of their own."""


def told(
    plan: RolloutPlan, rollout: Rollout, entries: Sequence[LogEntry], runs: Sequence[RunTold]
) -> Story:
    """The story of a rollout so far."""
    standing = fold(entries)
    return Story(
        rollout=rollout,
        doc=plan.doc,
        by=standing.by,
        began=standing.began,
        at=entries[-1].at,
        speed=standing.speed,
        where=where(rollout.state, standing),
        why=why(standing) or "under way",
        stages=tuple(_stages(entries, standing)),
        metrics=tuple(_metrics(entries)),
        audits=_of(entries, frozenset({"audit.made"})),
        probes=tuple(_probes(entries)),
        flags=_of(entries, _FLAGS),
        words=_of(entries, _WORDS),
        back=tuple(e for e in entries if e.kind.startswith("step_back.")),
        workers=_of(entries, _WORKERS),
        runs=tuple(runs),
        timeline=tuple(e for e in entries if e.kind not in _LITTLE),
        standing=standing,
    )


def _of(entries: Sequence[LogEntry], kinds: frozenset[str]) -> tuple[LogEntry, ...]:
    return tuple(e for e in entries if e.kind in kinds)


def _outline(entries: Sequence[LogEntry]) -> list[dict[str, Any]]:
    """The stages as they were when it began, or were accepted last."""
    return next(list(e.data["outline"]) for e in reversed(entries) if "outline" in e.data)


def _stages(entries: Sequence[LogEntry], standing: Standing) -> list[StageTold]:
    stages = []
    for index, one in enumerate(_outline(entries)):
        mine = [e for e in entries if e.data.get("stage") == index]
        entered = [e for e in mine if e.kind == "stage.entered"]
        # The latest try: what was said of earlier ones stands in the timeline.
        mine = [e for e in mine if e.number >= entered[-1].number] if entered else []
        passed = [e for e in mine if e.kind == "stage.passed" and index in standing.passed]
        stages.append(
            StageTold(
                name=one["name"],
                what=one["what"],
                tries=len(entered),
                entered=entered[-1].at if entered else None,
                passed=passed[-1].at if passed else None,
                why=passed[-1].data["why"] if passed else "",
                verdicts=tuple(
                    (e.at, e.data["verdict"], e.data["why"])
                    for e in mine
                    if e.kind in ("stage.judged", "rollout.held")
                ),
            )
        )
    return stages


def runs_of(entries: Sequence[LogEntry]) -> dict[str, LogEntry | None]:
    """Every run that it applied, in order; what a step back said when its rows were back."""
    runs: dict[str, LogEntry | None] = {}
    for entry in entries:
        if entry.kind == "run.found":
            runs.setdefault(entry.data["run"], None)
        elif entry.kind == "step_back.rows_restored":
            runs[entry.data["run"]] = entry
    return runs


def _metrics(entries: Sequence[LogEntry]) -> list[MetricTold]:
    names = {index: one["name"] for index, one in enumerate(_outline(entries))}
    looks: dict[tuple[int, str], list[LogEntry]] = {}
    for entry in entries:
        if entry.kind in ("metric.measured", "metric.missed"):
            looks.setdefault((entry.data["stage"], entry.data["metric"]), []).append(entry)
    found = []
    for (stage, name), mine in looks.items():
        counts = {phase.value: 0 for phase in Phase}
        series = []
        for entry in mine:
            if entry.kind == "metric.missed":
                counts[Phase.MISSED.value] += entry.data["last"] - entry.data["first"] + 1
                continue
            one = measurement(entry)
            counts[one.phase.value] += 1
            if one.figures:
                series.append((one.at, one.figures))
        last = [e for e in mine if e.kind == "metric.measured"]
        found.append(
            MetricTold(
                stage=names.get(stage, ""),
                name=name,
                looks={k: v for k, v in counts.items() if v},
                series=tuple(series),
                told=last[-1].data["told"] if last else "never measured",
            )
        )
    return found


def _probes(entries: Sequence[LogEntry]) -> list[tuple[str, Any, Any, str]]:
    answers: dict[str, dict[str, LogEntry]] = {}
    for entry in entries:
        if entry.kind == "probe.answered":
            answers.setdefault(entry.data["probe"], {})[entry.data["when"]] = entry
    found = []
    for name, by_time in answers.items():
        first = by_time.get("before") or by_time.get("precheck")
        after = by_time.get("after")
        last = after or first
        found.append(
            (
                name,
                first.data["answer"] if first else None,
                after.data["answer"] if after else None,
                last.data["told"] if last else "",
            )
        )
    return found


__all__ = ["MetricTold", "RunTold", "StageTold", "Story", "runs_of", "told"]
