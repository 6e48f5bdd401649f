"""Health as a stage: what still lacks its fill, told in a report and planned in a file."""

from __future__ import annotations

import asyncio
import json

from typing import Any

from proctor.engine.rolling.filing import named
from proctor.engine.rolling.holding import hold
from proctor.engine.rolling.rig import Rig, Turn, rest, wait
from proctor.engine.show import plural
from proctor.model import HealthStage

LOOK = 1.0
"""Seconds between two looks at the process that looks."""
AGAIN = 5.0


async def examined(rig: Rig, stage: HealthStage) -> Turn:
    """The stage: by the command that a person would type, in a process of its own; read-only.

    Rows that lack their fill are what it is there to find: it is passed with their number, and
    the halt behind it asks people what to do. Where nothing can count them it is held.
    """
    standing = rig.journal.standing
    key = f"health {standing.stage}"
    log = f"health-{standing.stage + 1}.log"
    hand = rig.hands.get(key)
    if hand is None:
        (rig.folder / log).unlink(missing_ok=True)
        if stage.plan:  # one of an earlier look must not be taken for today's
            (rig.site.root / named(rig, stage.plan)).unlink(missing_ok=True)
        rig.hands[key] = rig.crew.start(_words(rig, stage), log=log)
        return rest(rig, LOOK)
    if hand.ended() is None:
        return rest(rig, LOOK)
    rig.hands.pop(key)
    text = await asyncio.to_thread((rig.folder / log).read_text, encoding="utf-8")
    found = _document(text)
    if hand.ended() not in (0, 1) or found is None:
        why = f"the health of {stage.backfill} cannot be examined: {text.strip()[-300:]}"
        await hold(rig, why, verdict="inconclusive", look=[log])
        return wait(rig.clock.now(), AGAIN)
    said = {
        "stage": standing.stage,
        "backfill": stage.backfill,
        "verdict": found["verdict"],
        "why": found["reason"],
        **{name: found[name] for name in ("lacking", "reasons", "keys")},
    }
    about = (("health.examined", said),)
    if found["verdict"] == "inconclusive":
        why = f"health of {stage.backfill}: {found['reason']}"
        await hold(rig, why, verdict="inconclusive", look=[log], about=about)
        return wait(rig.clock.now(), AGAIN)
    planned = f"; {named(rig, stage.plan)} plans {plural(found['keys'], 'row')}"
    done = found["reason"] + (planned if stage.plan and found["keys"] else "")
    return Turn(done=done, about=about)


def _words(rig: Rig, stage: HealthStage) -> list[str]:
    words = ["health", stage.backfill, "--json"]
    params = rig.params.get(stage.backfill, {})
    for name, value in params.items():
        words += ["--param", f"{name}={value}"]
    for option, said in (("--report", stage.report), ("--out", stage.plan)):
        if said:
            words += [option, named(rig, said)]
    return [*words, "--since", stage.since] if stage.since else words


def _document(text: str) -> dict[str, Any] | None:
    """The JSON document among what a command said."""
    lines = text.splitlines(keepends=True)
    for place, line in enumerate(lines):
        if line.startswith("{"):
            try:
                found, _ = json.JSONDecoder().raw_decode("".join(lines[place:]))
            except ValueError:
                continue
            return found if "verdict" in found else None
    return None


__all__ = ["examined"]
