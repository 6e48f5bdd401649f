"""Steps that are the author's own code."""

from __future__ import annotations

import asyncio
import inspect
import json

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from proctor.engine.rolling.holding import hold
from proctor.engine.rolling.rig import Rig, Turn, wait
from proctor.model import Step

AGAIN = 5.0
"""Seconds before it is looked at again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a step of the author's is given."""

    rollout: str
    env: str
    folder: Path
    """The project's folder."""
    runs: dict[str, str]
    """The run of each backfill that was applied."""
    began: datetime
    verdicts: tuple[tuple[str, str, str], ...]
    """What was judged so far: kind, verdict and reason."""
    answers: dict[str, Any]
    """What the steps before it returned, by their names."""


async def take(rig: Rig, stage: Step) -> Turn:
    """Call it; what it returns is kept. Where it raises, a person is asked."""
    standing = rig.journal.standing
    if taken := standing.told("step.taken"):
        answer = taken[-1].data["answer"]
        return Turn(done=f"{stage.name} returned" if answer is None else str(answer)[:200])
    seen = Seen(
        rollout=rig.journal.rollout.id,
        env=rig.site.env,
        folder=rig.site.root,
        runs=dict(standing.runs),
        began=standing.began or rig.clock.now(),
        verdicts=tuple(
            (e.kind, e.data["verdict"], e.data["why"])
            for e in rig.journal.entries
            if e.kind in ("stage.judged", "audit.made")
        ),
        answers={
            e.data["name"]: e.data["answer"] for e in rig.journal.entries if e.kind == "step.taken"
        },
    )
    try:
        if inspect.iscoroutinefunction(stage.call):
            said = await stage.call(seen)
        else:
            said = await asyncio.to_thread(stage.call, seen)
        told = json.loads(json.dumps(said, default=str))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the author's own: a person looks
        await hold(
            rig, f"{stage.name} raised {type(error).__name__}", verdict="inconclusive", then="pass"
        )
        return wait(rig.clock.now(), AGAIN)
    await rig.journal.add("step.taken", stage=standing.stage, name=stage.name, answer=told)
    return wait(rig.clock.now(), 0)


__all__ = ["Seen", "take"]
