"""Begin a rollout, or take one over: who drives it, and whether it is still what was begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from proctor.core.rolling import Standing, same_person
from proctor.engine.changed import differing
from proctor.engine.rolling.altered import in_words, weakened
from proctor.engine.rolling.driver import LEASE
from proctor.engine.rolling.journal import Journal
from proctor.engine.rolling.outline import digest, outline
from proctor.engine.site import Site, holder, is_dead, new_id
from proctor.errors import NotApproved, PlanVoid
from proctor.model import LogEntry, Rollout, RolloutPlan, RolloutState
from proctor.ports import Clock, RolloutLog


async def unended(log: RolloutLog, env: str, name: str) -> Rollout | None:
    """The one of that name that has not ended."""
    return next(
        (one for one in await log.rollouts(env) if one.name == name and not one.state.ended), None
    )


async def begin(
    site: Site,
    log: RolloutLog,
    plan: RolloutPlan,
    files: Mapping[str, str],
    *,
    speed: float,
    facts: Mapping[str, Any],
) -> Rollout:
    """A new rollout, with its stages as they are now on record."""
    now = site.clock.now()
    entry = LogEntry(
        kind="rollout.began",
        at=now,
        who=site.who,
        data={
            "name": plan.name,
            "digest": digest(files),
            "files": dict(files),
            "outline": outline(plan),
            "speed": speed,
            "origin": now.isoformat(),
            **facts,
        },
    )
    rollout = Rollout(
        id=f"r{new_id(now)}",
        name=plan.name,
        env=site.env,
        state=RolloutState.PLANNED,
        number=1,
        epoch=0,
        holder=None,
        beat=now,
        created=now,
    )
    begun = await log.begin(rollout, [entry])
    site.events.emit(
        "rollout.began",
        rollout=begun.id,
        of=plan.name,
        digest=digest(files),
        speed=speed,
        stages=[stage.name for stage in plan.stages],
    )
    return begun


async def take(site: Site, log: RolloutLog, rollout: Rollout, clock: Clock) -> Journal:
    """Drive it from now on. RunActive where a process that lives does so already."""
    dead = rollout.holder is not None and is_dead(rollout.holder)
    taken = await log.take(rollout.id, holder(site.who), lease_for=LEASE, dead=dead)
    journal = Journal(log=log, rollout=taken, clock=clock, who=site.who, events=site.events)
    await journal.read()
    return journal


async def same_stages(
    journal: Journal, plan: RolloutPlan, files: Mapping[str, str], *, accept: bool
) -> None:
    """PlanVoid where the stages are not what they were, unless that is accepted, on record.

    What was judged until then was judged by the old ones: the stage in hand begins anew. Those
    that are passed stay what and where they were, for the log knows stages by their place. One
    that was rejected is closed whatever its file says by now.
    """
    now, standing = digest(files), journal.standing
    if standing.definition == now or standing.rejected is not None:
        return
    latest, changed = _definitions(journal), not_accepted(journal, files)
    if not accept:
        when = "it began" if len(latest) == 1 else "its change was accepted"
        raise PlanVoid(
            f"rollout {journal.rollout.id} is not what it was when {when}",
            found=f"changed: {', '.join(changed)}",
            fix="put it back; or go on with what it is now, on record: --accept-changes",
        )
    stages = outline(plan)
    was, new = [[(one["what"], one["name"]) for one in few] for few in (_outline(latest), stages)]
    reached = min(standing.stage + 1, len(was))  # the one in hand, too: it may be held
    if was[:reached] != new[:reached]:
        raise PlanVoid(
            f"what rollout {journal.rollout.id} has been through cannot be changed",
            found=f"now: {', '.join(name for _, name in new)}",
            fix=f"put back, in this order: {', '.join(name for _, name in was[:reached])}; or give "
            "it up with `proctor reject`, and begin anew",
        )
    weaker = weakened(_outline(latest), stages)
    if weaker and same_person(journal.who, standing.by):
        raise NotApproved(
            "who started a rollout does not make its halts weaker",
            found=f"{journal.who} started it, and {'; '.join(weaker)}",
            fix="let somebody else accept that; or put it back; or give it up with `proctor "
            "reject`, and begin anew with --again",
        )
    change = {
        "digest": now,
        "was": latest[-1].data["digest"],
        "files": dict(files),
        "changed": list(changed),
        "why": "; ".join(in_words(_outline(latest), stages) or changed),
        "outline": stages,
    }
    told: list[tuple[str, dict[str, Any]]] = [("rollout.changed", change)]
    if _open(standing):
        if standing.failed:
            raise NotApproved(
                "what failed is not measured again by other rules",
                found=f"changed: {change['why']}",
                fix="put the file back; or reject the rollout, and begin anew with --again",
            )
        why = "its stages were changed"
        told.append(("stage.retried", {"stage": standing.stage, "why": why, "was": ""}))
    await journal.add_all(told)


def _open(standing: Standing) -> bool:
    """Whether something is being measured: by what the stages say now. Not a halt, nor a fail."""
    if standing.stepping_back is not None:
        return False
    held = standing.held
    return standing.entered is not None if held is None else held.verdict == "inconclusive"


def not_accepted(journal: Journal, files: Mapping[str, str]) -> list[str]:
    """What differs now from what it was when it began, or was accepted since, by name."""
    return differing(_definitions(journal)[-1].data["files"], files)


def _definitions(journal: Journal) -> list[LogEntry]:
    return [e for e in journal.entries if e.kind in ("rollout.began", "rollout.changed")]


def _outline(changes: Sequence[LogEntry]) -> list[dict[str, Any]]:
    """The stages as they were when it began, or were accepted since."""
    return next(list(e.data["outline"]) for e in reversed(changes) if "outline" in e.data)


def unattended(rollout: Rollout, standing: Standing, now: datetime) -> datetime | None:
    """Since when nobody drives one that has not ended; None where somebody does.

    One that is held has been left to people: nobody need drive it. `now` is the log's.
    """
    if rollout.state.ended:
        return None
    if rollout.holder is None:
        held, word = standing.held, standing.rejected
        left = held is not None and (word is None or word.number < held.number)
        return None if left else rollout.beat
    gone = is_dead(rollout.holder) or now - rollout.beat > LEASE
    return rollout.beat if gone else None


def stages_of(entries: Sequence[LogEntry]) -> list[dict[str, Any]]:
    """The stages as they were when it began."""
    return list(entries[0].data["outline"])


def origin_of(entries: Sequence[LogEntry]) -> tuple[datetime, float]:
    """When its clock began, and how fast that runs."""
    data = entries[0].data
    return datetime.fromisoformat(data["origin"]), float(data["speed"])


__all__ = [
    "begin",
    "not_accepted",
    "origin_of",
    "same_stages",
    "stages_of",
    "take",
    "unattended",
    "unended",
]
