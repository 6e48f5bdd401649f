"""A slice of work in another process: it is given names and resolves them where it runs."""

from __future__ import annotations

import asyncio
import os

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from proctor.config import Config, load
from proctor.engine.heart import beating
from proctor.engine.kit import Kit
from proctor.engine.paid import let_ask
from proctor.engine.site import dice
from proctor.engine.spread import SLICE_SECONDS
from proctor.engine.worker import Tally, work
from proctor.errors import Fenced, PlanVoid
from proctor.model import Outcome, Reparse
from proctor.ports import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceNames:
    """Everything that a slice is told; no DSN and no key is among it."""

    config: str
    env: str
    backfill: str
    run: str
    epoch: int
    code: str
    lanes: int
    forgiven: Outcome = field(default_factory=Outcome)
    """Where the error budget begins."""
    reparse: Reparse = Reparse.NO
    slots: int = 1
    """How many slices share the run's rates."""
    seconds: float = SLICE_SECONDS

    @classmethod
    def of(cls, config: Config, env: str, backfill: str, kit: Kit, slots: int) -> SliceNames:
        """The names of a kit."""
        return cls(
            config=str(config.path),
            env=env,
            backfill=backfill,
            run=kit.run.id,
            epoch=kit.run.epoch,
            code=kit.terms.code,
            lanes=kit.lanes,
            forgiven=kit.forgiven,
            reparse=kit.reparse,
            slots=slots,
        )


def run_slice(names: SliceNames) -> Tally:
    """Claim and work chunks of a run for a while; importable and picklable."""
    return asyncio.run(_slice(names))


async def _slice(names: SliceNames) -> Tally:
    from proctor.app.wiring import open_app

    config = load(Path(names.config))
    async with open_app(config, names.env, telling=False) as app:
        backfill = app.backfill(names.backfill)
        run = await app.site.store.run(names.run)
        if run.epoch != names.epoch:
            raise Fenced(f"run {run.id} was taken over since this slice was made")
        spec = await app.site.store.spec_of(run.id)
        values = {name: str(value) for name, value in spec.params if value is not None}
        spec, params = backfill.bind(values)
        if app.code_of(backfill) != names.code:
            raise PlanVoid(
                "the code in this process is not the code that was approved",
                found=f"backfill {backfill.name} as imported by a worker process",
                fix="deploy the same version everywhere and run it again",
            )
        site = app.site
        settings = site.settings
        kit = Kit(
            store=site.store,
            backfill=backfill,
            spec=spec,
            run=run,
            params=params,
            terms=Terms(code=names.code, attempts=settings.attempts, lease_for=settings.lease_for),
            pacing=site.pacing(backfill.signals),
            clock=site.clock,
            events=site.events,
            dice=dice,
            worker=f"{names.epoch}:{site.host}:{os.getpid()}",
            lease_for=settings.lease_for,
            detect=site.detect,
            redact=site.redact,
            lanes=names.lanes,
            until=site.clock.now() + timedelta(seconds=names.seconds),
            began=run.outcome,
            forgiven=names.forgiven,
            reparse=names.reparse,
            first=run.outcome.read == 0,
        )
        kit.pacing.share = 1.0 / names.slots
        await let_ask(site, kit)
        async with site.events.flushing():
            return await beating(kit, work(kit))
