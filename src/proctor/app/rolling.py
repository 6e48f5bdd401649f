"""What the commands of rollouts do: open all that a rollout is driven with, and drive it."""

from __future__ import annotations

import asyncio
import contextlib
import json

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proctor.app.facade import App
from proctor.app.flagging import open_flag
from proctor.app.probing import Prober
from proctor.app.rollouts import (
    OF_ROWS,
    asked_once,
    foreseen,
    measure_of,
    opened_log,
    params_of,
    plan_of,
)
from proctor.core.rolling import refuse_retry, still_open, where
from proctor.engine.kit import Stop
from proctor.engine.rolling.asking import doubts, refuse_wrong
from proctor.engine.rolling.begin import (
    begin,
    not_accepted,
    origin_of,
    same_stages,
    take,
    unended,
)
from proctor.engine.rolling.driver import Left, drive
from proctor.engine.rolling.holding import terms_of
from proctor.engine.rolling.journal import Journal
from proctor.engine.rolling.outline import digest, files_of
from proctor.engine.rolling.ramping import refuse_moved
from proctor.engine.rolling.reaching import refuse_unreachable
from proctor.engine.rolling.rig import Rig
from proctor.engine.rolling.standing_rows import gone
from proctor.engine.rolling.stepback import begin_at, resume
from proctor.engine.rolling.story import RunTold, runs_of
from proctor.errors import (
    NotConfirmed,
    ProctorError,
    UsageError,
)
from proctor.model import (
    LogEntry,
    Rollout,
    RolloutPlan,
    RolloutState,
    Undone,
)
from proctor.ports import Clock, Flag, RolloutLog


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutOptions:
    """What `rollout` was asked to do, as typed."""

    speed: float = 1.0
    patient: bool = False
    retry: str = ""
    """Why the stage that is held is to be begun anew; empty where it is not."""
    accept: bool = False
    again: bool = False
    """Whether a new one begins although the latest has ended."""
    stop: Stop = field(default_factory=Stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolled:
    """How a rollout was left, with all of its log."""

    rollout: Rollout
    plan: RolloutPlan
    left: Left
    journal: Journal
    error: ProctorError | None = None
    """What ended it where it could not go on; nothing that is written is lost by that."""

    @property
    def stands(self) -> str:
        """Where it stands, also that it is stepping back, which its state does not say."""
        return where(self.left.state, self.journal.standing)

    @property
    def still_open(self) -> str:
        """At how many percent the flags stand that it has opened; empty where none is."""
        return still_open(self.journal.standing)


async def roll_out(
    app: App, name: str, options: RolloutOptions, on: Callable[[Rig], None]
) -> Rolled:
    """Begin a rollout, or go on with the one that has not ended; until it ends or is held."""
    plan, warnings = plan_of(app, name), list[str]()
    files = files_of(plan, app.config.root)
    async with opened_log(app) as log, app.site.events.flushing():
        found = await unended(log, app.env, name)
        resumed = found is not None
        if found is None:
            # Before anything is begun: what can never pass is not worth a night.
            await _refuse_again(app, log, name, options)
            warnings = await _answerable(app, plan)
            facts = {"backfills": _codes(app, plan)}
            found = await begin(app.site, log, plan, files, speed=_speed(app, options), facts=facts)
        journal = await take(app.site, log, found, app.site.clock)
        try:
            journal.clock = clock_of(journal, app.site.clock)
            if resumed:
                refuse_speed(journal, options)
            known = len(journal.entries) if resumed else 0
            if options.retry:
                halt = terms_of(plan.stages, journal.standing)
                altered = not_accepted(journal, files)
                refuse_retry(journal.standing, halt, who=journal.who, altered=altered)
            if resumed and _asks_anew(journal, files, options):
                stage = journal.standing.stage
                warnings = await _answerable(app, plan, stage, provable=options.accept)
            await same_stages(journal, plan, files, accept=options.accept)
            async with _rig(app, plan, journal, options) as rig:
                rig.carry["known"] = known
                for (
                    one
                ) in warnings:  # on record: who reads of the night in the morning saw no screen
                    await journal.add("metric.doubted", why=one)
                if options.retry and journal.standing.held is not None:
                    await retry(rig, options.retry)
                elif resumed and journal.standing.stepping_back and journal.standing.held:
                    await resume(rig)  # typed again: somebody has looked at why it failed
                left, error = await _driven(rig, on)
        finally:
            await log.release(journal.rollout)
        return Rolled(rollout=journal.rollout, plan=plan, left=left, journal=journal, error=error)


async def _answerable(
    app: App, plan: RolloutPlan, first: int = 0, *, provable: bool = True
) -> list[str]:
    """What its metrics do not say now.

    Unmeasured where one could never say it, TooLittleData where it could never prove it.
    """
    found = await asked_once(app, plan, first=first)
    refuse_wrong(plan, found)
    if provable:
        refuse_unreachable(plan, await foreseen(app, plan, first=first))
    return doubts(found)


def _asks_anew(journal: Journal, files: Mapping[str, str], options: RolloutOptions) -> bool:
    """Whether it goes on with metrics that nobody has asked yet, or that were in the way."""
    standing = journal.standing
    if standing.rejected is not None or standing.stepping_back is not None:
        return False  # nothing is in the way of taking back
    changed = standing.definition != digest(files)
    return options.accept if changed else bool(options.retry)


async def _driven(rig: Rig, on: Callable[[Rig], None]) -> tuple[Left, ProctorError | None]:
    """Drive it; also an error that ends it is told in a report."""
    try:
        return await drive(rig, on), None
    except ProctorError as error:
        return Left(state=rig.journal.rollout.state, why=str(error)), error


async def _refuse_again(app: App, log: RolloutLog, name: str, options: RolloutOptions) -> None:
    """The same words typed once more begin nothing: neither what was given up nor what is done."""
    last = next((one for one in await log.rollouts(app.env) if one.name == name), None)
    if last is not None and last.state.ended and not options.again:
        through = last.state is RolloutState.ACTIVE
        raise NotConfirmed(
            f"the latest rollout of {name} {'is through' if through else 'was given up'}",
            found=f"{last.id} is {last.state.value}",
            fix=f"look at its report; to begin a new one: proctor rollout {name} --again",
        )


def refuse_speed(journal: Journal, options: RolloutOptions) -> None:
    """UsageError where another speed is asked for than a rollout was begun with."""
    _, speed = origin_of(journal.entries)
    if options.speed not in (1.0, speed):
        raise UsageError(
            "the clock of a rollout keeps the speed that it was begun with",
            found=f"--speed {options.speed:g}, and {journal.rollout.id} runs at {speed:g}",
            fix="leave --speed out",
        )


async def retry(rig: Rig, reason: str) -> None:
    """Begin the stage that is held anew; what it found until now stays on record."""
    held = rig.journal.standing.held
    assert held is not None  # noqa: S101 - the caller has looked
    stage = begin_at(rig, held.stage)
    await refuse_moved(rig, stage)
    anew = ("stage.retried", {"stage": stage, "why": reason, "was": held.why})
    await rig.journal.add_all([*await gone(rig, stage), anew])


def _speed(app: App, options: RolloutOptions) -> float:
    if options.speed != 1.0 and app.site.protected:
        raise UsageError(
            f"the clock of a rollout is real time in {app.env}",
            found=f"--speed {options.speed:g}, and the environment is protected",
            fix="leave --speed out",
        )
    return options.speed


def clock_of(journal: Journal, real: Clock) -> Clock:
    """The rollout's own clock: faster where it was begun so, for whoever takes it over too."""
    origin, speed = origin_of(journal.entries)
    return real if speed == 1.0 else real.faster(origin, speed)


def _codes(app: App, plan: RolloutPlan) -> dict[str, str]:
    names = {s.backfill for s in plan.stages if isinstance(s, OF_ROWS)}
    return {name: app.code_of(app.backfill(name)) for name in sorted(names)}


@contextlib.asynccontextmanager
async def _rig(
    app: App, plan: RolloutPlan, journal: Journal, options: RolloutOptions
) -> AsyncIterator[Rig]:
    """All that it is driven with, given back at the end."""
    from proctor.adapters.conditions import SimpleConditions
    from proctor.adapters.crew import ChildCrew
    from proctor.adapters.statistics import ExactStatistics

    config, env = app.config, app.config.env(app.env)
    folder = env.reports / journal.rollout.id
    with contextlib.suppress(OSError):  # whoever writes there says so, and a flag is closed first
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    crew = ChildCrew(config.root, folder, ["--config", str(config.path), "--env", app.env])

    async def flag(name: str) -> Flag:
        return open_flag(config, name, rollout=journal.rollout.id)

    async def run_plan(name: str, given: Mapping[str, str], path: Path) -> tuple[str, str]:
        return await _planned(app, crew, name, given, path)

    rig = Rig(
        site=app.site,
        plan=plan,
        backfills=app.backfills,
        journal=journal,
        clock=journal.clock,
        measure=measure_of(app, plan),
        condition=SimpleConditions().holds,
        outside=Prober(app=app).outside,
        statistics=ExactStatistics(),
        flag=flag,
        crew=crew,
        folder=folder,
        run_plan=run_plan,
        undo=app.rollback_script,
        stop=options.stop,
        params=params_of(plan),
        patient=options.patient,
    )
    try:
        yield rig
    finally:
        for opened in rig.flags.values():
            await opened.aclose()


async def runs_told(app: App, entries: Sequence[LogEntry]) -> list[RunTold]:
    """Every run of a rollout as it is now, also one that was rolled back since, by whomever."""
    found = []
    for run, back in runs_of(entries).items():
        (seen,) = await app.status(run)
        chunks = await app.site.store.chunks(run)
        undone = sum((c.taken_back for c in chunks), Undone())
        found.append(RunTold(seen=seen, undone=undone, back=back))
    return found


async def _planned(
    app: App, crew: Any, name: str, params: Mapping[str, str], path: Path
) -> tuple[str, str]:
    """The plan of a run, by the command that a person would type."""
    words = ["plan", name, "--out", str(path)]
    for key, value in params.items():
        words += ["--param", f"{key}={value}"]
    hand = crew.start(words, log=f"plan-{name}.log")
    while hand.ended() is None:
        await app.site.clock.sleep(0.1)
    if hand.ended():
        raise UsageError(
            f"the plan of {name} could not be made", found=hand.said()[-400:], fix="mend that"
        )
    found = json.loads(await asyncio.to_thread(path.read_text, encoding="utf-8"))
    rows = found["survey"]["eligible"]
    return str(found["digest"]), f"{rows:,} rows, digest {found['digest'][:12]}"


__all__ = [
    "Rolled",
    "RolloutOptions",
    "clock_of",
    "retry",
    "roll_out",
    "runs_told",
]
