"""What runs have asked of providers, as faces show it: bills, waits, and what a plan foresaw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from proctor.engine.kit import Rest
from proctor.engine.site import Site
from proctor.engine.snapshot import Planned, Snapshot
from proctor.errors import ProctorError
from proctor.model import Account, Event, Foresight, Run, RunState

EVERY: Final = 1.0
"""Seconds between two looks into the ledger."""


@dataclass(slots=True, kw_only=True)
class Books:
    """The bills of one run, asked for at most once a second."""

    site: Site
    run: str
    accounts: tuple[Account, ...] = ()
    unknown: str = ""
    """Why they cannot be told; empty where they can."""
    asked_at: float = float("-inf")

    async def look(self, *, at_once: bool = False) -> None:
        """Ask the ledger, unless it was asked just now."""
        now = self.site.clock.monotonic()
        if not at_once and now - self.asked_at < EVERY:
            return
        self.asked_at = now
        try:
            found = await self.site.accounts([self.run])
        except ProctorError as error:
            self.unknown = error.what
            return
        self.accounts, self.unknown = tuple(found.get(self.run, ())), ""

    async def keep_looking(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            await self.look()
            await self.site.clock.sleep(EVERY)

    def on(self, seen: Snapshot, rest: Rest | None = None) -> Snapshot:
        """The snapshot with what is known of them, and what the run waits for."""
        return replace(
            seen,
            paid=self.accounts,
            paid_unknown=self.unknown,
            paid_waits=waits(self.accounts, rest) if is_asking(seen.run) else (),
        )


async def billed(site: Site, seen: Sequence[Snapshot]) -> list[Snapshot]:
    """Runs as `status` shows them, each with what it asked and waits for."""
    found: Mapping[str, Sequence[Account]] = {}
    unknown = ""
    try:
        found = await site.accounts([one.run.id for one in seen])
    except ProctorError as error:
        unknown = error.what
    told = []
    for one in seen:
        books = Books(
            site=site,
            run=one.run.id,
            accounts=tuple(found.get(one.run.id, ())),
            unknown=unknown,
        )
        told.append(books.on(one, await resting(site, one.run) if books.accounts else None))
    return told


async def resting(site: Site, run: Run) -> Rest | None:
    """The quota that a run in another process waits for, by the ledger's record."""
    if not is_asking(run):
        return None
    try:
        told = await site.events.ledger.events(run=run.id, name="quota.spent", limit=1)
    except ProctorError:
        return None
    for event in told:
        until = datetime.fromisoformat(event.data["until"])
        if event.data["waits"] and until > site.clock.now():
            return Rest(provider=event.data["provider"], until=until, why=event.data["why"])
    return None


def is_asking(run: Run) -> bool:
    """Whether somebody works on it, who may have to wait."""
    return run.state is RunState.RUNNING and not run.interrupted


def waits(accounts: Iterable[Account], rest: Rest | None) -> tuple[str, ...]:
    """What keeps questions waiting at this moment, by provider."""
    if rest is not None:
        return (rest.said,)
    return tuple(f"{one.name}: {one.spent.waits}" for one in accounts if one.spent.waits)


def on_record(foresight: Foresight | None) -> dict[str, Any] | None:
    """A plan's forecast of its paid answers, as the record keeps it."""
    if foresight is None:
        return None
    kept = foresight.usd - foresight.to_pay
    return {
        "sample": foresight.rows,
        "rows": foresight.eligible,
        "calls": sum(one.calls for one in foresight.providers),
        "usd": str(foresight.to_pay),
        "usd_low": str(max(Decimal(0), foresight.usd_low - kept)),
        "usd_high": str(max(Decimal(0), foresight.usd_high - kept)),
    }


async def planned(site: Site, run: Run, told: Iterable[Event]) -> Planned | None:
    """What was foreseen for a run: by the plan that it was approved by, else the last before it."""
    approved = [e.data.get("approved_by_plan") for e in told if e.name == "run.opened"]
    made = [
        event
        for event in await site.events.ledger.events(name="plan.made")
        if event.data.get("backfill") == run.backfill
        and event.env == run.env
        and event.data.get("foreseen")
        and event.at <= (run.started or run.created)
    ]
    named = [event for event in made if event.data.get("digest") in approved]
    if not made:
        return None
    event = (named or made)[-1]
    seen = event.data["foreseen"]
    return Planned(
        made=event.at,
        sample=seen["sample"],
        rows=seen["rows"],
        calls=seen["calls"],
        usd=Decimal(seen["usd"]),
        usd_low=Decimal(seen["usd_low"]),
        usd_high=Decimal(seen["usd_high"]),
    )


__all__ = ["Books", "billed", "is_asking", "on_record", "planned", "resting", "waits"]
