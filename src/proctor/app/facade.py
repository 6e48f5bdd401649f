"""Every command of Proctor in one wired environment: what faces call.

What `run` does not need is imported by the command that does: its first row need not wait for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from proctor.authoring import Backfill
from proctor.config import Config
from proctor.engine.control import change_knobs, pause, refuse_ended
from proctor.engine.digest import digest_code
from proctor.engine.part import Part, resolve
from proctor.engine.show import in_key_order, shown_key, shown_run, shown_span, shown_undone
from proctor.engine.site import Site, as_it_is, dice, own
from proctor.engine.snapshot import (
    DryRun,
    Finding,
    Plan,
    Report,
    Rollback,
    Snapshot,
    Undoing,
    Unwritten,
    Verification,
)
from proctor.engine.units import detailed
from proctor.errors import NotConfirmed, UsageError
from proctor.model import Bucket, ChunkRecord, ChunkState, Event, Issue, Run, RunState
from proctor.ports import UndoTerms

if TYPE_CHECKING:
    from proctor.app.options import RollbackOptions, RunOptions
    from proctor.engine.ensure import Ensured
    from proctor.engine.latest import Examined
    from proctor.engine.prune import Forgetting, Forgotten
    from proctor.engine.run import Ended

WATCH_EVERY = 0.5
"""Seconds between two looks of `watch`."""


@dataclass(slots=True)
class App:
    """Every command of Proctor in one environment; faces call these and nothing else."""

    config: Config
    env: str
    site: Site
    backfills: Mapping[str, Backfill]

    def backfill(self, name: str) -> Backfill:
        """The backfill of that name; UsageError lists the names there are."""
        if name not in self.backfills:
            known = ", ".join(sorted(self.backfills)) or "none"
            raise UsageError(
                f"there is no backfill named {name}",
                found=f"defined: {known}",
                fix="see `proctor list`, and the `backfills` modules in proctor.toml",
            )
        return self.backfills[name]

    def code_of(self, backfill: Backfill) -> str:
        """Digest of a backfill's code as it is imported here."""
        return digest_code(backfill, self.site.root).digest

    async def plan(
        self,
        name: str,
        *,
        params: Mapping[str, str] | None = None,
        part: Part | None = None,
        paid_sample: int | None = None,
    ) -> Plan:
        """The forecast of a run; writes nothing to the store.

        paid_sample: for how many rows providers are asked; the answers are kept and paid.
        """
        from proctor.engine.plan import make_plan

        backfill, whole = self.backfill(name), part or Part()
        async with self.site.events.flushing():
            plan, _ = await make_plan(
                self.site, backfill, params=params or {}, part=whole, paid_sample=paid_sample
            )
        return plan

    async def dry_run(
        self,
        name: str,
        *,
        params: Mapping[str, str] | None = None,
        sample: int = 20,
        part: Part | None = None,
        paid_sample: int | None = None,
    ) -> DryRun:
        """Before and after of real rows; writes nothing. paid_sample: see `plan`."""
        from proctor.engine.rehearse import Wanted, rehearse

        backfill = self.backfill(name)
        spec, bound = backfill.bind(params or {})
        await self.site.store.inspect(spec)
        span = await resolve(self.site, spec, part or Part())
        wanted = Wanted(span=span, count=sample, paid=paid_sample)
        async with self.site.events.flushing():
            return await rehearse(self.site, backfill, spec, bound, wanted)

    async def check(
        self, name: str, *, params: Mapping[str, str], latest: int = 200, **how: Any
    ) -> Examined:
        """What a backfill's ready checks say of filled rows; for `how` see `examine_latest`."""
        from proctor.engine.latest import examine_latest

        backfill = self.backfill(name)
        async with self.site.events.flushing():
            return await examine_latest(self.site, backfill, params, latest, **how)

    async def run(
        self, name: str, options: RunOptions, on: Callable[[Snapshot], None] = lambda _s: None
    ) -> Ended:
        """Run, resume or take over; to its end, unless somebody says stop."""
        from proctor.app.running import run

        return await run(self, name, options, on)

    async def ensure(self, name: str, *, params: Mapping[str, str] | None = None) -> Ensured:
        """Whether nothing eligible is left: for deploys and CI."""
        from proctor.engine.ensure import ensure

        found = await ensure(self.site, self.backfill(name), params or {})
        return replace(found, run=await self._shown(found.run)) if found.run else found

    async def status(self, run: str | None = None) -> list[Snapshot]:
        """One run or all of this environment, newest first."""
        store, now = self.site.store, self.site.clock.now()
        if run is None:
            mine = [r for r in await store.runs() if r.env == self.env]
            return await self._billed([await self._seen(r, now) for r in mine])
        found = await store.run(run)
        chunks = await store.chunks(found.id)
        seen = await self._seen(found, now, chunks)
        undone = sum(c.undone for c in chunks)
        return await self._billed([replace(await detailed(self.site, seen), chunks_undone=undone)])

    async def _billed(self, seen: list[Snapshot]) -> list[Snapshot]:
        from proctor.engine.accounts import billed

        return await billed(self.site, seen)

    async def _shown(self, run: Run) -> Run:
        """A run as a person may see it: without sensitive columns in the keys it was given."""
        whole = replace(run.span, limit=None).whole
        return run if whole else shown_run(run, await self.site.store.spec_of(run.id))

    async def _seen(
        self, run: Run, at: datetime, chunks: Sequence[ChunkRecord] | None = None
    ) -> Snapshot:
        from proctor.engine.onlook import at_rest

        return await at_rest(
            self.site, await self._shown(run), at, self.backfills.get(run.backfill), chunks
        )

    async def watch(self, run: str) -> AsyncIterator[Snapshot]:
        """Snapshots of a run in any process, until it is no longer active.

        Its throttle is measured here, by the same signals: what only its own process can tell,
        such as its waits for a SQLite file, is not seen.
        """
        from proctor.engine.onlook import Onlooker

        site = self.site
        backfill = self.backfills.get((await site.store.run(run)).backfill)
        onlooker = Onlooker.of(site, backfill.signals if backfill else ())
        while True:
            found = as_it_is(await site.store.run(run))
            yield await onlooker.look(await self._shown(found))
            ended = found.state not in (
                RunState.QUEUED,
                RunState.RUNNING,
                RunState.PAUSING,
                RunState.CANCELLING,
                RunState.ROLLING_BACK,
            )
            if ended or found.interrupted:
                return
            await site.clock.sleep(WATCH_EVERY)

    async def pause(self, run: str) -> Run:
        """Ask a run to stop after the chunks in hand."""
        return await self._shown(await pause(self.site, await self._own(run)))

    async def cancel(self, run: str) -> Run:
        """Give a run up; what it wrote stays until it is rolled back."""
        from proctor.engine.launch import give_up

        found = await self._own(run)
        refuse_ended(found)
        why = f"cancelled by {self.site.who}"
        return await self._shown(await give_up(self.site, found, why))

    async def tune(self, run: str, changes: Mapping[str, str]) -> Run:
        """Change a run's knobs while it goes on."""
        return await self._shown(await change_knobs(self.site, await self._own(run), changes))

    async def failures(self, run: str, *, limit: int | None = None) -> list[Issue]:
        """Rows that were read and not written, with reasons; unchanged ones are well."""
        return list((await self.unwritten(run)).issues[:limit])

    async def unwritten(self, run: str) -> Unwritten:
        """The same, put together by cause."""
        from proctor.engine.groups import grouped

        found = await self.site.store.run(run)
        spec = await self.site.store.spec_of(found.id)
        told = in_key_order(await self.issues(found.id), spec)
        shown = tuple(replace(i, key=shown_key(i.key, spec)) for i in told)
        return Unwritten(run=found, issues=shown, groups=grouped(shown))

    async def _own(self, run: str) -> Run:
        """A run that may be changed from here: one of this environment."""
        found = await self.site.store.run(run)
        own(self.site, found)
        return found

    async def issues(self, run: str) -> list[Issue]:
        """The same with keys as they are, sensitive or not: not to be shown."""
        found = await self.site.store.run(run)
        issues = await self.site.store.issues(found.id)
        return [i for i in issues if i.bucket is not Bucket.UNCHANGED]

    async def verify(self, run: str, *, sample: int = 100, seed: int | None = None) -> Verification:
        """Whether what a run wrote still stands, and would be computed again."""
        from proctor.engine.verify import verify

        found = await self.site.store.run(run)
        backfill = self.backfills.get(found.backfill)
        verification = await verify(self.site, found, backfill, sample=sample, seed=seed)
        await self.site.events.flush()
        return verification

    async def rollback(
        self,
        run: str,
        options: RollbackOptions,
        on: Callable[[Undoing], None] = lambda _seen: None,
    ) -> Rollback:
        """Undo what a run wrote, from the target alone."""
        from proctor.engine.touched import refuse_nothing, shown_untouched
        from proctor.engine.undo import Undoer
        from proctor.engine.undoplan import UndoPlan

        found = await self._own(run)
        approved = UndoPlan.read(options.plan) if options.plan else None
        if self.site.protected and not (options.dry_run or options.confirmed or approved):
            raise NotConfirmed(
                f"environment {self.env} is protected",
                found="no YES was typed and no plan was given",
                fix=f"look at it with `proctor rollback {found.id} --dry-run --out FILE`, then "
                "type YES when asked, or give --plan FILE",
            )
        spec = await self.site.store.spec_of(found.id)
        span = await resolve(self.site, spec, options.part)
        words = {"dry_run": options.dry_run, "touched": options.touched}
        terms = UndoTerms(span=span, since=options.since, **words)
        terms = approved.terms_for(found, terms) if approved else terms
        refuse_nothing(found, spec, terms)
        backfill = self.backfills.get(found.backfill)
        undoer = Undoer(
            store=self.site.store,
            run=found,
            terms=terms,
            events=self.site.events,
            clock=self.site.clock,
            pacing=self.site.pacing(backfill.signals if backfill else ()),
            dice=dice,
            touches=spec.touches,
            # Two units may have emitted one row: then only newest first gives it back.
            lanes=1 if spec.emits else self.site.settings.lanes,
            approved=approved.digest if approved else None,
            shown=lambda span: shown_span(span, spec),
            stop=options.stop,
            on=on,
        )
        async with self.site.events.flushing():
            done = await undoer.rollback()
        books, left = shown_undone(done.undone, spec), shown_untouched(done.untouched, spec)
        return replace(done, run=shown_run(done.run, spec), undone=books, untouched=left)

    async def rollback_script(self, run: str) -> AsyncIterator[str]:
        """SQL that undoes a run without Proctor."""
        found = await self.site.store.run(run)
        chunks = await self.site.store.chunks(found.id)
        numbers = [c.chunk.number for c in chunks if c.state is ChunkState.APPLIED and not c.undone]
        self.site.events.emit("script.written", found.id, chunks=len(numbers))
        await self.site.events.flush()
        if lost := sum(c.forgotten for c in chunks):
            yield f"-- Not in here, for their images were pruned: {lost:,} of the rows written.\n"
        async for line in self.site.store.undo_script(found, numbers):
            yield line
        async for line in self.site.store.untouch_script(found):
            yield line

    async def prunable(self, words: Forgetting) -> list[Forgotten]:
        """What `prune` would forget, by run; nothing is written."""
        from proctor.engine.prune import chosen

        kept_for = {name: backfill.undo_for for name, backfill in self.backfills.items()}
        return await chosen(self.site, words, kept_for)

    async def prune(self, plan: Sequence[Forgotten]) -> int:
        """Forget it; how many rows can then no longer be undone."""
        from proctor.engine.prune import forget

        return await forget(self.site, plan)

    async def report(self, run: str) -> Report:
        """Everything known of a run."""
        from proctor.engine.report import make_report

        return await make_report(self.site, await self.site.store.run(run))

    async def doctor(self) -> list[Finding]:
        """What is configured, reachable and permitted."""
        from proctor.app.flagging import flag_findings
        from proctor.app.rollouts import findings
        from proctor.engine.doctor import examine

        found = await examine(self.site, self.backfills)
        return [*found, *await flag_findings(self.config), *findings(self)]

    async def record(self, run: str | None = None) -> list[Event]:
        """The ledger's events, oldest first."""
        return await self.site.events.ledger.events(run=run)
