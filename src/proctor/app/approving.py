"""What `approve` and `reject` do: a person's word, bound to what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proctor.app.facade import App
from proctor.app.rolling import clock_of
from proctor.app.rollouts import opened_log, plan_of
from proctor.core.rolling import approved, refuse_approval, still_open
from proctor.core.rolling.approvals import GENERAL
from proctor.engine.rolling.begin import not_accepted
from proctor.engine.rolling.evidence import change, seen_of
from proctor.engine.rolling.holding import terms_of
from proctor.engine.rolling.journal import Journal
from proctor.engine.rolling.outline import files_of
from proctor.errors import Fenced, NotApproved
from proctor.model import LogEntry, Rollout
from proctor.ports import RolloutLog

TRIES = 10
"""How often a word is written again where somebody else wrote at the same time."""


async def approve(app: App, rollout: str, *, reason: str, forced: bool) -> tuple[Rollout, str]:
    """Approve what a rollout is held for; the rollout, and what is still wanting in words."""
    async with opened_log(app) as log, app.site.events.flushing():
        seen: int | None = None
        for left in reversed(range(TRIES)):
            journal = await _read(app, log, rollout)
            plan = plan_of(app, journal.rollout.name)
            halt = terms_of(plan.stages, journal.standing) if journal.standing.held else GENERAL
            now = await seen_of(journal, app.site)
            digest = now.digest
            refuse_approval(
                journal.standing,
                halt,
                who=app.site.who,
                digest=digest,
                differs=change(_parts(journal), now).told,
                forced=forced,
                reason=reason,
                now=journal.clock.now(),
            )
            _refuse_altered(journal, files_of(plan, app.config.root))
            asked = journal.standing.held
            if seen is not None and asked is not None and asked.number != seen:
                raise NotApproved(
                    "it is held for another reason now than when you approved it",
                    found=asked.why,
                    fix="look at that, then approve it",
                )
            seen = asked.number if asked is not None else None
            data = {"digest": digest, "reason": reason, "forced": forced}
            if not await _word(app, journal, "approval.given", data, last=not left):
                continue
            held = journal.standing.held
            assert held is not None  # noqa: S101 - refused above
            found = approved(held, journal.standing.approvals, halt, now=journal.clock.now())
            return journal.rollout, found.why
        raise NotApproved("the rollout does not come to rest", fix="try again")


async def reject(app: App, rollout: str, *, reason: str) -> Rollout:
    """Give a rollout up: whoever drives it steps back and ends it."""
    async with opened_log(app) as log, app.site.events.flushing():
        for left in reversed(range(TRIES)):
            journal = await _read(app, log, rollout)
            if journal.standing.ended is not None:
                shown = still_open(journal.standing)
                first = "put the flag back where it is kept, then " if shown else ""
                raise NotApproved(
                    f"rollout {journal.rollout.id} has ended",
                    found="; ".join(one for one in (journal.standing.ended.value, shown) if one),
                    fix=f"{first}undo its runs with proctor rollback RUN",
                )
            if not reason.strip():
                raise NotApproved("a rejection has a reason", found="none", fix='--reason "…"')
            if await _word(app, journal, "rollout.rejected", {"reason": reason}, last=not left):
                return journal.rollout
        raise NotApproved("the rollout does not come to rest", fix="try again")


def _refuse_altered(journal: Journal, files: Mapping[str, str]) -> None:
    """What is approved, and by whose word alone, stands in the file: as it was accepted last."""
    changed = not_accepted(journal, files)
    if changed:
        name = journal.rollout.name
        raise NotApproved(
            f"the stages of rollout {journal.rollout.id} are not what is held here",
            found=f"changed: {', '.join(changed)}",
            fix=f"put it back; or have the change accepted first: proctor rollout {name} "
            "--accept-changes",
        )


def _parts(journal: Journal) -> Mapping[str, str]:
    """What it is held for, part by part, as it was then."""
    held = journal.standing.held
    parts: Mapping[str, str] = {}
    if held is not None:
        parts = journal.entries[held.number - 1].data.get("parts", parts)
    return parts


async def _read(app: App, log: RolloutLog, rollout: str) -> Journal:
    found = await log.rollout(rollout)
    if found.env != app.env:
        raise NotApproved(
            f"rollout {found.id} belongs to environment {found.env}",
            found=f"this is environment {app.env}",
            fix=f"say --env {found.env}",
        )
    site = app.site
    journal = Journal(log=log, rollout=found, clock=site.clock, who=site.who, events=site.events)
    await journal.read()
    journal.clock = clock_of(journal, site.clock)
    return journal


async def _word(app: App, journal: Journal, kind: str, data: dict[str, Any], *, last: bool) -> bool:
    """Append it, if nothing was appended meanwhile: two people may approve at the same time."""
    entry = LogEntry(kind=kind, at=journal.clock.now(), who=app.site.who, data=data)
    try:
        journal.rollout = await journal.log.add(journal.rollout, [entry], driving=False)
    except Fenced:
        if last:
            raise
        return False
    await journal.read()
    journal.tell(journal.entries[-1])
    return True


__all__ = ["approve", "reject"]
