"""What a life can do, each through `proctor.app` and nothing else; its report is plain JSON."""

import asyncio
import contextlib
import sqlite3

from pathlib import Path

import psycopg

from crash.steps import count_statements
from proctor import app
from proctor.config import load
from proctor.errors import ProctorError
from proctor.model import RunState

LOOKS = 100


async def act(job):
    """Do a job's acts in order in one opened app; the reports by name, and the steps taken."""
    steps = None
    if job.get("count"):
        steps = count_statements(**job["count"])
    report = {}
    try:
        async with app.open(load(Path(job["config"])), who=job.get("who")) as opened:
            for name in job["acts"]:
                report[name] = await ACTS[name](opened, job)
    except ProctorError as error:
        report["error"] = told(error)
    if steps is not None:
        report["steps"] = steps.taken
    return report


async def run(opened, job):
    """Run, resume or take over."""
    options = app.RunOptions(**job.get("options", {}))
    ended = await opened.run(job["name"], options)
    return {
        **plain(ended.run),
        "exit_code": ended.exit_code,
        "error": told(ended.error) if ended.error else None,
    }


async def rollback(opened, job):
    """Undo the newest run that wrote anything."""
    run = job.get("run") or newest(await opened.status())
    done = await opened.rollback(run, app.RollbackOptions())
    return {"state": done.run.state.value, **undo_books(done.undone)}


async def resume(opened, job):
    """Go on with what a crash left, as an operator would; a run that succeeded is left alone."""
    shown = await opened.status()
    if shown and shown[0].run.state is RunState.SUCCEEDED:
        return plain(shown[0].run)
    return await run(opened, job)


async def undo(opened, job):
    """Go on with a rollback that a crash cut off; one that ended is left alone."""
    shown = await opened.status()
    if shown[0].run.state is RunState.ROLLED_BACK:
        undone = (await opened.report(shown[0].run.id)).rollback
        return {"state": shown[0].run.state.value, **undo_books(undone)}
    return await rollback(opened, job)


def undo_books(undone):
    """The books of an undo as JSON."""
    return {
        "written": undone.written,
        "restored": undone.restored,
        "changed": undone.changed,
        "gone": undone.gone,
        "blocked": undone.blocked,
        "balances": undone.balances,
        "left": [list(issue.key) for issue in undone.left],
    }


async def after_undo(opened, _job):
    """What the chunks say of themselves after a rollback."""
    seen = (await books(opened))[0]
    return {"written_and_not_undone": sum(c["written"] for c in seen["chunks"] if not c["undone"])}


def newest(shown):
    """The newest run with books that say it wrote something."""
    return next(s.run.id for s in shown if s.run.outcome.written)


async def look(opened, job):
    """The books of every run and the rows that are filled, as of one moment.

    A server may still be committing what a killed life had sent, so both are read until two
    readings of the books around one count agree.
    """
    for _ in range(LOOKS):
        before = await books(opened)
        filled = await asyncio.to_thread(count, job) if job.get("count_filled") else None
        if await books(opened) == before:
            return {"runs": before, "filled": filled}
    raise AssertionError("the books never came to rest")


async def books(opened):
    """Runs newest first, each with its chunks."""
    seen = [plain(s.run) for s in await opened.status()]
    for one in seen:
        one["chunks"] = [
            {
                "number": c.chunk.number,
                "state": c.state.value,
                "fence": c.fence,
                "undone": c.undone,
                **c.outcome.as_dict(),
            }
            for c in await opened.site.store.chunks(one["id"])
        ]
    return seen


def connected(job):
    """A connection of our own, to see what Proctor did."""
    url = job["environment"]["CRASH_STORE"]
    if url.startswith("sqlite"):
        opened = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    else:
        opened = psycopg.connect(url, autocommit=True)
    return contextlib.closing(opened)


def count(job):
    """How many rows hold what the backfill writes."""
    with connected(job) as connection:
        return connection.execute(job["count_filled"]).fetchone()[0]


async def witness(_opened, job):
    """Every row and every write as they stand now; the audit begins anew."""
    return await asyncio.to_thread(take_down, job)


def take_down(job):
    """The rows of every table and the audit."""
    with connected(job) as connection:
        rows = {t: [repr(r) for r in connection.execute(q)] for t, q in job["tables"].items()}
        audit = connection.execute(job["audit"]).fetchall()
        connection.execute("DELETE FROM audit")
    return {"rows": rows, "audit": audit}


async def until_interrupted(opened, _job):
    """Wait until the newest run's holder has not been heard of for a lease."""
    newest_run = (await opened.status())[0].run.id
    last = [s async for s in opened.watch(newest_run)][-1]
    assert last.run.interrupted, last


async def status(opened, _job):
    """What `proctor status` asks."""
    return [plain(s.run) for s in await opened.status()]


async def doctor(opened, _job):
    """What `proctor doctor` asks."""
    return [str(f) for f in await opened.doctor()]


async def cancel(opened, job):
    """Give the newest run up."""
    return plain(await opened.cancel(job.get("run") or (await opened.status())[0].run.id))


async def pause(opened, job):
    """Ask the newest run to pause."""
    return plain(await opened.pause(job.get("run") or (await opened.status())[0].run.id))


async def plan(opened, job):
    """The forecast."""
    made = await opened.plan(job["name"])
    return {"target": made.target}


async def dry_run(opened, job):
    """Before and after of a sample."""
    shown = await opened.dry_run(job["name"], sample=job.get("sample", 10))
    return {"previews": len(shown.previews), "counts": dict(shown.counts)}


async def tune(opened, job):
    """Turn knobs of the newest run, if there is one."""
    shown = await opened.status()
    return plain(await opened.tune(shown[0].run.id, job["knobs"])) if shown else None


async def failures(opened, job):
    """Rows that were read and not written."""
    run = job.get("run") or newest(await opened.status())
    found = await opened.failures(run)
    return [{"key": list(i.key), "bucket": i.bucket.value, "reason": i.reason} for i in found]


async def verify(opened, job):
    """Whether what was written still stands."""
    verified = await opened.verify(job.get("run") or newest(await opened.status()))
    return str(verified)


def plain(run):
    """A run as JSON."""
    return {
        "id": run.id,
        "state": run.state.value,
        "epoch": run.epoch,
        "created": run.created.isoformat(),
        "interrupted": run.interrupted,
        "reason": run.reason,
        "outcome": run.outcome.as_dict(),
        "still_eligible": dict(run.still_eligible or {}),
    }


def told(error):
    """An error as JSON."""
    return {
        "type": type(error).__name__,
        "what": error.what,
        "found": error.found,
        "fix": error.fix,
    }


ACTS = {
    a.__name__: a
    for a in (
        *(run, resume, rollback, undo, after_undo, look, witness),
        *(status, doctor, until_interrupted),
        *(tune, cancel, pause, plan, dry_run, failures, verify),
    )
}
