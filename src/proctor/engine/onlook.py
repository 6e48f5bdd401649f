"""Look at a run from outside the process that works on it: what `watch` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from proctor.authoring import Backfill, Watch
from proctor.core.pace import Pace
from proctor.engine.accounts import Books, resting
from proctor.engine.heart import BEAT_EVERY
from proctor.engine.kit import Rest
from proctor.engine.pacing import Pacing
from proctor.engine.show import snapshot
from proctor.engine.site import Site, as_it_is
from proctor.engine.snapshot import Estimate, Snapshot
from proctor.engine.worked import Stretch, time_worked
from proctor.errors import ProctorError
from proctor.model import ChunkRecord, ChunkState, Run, RunState


async def at_rest(
    site: Site,
    run: Run,
    at: datetime,
    backfill: Backfill | None,
    chunks: Sequence[ChunkRecord] | None = None,
) -> Snapshot:
    """A run as `status` shows it: at one moment, with why it waits where it goes on."""
    run = as_it_is(run)
    seen = snapshot(
        run,
        at,
        pace=Pace(),
        chunks=sum(1 for c in chunks or () if c.state is ChunkState.APPLIED),
        lease_for=site.settings.lease_for,
        elapsed=await time_worked(site, run, at, chunks),
    )
    if run.state is not RunState.RUNNING or run.interrupted:
        return seen
    looked = await Onlooker.of(site, backfill.signals if backfill else ()).look(run)
    return replace(seen, throttle=looked.throttle, throttle_reason=looked.throttle_reason)


@dataclass(slots=True)
class Onlooker:
    """Measures a run's pace by what its target says, and its throttle by the same signals.

    What only the run's own process can tell, such as its waits for a SQLite file, is not seen.
    """

    site: Site
    pacing: Pacing
    pace: Pace = field(default_factory=Pace)
    asked_at: float = float("-inf")
    """When, on the monotonic clock, the signals and chunks were last asked for."""
    state: RunState | None = None
    chunks: tuple[int, int, int] = (0, 0, 0)
    """Chunks applied, chunks undone and rows undone."""
    stretch: Stretch | None = None
    books: Books | None = None
    rest: Rest | None = None

    @classmethod
    def of(cls, site: Site, watches: Sequence[Watch] = ()) -> Onlooker:
        """An onlooker with a backfill's own signals."""
        return cls(site=site, pacing=site.pacing(watches))

    async def look(self, run: Run) -> Snapshot:
        """The run as it stands."""
        if run.state is not self.state:
            self.state, self.pace, self.asked_at = run.state, Pace(), float("-inf")
            self.stretch = await Stretch.of(self.site, run)
        if self.site.clock.monotonic() - self.asked_at >= BEAT_EVERY:
            await self._ask(run)
        now = self.site.clock.now()
        applied, undone, rows = self.chunks
        rolling = run.state is RunState.ROLLING_BACK
        self.pace.mark(now, rows if rolling else run.outcome.read)
        elapsed = self.stretch.until(now) if self.stretch and not run.interrupted else None
        seen = snapshot(
            run, now, pace=self.pace, chunks=applied, pacing=self.pacing, elapsed=elapsed
        )
        # The size of chunks is known to the run's own process alone.
        seen = replace(seen, chunk_rows=run.tuning.chunk_rows, chunks_undone=undone)
        seen = replace(seen, eta=self._left(run, rows)) if rolling else seen
        return self.books.on(seen, self.rest) if self.books else seen

    def _left(self, run: Run, rows: int) -> Estimate | None:
        eta = self.pace.eta(max(0, run.outcome.written - rows))
        return Estimate(low=eta[0], high=eta[1]) if eta else None

    async def _ask(self, run: Run) -> None:
        """At most once a second, as the run itself does; what cannot be had now stays as it was."""
        self.asked_at = self.site.clock.monotonic()
        self.books = self.books or Books(site=self.site, run=run.id)
        await self.books.look()
        self.rest = await resting(self.site, run) if self.books.accounts else None
        try:
            await self.pacing.watch(await self.site.store.health())
            records = await self.site.store.chunks(run.id)
        except ProctorError:
            return
        applied = [c for c in records if c.state is ChunkState.APPLIED]
        undone = [c for c in applied if c.undone]
        self.chunks = (len(applied), len(undone), sum(c.outcome.written for c in undone))
