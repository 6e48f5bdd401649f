"""Looks at a run's own numbers while it goes on, and raises the alerts of proctor.toml."""

from __future__ import annotations

import logging

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from proctor.engine.show import plural, shown_key
from proctor.errors import ProctorError
from proctor.model import AlertRules, ChunkState, Run, ShareAlert
from proctor.model.keytext import key_text

if TYPE_CHECKING:
    from proctor.engine.kit import Kit

LOOK_EVERY: Final = 30.0
"""Seconds between two looks."""

log = logging.getLogger("proctor")


@dataclass(slots=True)
class Alarms:
    """The alerts of one process and run; each is raised once."""

    rules: AlertRules = field(default_factory=AlertRules)
    raised: set[str] = field(default_factory=set)
    since: dict[tuple[int, int], datetime] = field(default_factory=dict)
    """Since when a chunk is seen claimed under that fence."""

    async def keep_looking(self, kit: Kit) -> None:
        """For as long as the run goes on; at once over where nothing is asked for."""
        while self.rules.any:
            await kit.clock.sleep(LOOK_EVERY)
            await self.look(kit, kit.run)

    async def look(self, kit: Kit, run: Run, *, ended: bool = False) -> None:
        """Once. It watches and never harms: what cannot be had now is looked at next time."""
        if not self.rules.any:
            return
        try:
            self._failed(kit, run)
            self._coverage(kit, run)
            if not ended:
                await self._stuck(kit)
            await self._shares(kit)
        except ProctorError as error:
            log.warning("the alerts of a run are not known now", extra=_extra(run, str(error)))
        except Exception as error:  # noqa: BLE001 - it only watches
            log.warning("the alerts of a run failed", extra=_extra(run, type(error).__name__))

    def _failed(self, kit: Kit, run: Run) -> None:
        failed, most = max(run.outcome.failed, kit.seen.failed), self.rules.failed
        if most is not None and failed > most:
            noun = "unit" if kit.spec.attempts else "row"
            why = f"{plural(failed, noun)} failed, and {most:,} may"
            self._raise(kit, "failed", why, value=failed, limit=most)

    def _coverage(self, kit: Kit, run: Run) -> None:
        """Of a run that has counted what it left."""
        wanted, still = self.rules.coverage, run.still_eligible
        if wanted is None or still is None or not run.span.whole:
            return
        left = sum(still.values())
        done = run.outcome.written + run.outcome.unchanged
        if not done + left:
            return
        share = done / (done + left)
        if share < wanted:
            why = f"{share:.1%} of {done + left:,} is done, and it should be {wanted:.1%}"
            self._raise(kit, "coverage", why, value=round(share, 4), limit=wanted)

    async def _stuck(self, kit: Kit) -> None:
        after = self.rules.stuck_after
        if after is None or kit.rest is not None or kit.in_batch():
            self.since = {}  # a quota, or a vendor's batch call, may take a day
            return
        now = kit.clock.now()
        chunks = await kit.store.chunks(kit.run.id)
        claimed = {(c.chunk.number, c.fence): c for c in chunks if c.state is ChunkState.CLAIMED}
        self.since = {place: self.since.get(place, now) for place in claimed}
        late = [place for place, since in self.since.items() if now - since > after]
        if not late:
            return
        first = claimed[min(late, key=lambda place: self.since[place])]
        lasts = now - self.since[first.chunk.number, first.fence]
        what = f"chunk {first.chunk.number}"
        if kit.spec.alone:
            key = (first.chunk.keys or (first.chunk.upto,))[0]
            what = f"unit {key_text(shown_key(key, kit.spec))}"
        also = f", and {plural(len(late) - 1, 'other')}" if len(late) > 1 else ""
        why = (
            f"{what}{also} is being worked on for {lasts.total_seconds() / 60:,.0f} min by "
            f"{first.worker}; end that process, and it is tried again once its lease runs out"
        )
        minutes = round(lasts.total_seconds() / 60, 1)
        self._raise(kit, "stuck", why, value=minutes, limit=after.total_seconds() / 60)

    async def _shares(self, kit: Kit) -> None:
        if not self.rules.shares or not kit.spec.attempts:
            return
        units = [u for u in await kit.store.units(kit.run.id) if u.run == kit.run.id]
        for rule in self.rules.shares:
            of = sum(_number(u.metrics.get(rule.of)) for u in units)
            among = sum(_number(u.metrics.get(rule.among)) for u in units)
            if among >= rule.min_samples and of < rule.below * among:
                self._raise(
                    kit, rule.name, _share(rule, of, among), value=of / among, limit=rule.below
                )

    def _raise(self, kit: Kit, alert: str, why: str, *, value: float, limit: float) -> None:
        if alert in self.raised:
            return
        self.raised.add(alert)
        kit.events.emit(
            "alert.raised",
            kit.run.id,
            backfill=kit.run.backfill,
            alert=alert,
            why=why,
            value=value,
            limit=limit,
        )


def _share(rule: ShareAlert, of: float, among: float) -> str:
    return f"{rule.of} {of:,g} of {rule.among} {among:,g}: {of / among:.0%}, below {rule.below:.0%}"


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def _extra(run: Run, why: str) -> dict[str, object]:
    return {"proctor": {"run": run.id, "why": why}}


__all__ = ["Alarms"]
