"""The stages of a rollout: `from proctor import rollout, stages`.

    rollout(
        "overnight",
        stages.precheck(probes.clean_git(), probes.flag("ABOUTNESS_V2")),
        stages.apply("aboutness", milestones=[stages.milestone(rows=10_000, sample=100)]),
        stages.gate("quality", metrics=[metrics.rows("latest", "aboutness", …)]),
        stages.halt("go or no-go"),
        stages.activate("ABOUTNESS_V2", steps=(5, 25, 50, 100)),
    )

They are done in this order; each can be resumed, none can be skipped. Raises DefinitionError,
which shows the right code.
"""

from __future__ import annotations

import itertools

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from proctor.authoring.given import file, holes, names, short, text
from proctor.authoring.rules import by_conditions
from proctor.errors import DefinitionError
from proctor.model import (
    Activate,
    Apply,
    AuditStage,
    Files,
    Gate,
    Halt,
    HealthStage,
    Metric,
    Milestone,
    Monitor,
    Precheck,
    Probe,
    Soak,
    Step,
)

HALF_AN_HOUR, A_DAY = timedelta(minutes=30), timedelta(hours=24)


def precheck(*asked: Probe, name: str = "precheck") -> Precheck:
    """Nothing begins before every probe says yes."""
    right = 'stages.precheck(probes.clean_git(), probes.flag("NEW_SEARCH"))'
    return Precheck(name=name, probes=_probes(asked, right, least=1))


def milestone(
    *,
    rows: int | None = None,
    share: float | None = None,
    sample: int = 300,
    confidence: float = 0.95,
    by: str = "",
) -> Milestone:
    """A place at which a sample is audited: `milestone(rows=10_000)`, `milestone(share=0.5)`.

    sample: rows that are judged; 300 without a defect say "at most 1 % defective, 95 % sure".
    by: a column whose values are also judged apart.
    """
    right = "stages.milestone(rows=10_000, sample=300)"
    if (rows is None) == (share is None):
        raise DefinitionError(
            "a milestone is either a number of rows or a share of them",
            found=f"rows={rows}, share={share}",
            fix=right,
        )
    if rows is not None:
        _whole("rows", rows, 1, right)
    elif not isinstance(share, int | float) or not 0 < share <= 1:
        raise DefinitionError("share= is a part of one", found=repr(share), fix=right)
    _whole("sample", sample, 1, right)
    if not 0.5 <= confidence < 1:
        raise DefinitionError(
            "confidence= is from 0.5 to below 1", found=repr(confidence), fix=right
        )
    return Milestone(rows=rows, share=share, sample=sample, confidence=confidence, by=by)


def apply(
    backfill: str,
    *,
    name: str = "",
    params: Mapping[str, str] | None = None,
    workers: int | None = None,
    processes: int = 1,
    milestones: Iterable[Milestone] = (),
    until: str = "",
    restarts: int = 5,
) -> Apply:
    """Run a backfill by one worker that is kept alive: one that dies is started again.

    until: a condition over the coverage, `until="result.share >= 0.5"`: then the next stage
    begins while the worker goes on. restarts: deaths in a row without progress that are borne.
    """
    right = 'stages.apply("aboutness", workers=4)'
    told = text("the backfill of a stage", getattr(backfill, "name", backfill), right)
    _whole("processes", processes, 1, right)
    _whole("restarts", restarts, 0, right)
    if workers is not None:
        _whole("workers", workers, 1, right)
    return Apply(
        name=name or f"apply {told}",
        backfill=told,
        params={str(k): str(v) for k, v in (params or {}).items()},
        workers=workers,
        processes=processes,
        milestones=tuple(milestones),
        until=until,
        restarts=restarts,
    )


def audit(
    backfill: str,
    *,
    name: str = "",
    sample: int = 300,
    confidence: float = 0.95,
    by: str = "",
) -> AuditStage:
    """Judge a recorded random sample of what its run wrote, by the backfill's ready checks."""
    told = text(
        "the backfill of a stage", getattr(backfill, "name", backfill), 'stages.audit("aboutness")'
    )
    place = milestone(share=1.0, sample=sample, confidence=confidence, by=by)
    return AuditStage(name=name or f"audit {told}", backfill=told, milestone=place)


def files(
    *,
    name: str = "files",
    log: str = "",
    execution: str = "",
    summary: str = "",
    undo: str = "",
) -> Files:
    """Write down what the stages before it applied, under names of the team's.

    log: JSON for each backfill. execution: everything that happened, a line each. summary:
    Markdown. undo: SQL that takes the rows back without Proctor, and verifies it. `{backfill}`,
    `{run}`, `{rollout}` and `{date}` (the day on which the rollout began) may stand in names.
    """
    right = 'stages.files(log="logs/{backfill}.json", undo="rollback_{date}.sql")'
    given = {"log": log, "execution": execution, "summary": summary, "undo": undo}
    wanted = {word: file(word, path, right) for word, path in given.items() if path}
    if not wanted:
        raise DefinitionError("files= of nothing would be written", found="no name", fix=right)
    if log and not {"backfill", "run"} & holes(log):
        raise DefinitionError(
            "log= is a file for each backfill, and would be one for all",
            found=log,
            fix='log="logs/{backfill}.json"',
        )
    if len(set(wanted.values())) < len(wanted):
        raise DefinitionError(
            "two files have one name", found=", ".join(wanted.values()), fix=right
        )
    return Files(name=text("the name of a stage", name, right), **wanted)


def soak(
    name: str,
    *,
    metrics: Sequence[Metric],
    duration: timedelta,
    most: timedelta | None = None,
    seen: float = 0.5,
    report: str = "",
) -> Soak:
    """Look again and again, read-only. most: how long it may be extended while it is open.

    seen: the part of each metric's looks that must have been made, or it stays open. report: a
    Markdown file of what was seen and what it came to.
    """
    right = 'stages.soak("six hours", duration=timedelta(hours=6), metrics=[…])'
    _length("duration", duration, right)
    longest = duration if most is None else _length("most", most, right)
    if longest < duration:
        raise DefinitionError(
            "a soak cannot be shorter than it is",
            found=f"duration={duration}, most={longest}",
            fix=right,
        )
    told = _metrics(metrics, right)
    for metric in told:
        if metric.initial_delay + metric.interval > duration:
            raise DefinitionError(
                f"{metric.name} would be looked at less than twice",
                found=f"a soak of {duration}, and a look every {metric.interval}",
                fix="give it a shorter interval, or the soak a longer duration",
            )
    return Soak(
        name=text("the name of a soak", name, right),
        metrics=told,
        duration=duration,
        most=longest,
        seen=_share("seen", seen, right),
        report=file("report", report, right) if report else "",
    )


def gate(name: str, *, metrics: Sequence[Metric], within: timedelta = A_DAY) -> Gate:
    """Ask until all hold at once; where they do not `within` that time, a person decides."""
    right = 'stages.gate("quality", metrics=[…], within=timedelta(hours=8))'
    return Gate(
        name=text("the name of a gate", name, right),
        metrics=by_conditions(_metrics(metrics, right)),
        within=_length("within", within, right),
    )


def health(
    backfill: str,
    *,
    name: str = "",
    since: str = "",
    report: str = "",
    plan: str = "",
) -> HealthStage:
    """Find what still lacks its fill, and plan a run over exactly that; read-only.

    since: `"created_at=2026-01-31"`, only rows of that moment and later. report: a Markdown file.
    plan: a mini plan for `proctor run --plan`, which does nothing the second time.
    """
    right = 'stages.health("aboutness", since="created_at=2026-01-31", plan="mini.json")'
    told = text("the backfill of a stage", getattr(backfill, "name", backfill), right)
    column, equals, value = since.partition("=")
    if since and not (equals and column.strip() and value.strip()):
        raise DefinitionError("since= is COLUMN=DATE", found=repr(since), fix=right)
    return HealthStage(
        name=name or f"health {told}",
        backfill=told,
        since=since,
        report=file("report", report, right) if report else "",
        plan=file("plan", plan, right) if plan else "",
    )


def halt(
    name: str,
    *,
    look: str | Sequence[str] = (),
    approvals: int = 1,
    self_review: bool = False,
    expires: timedelta = A_DAY,
) -> Halt:
    """Wait for people. look: what they should look at, files or commands.

    approvals: how many different people. self_review: whether whoever started it is one of them.
    expires: how old an approval may be when the rollout goes on.
    """
    right = 'stages.halt("go or no-go", look=["backfill_summary.md"], approvals=1)'
    _whole("approvals", approvals, 1, right)
    return Halt(
        name=text("the name of a halt", name, right),
        look=names("look", look, right) if look else (),
        approvals=approvals,
        self_review=self_review,
        expires=_length("expires", expires, right),
    )


def activate(
    flag: str,
    *,
    name: str = "",
    steps: Sequence[int] = (5, 25, 50, 100),
    hold: timedelta = HALF_AN_HOUR,
    metrics: Sequence[Metric] = (),
    probes: Sequence[Probe] = (),
    subjects: int = 10_000,
    tolerance: float = 0.02,
    confirm: bool = False,
) -> Activate:
    """Let readers in by a flag of proctor.toml, step by step in percent.

    hold: how long each step is looked at, by `metrics`, before the next. probes: asked before
    and after, and compared. subjects: synthetic readers that are asked after each step; their
    share may differ from the step by `tolerance`. confirm: whether people are asked before each
    step after the first, on the terms of the rollout's halts.
    """
    right = 'stages.activate("NEW_SEARCH", steps=(5, 25, 50, 100), hold=timedelta(minutes=30))'
    told = tuple(steps)
    rising = all(a < b for a, b in itertools.pairwise(told))
    if not told or not all(type(s) is int and 1 <= s <= 100 for s in told) or not rising:
        raise DefinitionError("steps= are percents that rise", found=repr(steps), fix=right)
    _whole("subjects", subjects, 100, right)
    if not 0 < tolerance < 1:
        raise DefinitionError("tolerance= is a share", found=repr(tolerance), fix=right)
    flag = text("the flag of a stage", flag, right)
    return Activate(
        name=name or f"activate {flag}",
        flag=flag,
        steps=told,
        hold=_length("hold", hold, right, zero=True),
        metrics=_metrics(metrics, right, least=0),
        probes=_probes(probes, right),
        subjects=subjects,
        tolerance=tolerance,
        confirm=confirm,
    )


def step(name: str, call: Callable[..., Any]) -> Step:
    """A function of yours, given what is known of the rollout; what it returns is kept."""
    right = 'stages.step("write the summary", write_summary)'
    if not callable(call):
        raise DefinitionError("a step calls a function", found=repr(call), fix=right)
    return Step(name=text("the name of a step", name, right), call=call)


def monitor(
    file: str,
    *,
    every: timedelta = timedelta(minutes=15),
    latest: int = 500,
    metrics: Sequence[Metric] = (),
) -> Monitor:
    """Append a snapshot to a Markdown file at every interval, whatever stage it is."""
    right = 'stages.monitor("overnight-monitor.md", every=timedelta(minutes=15))'
    _whole("latest", latest, 1, right)
    return Monitor(
        file=text("the file of a monitor", file, right),
        every=_length("every", every, right),
        latest=latest,
        metrics=_metrics(metrics, right, least=0),
    )


def _probes(asked: Sequence[Probe], right: str, *, least: int = 0) -> tuple[Probe, ...]:
    told = tuple(asked)
    if len(told) < least or not all(isinstance(one, Probe) for one in told):
        raise DefinitionError(
            "probes are made by proctor.probes", found=short(repr(asked)), fix=right
        )
    _once("probe", [one.name for one in told])
    return told


def _metrics(asked: Sequence[Metric], right: str, *, least: int = 1) -> tuple[Metric, ...]:
    told = tuple(asked)
    if len(told) < least:
        raise DefinitionError("a gate without a metric would always pass", found="none", fix=right)
    if not all(isinstance(one, Metric) for one in told):
        raise DefinitionError(
            "metrics are made by proctor.metrics", found=short(repr(asked)), fix=right
        )
    _once("metric", [one.name for one in told])
    return told


def _once(what: str, said: Sequence[str]) -> None:
    twice = sorted({one for one in said if said.count(one) > 1})
    if twice:
        raise DefinitionError(
            f"two of one stage's have one name: {what} {twice[0]}",
            found=", ".join(said),
            fix="give each a name of its own",
        )


def _whole(word: str, given: Any, least: int, right: str) -> None:
    if type(given) is not int or given < least:
        raise DefinitionError(
            f"{word}= is a whole number of at least {least}", found=repr(given), fix=right
        )


def _share(word: str, given: Any, right: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= 1:
        raise DefinitionError(f"{word}= is a part of one", found=repr(given), fix=right)
    return given


def _length(word: str, given: Any, right: str, *, zero: bool = False) -> timedelta:
    if not isinstance(given, timedelta) or given < timedelta(0) or (not given and not zero):
        raise DefinitionError(f"{word}= is a length of time", found=repr(given), fix=right)
    return given


__all__ = [
    "activate",
    "apply",
    "audit",
    "files",
    "gate",
    "halt",
    "health",
    "milestone",
    "monitor",
    "precheck",
    "soak",
    "step",
]
