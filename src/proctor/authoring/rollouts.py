"""A rollout as its author defines it, and those that exist."""

from __future__ import annotations

import inspect

from datetime import timedelta
from typing import Any

from proctor.authoring.given import short, text
from proctor.authoring.registry import ROLLOUTS
from proctor.errors import DefinitionError
from proctor.model import (
    Activate,
    Apply,
    AuditStage,
    Files,
    Gate,
    Halt,
    HealthStage,
    Monitor,
    OnFail,
    Precheck,
    RolloutPlan,
    Soak,
    Stage,
    Step,
)

KINDS = (Activate, Apply, AuditStage, Files, Gate, Halt, HealthStage, Precheck, Soak, Step)


def rollout(
    name: str,
    *stages: Stage,
    monitor: Monitor | None = None,
    on_fail: str = "pause",
    within: timedelta | None = None,
) -> RolloutPlan:
    """Define a rollout: its stages in order, and what is taken back where one fails.

    on_fail: `flag` (readers see the old data again), `pause` (and the run is paused) or `rows`
    (and its rows are rolled back). within: how long the whole may take before a person decides.
    Raises DefinitionError.
    """
    right = 'rollout("overnight", stages.apply("aboutness"), stages.halt("go or no-go"))'
    text("the name of a rollout", name, right)
    if not stages or not all(isinstance(one, KINDS) for one in stages):
        wrong: Any = next((one for one in stages if not isinstance(one, KINDS)), "no stage")
        raise DefinitionError(
            f"the stages of rollout {name} are made by proctor.stages",
            found=short(repr(wrong)),
            fix=right,
        )
    said = [one.name for one in stages]
    twice = sorted({one for one in said if said.count(one) > 1})
    if twice:
        raise DefinitionError(
            f"two stages of rollout {name} are called {twice[0]}",
            found=", ".join(said),
            fix=f'give each a name of its own: name="{twice[0]} again"',
        )
    if on_fail not in set(OnFail):
        raise DefinitionError(
            "on_fail= is one of flag, pause, rows", found=repr(on_fail), fix='on_fail="pause"'
        )
    if within is not None and (not isinstance(within, timedelta) or within <= timedelta(0)):
        raise DefinitionError(
            "within= is a length of time", found=repr(within), fix="within=timedelta(hours=12)"
        )
    frame = inspect.stack(0)[1].frame
    made = RolloutPlan(
        name=name,
        doc=str(frame.f_globals.get("__doc__") or "").strip().partition("\n")[0],
        stages=tuple(stages),
        monitor=monitor,
        on_fail=OnFail(on_fail),
        within=within,
        module=str(frame.f_globals.get("__name__", "")),
        file=str(frame.f_globals.get("__file__", "")),
    )
    _register(made)
    return made


def _register(made: RolloutPlan) -> None:
    other = ROLLOUTS.get(made.name)
    if other is not None and (other.module, other.file) != (made.module, made.file):
        raise DefinitionError(
            f"two rollouts are called {made.name}",
            found=f"in the modules {other.module} and {made.module}",
            fix="give one of them another name",
        )
    ROLLOUTS[made.name] = made


__all__ = ["rollout"]
