"""The rollouts that are defined: what each would do, what it can prove, and where it stands."""

from __future__ import annotations

import contextlib
import os

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from proctor.app.facade import App
from proctor.app.flagging import open_flag
from proctor.app.probing import Prober
from proctor.authoring import load_rollouts
from proctor.config.environ import fill
from proctor.core.rolling import Standing, fold, where, why
from proctor.engine.measuring import Gauge
from proctor.engine.rolling.asking import Asked, ask_each, refuse_wrong
from proctor.engine.rolling.begin import unattended, unended
from proctor.engine.rolling.outline import outline
from proctor.engine.rolling.probing import figures_of
from proctor.engine.rolling.reaching import Foreseen, foresee, refuse_unreachable
from proctor.engine.rolling.rig import Measure
from proctor.engine.rolling.trying import Tried, rehearsed
from proctor.engine.snapshot import Finding
from proctor.errors import (
    ConfigError,
    ProctorError,
    TooLittleData,
    Unmeasured,
    UsageError,
)
from proctor.model import (
    Activate,
    Apply,
    AuditStage,
    Figures,
    HealthStage,
    LogEntry,
    Metric,
    Precheck,
    ProbeKind,
    Rollout,
    RolloutPlan,
    Soak,
)
from proctor.ports import RolloutLog

OF_ROWS = Apply | AuditStage | HealthStage
"""Stages that are about a backfill."""


def plans(app: App) -> Mapping[str, RolloutPlan]:
    """Every rollout by name. Raises ConfigError where one names what there is not."""
    config = app.config
    found = load_rollouts(config.rollouts or config.backfills, config.root)
    for plan in found.values():
        for stage in plan.stages:
            if isinstance(stage, OF_ROWS) and stage.backfill not in app.backfills:
                raise ConfigError(
                    f"rollout {plan.name} names a backfill that there is none of",
                    found=f"{stage.backfill}; defined: {', '.join(sorted(app.backfills))}",
                    fix="name one of those, or define it in a module of proctor.toml",
                )
            for flag in _flags_of(stage):
                if flag not in config.flags:
                    raise ConfigError(
                        f"rollout {plan.name} writes a flag that proctor.toml does not name",
                        found=f"{flag}; there are {', '.join(config.flags) or 'none'}",
                        fix=f'[flags.{flag}] kind = "sql", …; see docs/flags.md',
                    )
    return found


def _flags_of(stage: Any) -> list[str]:
    flags = [stage.flag] if isinstance(stage, Activate) else []
    if isinstance(stage, Precheck | Activate):
        flags += [p.of[0] for p in stage.probes if p.kind is ProbeKind.FLAG]
    return flags


def findings(app: App) -> list[Finding]:
    """Whether the rollouts of the project can be read, and name what there is."""
    try:
        found = plans(app)
    except ProctorError as error:
        detail = f"{error.what}: {error.found}" if error.found else error.what
        return [Finding(subject="rollouts", ok=False, detail=detail, fix=error.fix)]
    names = ", ".join(found)
    return [Finding(subject="rollouts", ok=True, detail=names)] if found else []


def plan_of(app: App, name: str) -> RolloutPlan:
    """The rollout of that name; UsageError lists those there are."""
    found = plans(app)
    if name not in found:
        raise UsageError(
            f"there is no rollout named {name}",
            found=f"defined: {', '.join(found) or 'none'}",
            fix='define one with proctor.rollout, in a module of rollouts = ["…"] in proctor.toml',
        )
    return found[name]


@contextlib.asynccontextmanager
async def opened_log(app: App) -> AsyncIterator[RolloutLog]:
    """The log of rollouts in the environment's ledger."""
    from proctor.adapters.ledger.rollouts import SqlRolloutLog

    url = app.config.env(app.env).ledger.reveal()
    if url.startswith("memory:"):
        raise ConfigError(
            "a rollout needs a ledger that outlives its process",
            found="memory://",
            fix='ledger = "sqlite:///.proctor/ledger.db" in proctor.toml',
        )
    log = await SqlRolloutLog.open(url, redact=app.config.redact)
    try:
        yield log
    finally:
        await log.aclose()


async def known(app: App) -> list[dict[str, Any]]:
    """Every rollout that is defined, and where its latest one stands."""
    found = plans(app)
    async with opened_log(app) as log:
        latest = {one.name: one for one in reversed(await log.rollouts(app.env))}
        stands = {name: await _stands(log, one) for name, one in latest.items()}
    return [
        {
            "name": name,
            "doc": plan.doc,
            "stages": len(plan.stages),
            "latest": latest[name].id if name in latest else "",
            "state": latest[name].state.value if name in latest else "",
            **stands.get(name, NEVER),
        }
        for name, plan in found.items()
    ]


def _refused(plan: RolloutPlan, asked: Sequence[Asked], reach: Sequence[Foreseen]) -> str:
    """Why it would not begin now; empty where it would."""
    try:
        refuse_wrong(plan, asked)
        refuse_unreachable(plan, reach)
    except (Unmeasured, TooLittleData) as error:
        return error.what
    return ""


NEVER: Final = {"where": "", "why": "", "rejected": "", "undriven": ""}


async def _stands(log: RolloutLog, one: Rollout) -> dict[str, str]:
    """Where it stands in words, and since when nobody drives it."""
    if one.state.ended:
        return NEVER | {"where": one.state.value.replace("_", " ")}
    standing = fold(await log.entries(one.id))
    now = await log.now()
    since = unattended(one, standing, now)
    form = "%H:%M" if since is not None and since.date() == now.date() else "%Y-%m-%d %H:%M"
    return {
        "where": where(one.state, standing),
        "why": why(standing),
        "rejected": standing.rejection,
        "undriven": f"nobody drives it since {since.strftime(form)} UTC" if since else "",
    }


async def shown_plan(app: App, name: str) -> dict[str, Any]:
    """What a rollout would do, what there is to know before it begins, and where it stands."""
    plan = plan_of(app, name)
    async with opened_log(app) as log:
        found = await unended(log, app.env, name)
        entries = await log.entries(found.id) if found else []
        stands = await _stands(log, found) if found else NEVER
    standing = fold(entries)
    place = standing.stage
    asked, reach = await asked_once(app, plan), await foreseen(app, plan)
    return {
        "name": plan.name,
        "doc": plan.doc,
        "stages": outline(plan),
        "on_fail": plan.on_fail.value,
        "stage": plan.stages[place].name if found and place < len(plan.stages) else "",
        "held": standing.why_held,
        "type": _typed(name, standing, entries),
        "warnings": await warnings_of(app, plan),
        "reach": reach,
        "asked": asked,
        "refused": _refused(plan, asked, reach),
        "under_way": found.id if found else "",
        "state": found.state.value if found else "",
        **stands,
    }


def _typed(name: str, standing: Standing, entries: Sequence[LogEntry]) -> list[str]:
    """What opens the way where it is held: nothing but to end it, where it was rejected."""
    if standing.held is None:
        return []
    if standing.rejected is not None and standing.stepping_back is None:
        return [f"proctor rollout {name}"]
    return list(entries[standing.held.number - 1].data["type"])


async def asked_once(app: App, plan: RolloutPlan, *, first: int = 0) -> list[Asked]:
    """Each metric asked now: a typing error is found before a night is spent on it."""
    from proctor.adapters.conditions import SimpleConditions

    if not any(getattr(one, "metrics", ()) for one in (*plan.stages, plan.monitor)):
        return []
    holds, now = SimpleConditions().holds, app.site.clock.now()
    return await ask_each(plan, measure_of(app, plan), holds, now=now, first=first)


async def foreseen(app: App, plan: RolloutPlan, *, first: int = 0) -> list[Foreseen]:
    """Of each soak and hold that compares with a baseline, what it will be able to prove."""
    if not any(isinstance(stage, Soak | Activate) and stage.metrics for stage in plan.stages):
        return []
    from proctor.adapters.statistics import ExactStatistics

    measure, now = measure_of(app, plan), app.site.clock.now()
    return await foresee(plan, measure, ExactStatistics(), now=now, first=first)


async def rehearse(app: App, name: str) -> list[Tried]:
    """How the soaks of a rollout would have ruled at times before; writes nothing."""
    from proctor.adapters.conditions import SimpleConditions
    from proctor.adapters.statistics import ExactStatistics

    return await rehearsed(
        plan_of(app, name),
        measure_of(app, plan_of(app, name)),
        ExactStatistics(),
        SimpleConditions().holds,
        now=app.site.clock.now(),
    )


def measure_of(app: App, plan: RolloutPlan) -> Measure:
    """Whoever answers what a metric asks."""
    from proctor.adapters.metrics import OutsideMeter

    meter = OutsideMeter(lambda text: fill(text, os.environ, "a metric"))
    prober = Prober(app=app)

    async def probe(name: str) -> Figures:
        return await figures_of(prober, plan, name)

    gauge = Gauge(
        site=app.site,
        meter=meter,
        backfills=app.backfills,
        params=params_of(plan),
        probe=probe,
    )

    async def measure(metric: Metric, since: Any, until: Any, before: Figures | None) -> Figures:
        return await gauge.measure(metric, since=since, until=until, before=before)

    return measure


def params_of(plan: RolloutPlan) -> dict[str, dict[str, str]]:
    """The parameters of the backfills that it applies, by their names."""
    return {s.backfill: dict(s.params) for s in plan.stages if isinstance(s, Apply)}


async def warnings_of(app: App, plan: RolloutPlan) -> list[str]:
    """What its flags cannot do, in words."""
    said = []
    for stage in plan.stages:
        if not isinstance(stage, Activate):
            continue
        flag = open_flag(app.config, stage.flag)
        try:
            powers = flag.powers
        finally:
            await flag.aclose()
        if powers.needs_redeploy:
            said.append(
                f"{stage.flag} takes effect when the application is deployed again: to step back "
                "takes as long as a deploy"
            )
        if not powers.percent and stage.steps != (100,):
            said.append(f"{stage.flag} is on or off: its steps cannot be {stage.steps}")
        if not powers.observable:
            said.append(f"{stage.flag} cannot be read as readers see it: no step is observed")
    return said


__all__ = [
    "OF_ROWS",
    "asked_once",
    "findings",
    "foreseen",
    "known",
    "measure_of",
    "opened_log",
    "params_of",
    "plan_of",
    "plans",
    "rehearse",
    "shown_plan",
    "warnings_of",
]
