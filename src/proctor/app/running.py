"""`run`: from its options to a run under way, in this process or in several."""

from __future__ import annotations

import contextlib

from collections.abc import AsyncIterator, Callable
from typing import Any

from proctor.app.facade import App
from proctor.app.options import RunOptions
from proctor.core.windows import deadline
from proctor.engine.approval import approve
from proctor.engine.launch import Request, launch, params_of, read_plan
from proctor.engine.run import Ended, Worker
from proctor.engine.snapshot import Snapshot
from proctor.engine.worker import work
from proctor.errors import UsageError
from proctor.model import Bucket


async def run(app: App, name: str, options: RunOptions, on: Callable[[Snapshot], None]) -> Ended:
    """Run, resume or take over; to its end, unless somebody says stop."""
    backfill = app.backfill(name)
    until = options.until
    request = Request(
        params=options.params or await _params_of(app, options.retry_failures_of),
        part=options.part,
        approval=read_plan(options.plan) if options.plan else None,
        confirmed=options.confirmed,
        accept=options.accept,
        restart=options.restart,
        resume=options.resume,
        lanes=options.workers,
        until=deadline(until, app.site.clock.now().astimezone()) if until else None,
        patient=options.wait,
        reparse=options.reparse,
        keys_of=await _failed_keys(app, options.retry_failures_of),
        stop=options.stop,
    )
    async with _worker(app, name, options) as worker:
        return await launch(
            app.site,
            backfill,
            request,
            worker,
            on,
            approve=lambda spec, shape, span: approve(app.site, backfill, spec, shape, span),
        )


@contextlib.asynccontextmanager
async def _worker(app: App, name: str, options: RunOptions) -> AsyncIterator[Worker]:
    """Slices in this process, or in several."""
    if options.processes <= 1:
        yield work
        return
    from proctor.adapters.executors import ProcessPool
    from proctor.app.slices import SliceNames, run_slice
    from proctor.engine.spread import spread

    pool = ProcessPool(options.processes)
    try:
        yield lambda kit: spread(
            kit,
            lambda: pool.submit(
                run_slice, SliceNames.of(app.config, app.env, name, kit, options.processes)
            ),
            options.processes,
        )
    finally:
        pool.close()


async def _params_of(app: App, run: str | None) -> dict[str, str]:
    return params_of(await app.site.store.run(run)) if run is not None else {}


async def _failed_keys(app: App, run: str | None) -> tuple[Any, ...]:
    if run is None:
        return ()
    found = await app.issues(run)
    keys = tuple(i.key for i in found if i.bucket is Bucket.FAILED)
    if not keys:
        raise UsageError(
            f"run {run} has no failed rows",
            found="every row that it read was settled otherwise",
            fix="there is nothing to retry; proctor failures RUN lists the others",
        )
    return keys


__all__ = ["run"]
