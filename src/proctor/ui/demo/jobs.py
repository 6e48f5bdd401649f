"""The jobs' demo: a vector for every row that has none, by updates alone, and again the next day.

A Postgres runs beside it; Proctor comes to it as a role that may not insert. The model runs in the
process itself: there is no key, and nothing to pay.
"""

from __future__ import annotations

import os
import signal

from dataclasses import dataclass
from typing import Any, Final

from proctor.model import RunState
from proctor.ui.demo.stage import Broken, Stage, record, seen, seen_half_way

BACKFILL: Final = "embed"
ROLE: Final = "filler"
EVERYTHING: Final = 2**62
DIGEST: Final = (
    "encode(sha256(convert_to(string_agg({}::text, E'\\n' ORDER BY id), 'UTF8')), 'hex')"
)
LOOK: Final = f"""
    SELECT count(*), count(embedding), {DIGEST.format("id")},
           {DIGEST.format("(id, title, description, updated_at)")},
           {DIGEST.format("(id, embedding, embedded_text, embedded_by)")}
    FROM jobs WHERE id <= %s
"""
WRONG: Final = """
    SELECT count(*) FROM jobs
    WHERE embedding IS NOT NULL AND embedded_text IS DISTINCT FROM
          encode(sha256(convert_to(
              left(title || E'\\n\\n' || coalesce(description, ''), 8000), 'UTF8')), 'hex')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The table at one moment: digests of its keys, of what people wrote, and of what we fill."""

    rows: int
    filled: int
    keys: str
    written: str
    fills: str

    @property
    def coverage(self) -> str:
        """Rows with a vector."""
        return (
            f"{self.filled:,} of {self.rows:,} jobs have a vector ({self.filled / self.rows:.1%})"
        )


def play(stage: Stage) -> dict[str, Any]:
    """The whole story; what it came to, for --json."""
    url = set_up(stage)
    original = listed(url)
    stage.fact("coverage", original.coverage)
    foreseen(stage, url, original)
    run = run_and_kill(stage)
    filled = resume(stage, run, url, original)
    look_back(stage, run)
    later, second = next_day(stage, url, filled, failing=record(stage, run).outcome.failed)
    restored = take_back(stage, url, (run, second), later=later, original=original)
    stage.end()
    return {
        "folder": stage.folder,
        "run": run,
        "rows": original.rows,
        "filled_before": original.filled,
        "filled": filled.filled,
        "inserted": filled.rows - original.rows,
        "read_the_next_day": record(stage, second).outcome.read,
        "identical": restored.fills == original.fills,
        "seconds": round(stage.seconds, 1),
    }


def set_up(stage: Stage) -> str:
    """A server, and jobs as portals send them; the address of the table's owner."""
    stage.scene(
        "Jobs, and who finds them",
        "A Postgres with pgvector, and a model in this process. Proctor comes as a role that may "
        f"SELECT and UPDATE jobs, and not INSERT. The files are in {stage.folder}",
    )
    url = stage.serve("proctor.testing.postgres")
    stage.variables |= {"JOBS_URL": url.replace("//postgres@", f"//{ROLE}@")}
    stage.fact("Postgres", stage.variables["JOBS_URL"])
    stage.python("seed.py", url)
    return url


def foreseen(stage: Stage, url: str, original: Listed) -> None:
    """The plan computes a few vectors, for they cost nothing, and writes none."""
    stage.scene("How much is there to do?", "The plan counts and forecasts. It writes nothing.")
    stage.proctor("plan", BACKFILL)
    if listed(url) != original:
        raise Broken("the plan changed the table")
    stage.good("the plan left every row as it was")


def run_and_kill(stage: Stage) -> str:
    """A run, ended by SIGKILL half-way."""
    stage.scene("Apply, and die half-way", "Fifty jobs a call; SIGKILL in the middle of it.")
    with stage.begin("run", BACKFILL) as process:
        seen = seen_half_way(stage, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    stage.curtain()
    stage.typed(f"kill -9 {process.pid}")
    books = seen.run.outcome
    stage.fact("the target", f"{books.read:,} of {seen.run.expected or 0:,} rows were settled")
    return seen.run.id


def resume(stage: Stage, run: str, url: str, original: Listed) -> Listed:
    """The same command goes on with the same run; nothing was inserted, nothing else changed."""
    stage.scene(
        "Resume",
        "Some old jobs have a blank title, which the table's newest rule forbids: the database "
        "refuses their update, and no other's.",
    )
    stage.proctor("run", BACKFILL)
    ended, filled = record(stage, run), listed(url)
    stage.books(ended.outcome)
    stage.fact("coverage", f"before: {original.coverage}")
    stage.fact("coverage", f"now: {filled.coverage}")
    if ended.state is not RunState.SUCCEEDED or not ended.outcome.balances:
        raise Broken("the books do not balance", found=f"{ended.state.value}, {ended.outcome}")
    if filled.filled - original.filled != ended.outcome.written:
        raise Broken("books and table disagree", found=f"{ended.outcome}, {filled}")
    if (filled.rows, filled.keys) != (original.rows, original.keys):
        raise Broken("a fill has inserted or deleted a row", found=f"{filled}")
    stage.good(f"as many rows as before, {filled.rows:,}, under the same keys: not one INSERT")
    if filled.written != original.written:
        raise Broken("something that people wrote has changed, or updated_at has")
    stage.good("updated_at and all that people wrote is as it was")
    if count(url, WRONG):
        raise Broken("a vector is of another text than its row's")
    return filled


def look_back(stage: Stage, run: str) -> None:
    """Verify, which computes again."""
    stage.scene("Does it hold?", "Every written row is compared; a sample is computed again.")
    stage.proctor("verify", run)


def next_day(stage: Stage, url: str, filled: Listed, *, failing: int) -> tuple[Listed, str]:
    """Rows that appear and rows whose text was changed are eligible, and no other."""
    stage.scene("The next day", "Jobs have appeared, and others were edited.")
    stage.python("seed.py", url, "later")
    later = listed(url)
    stage.proctor("run", BACKFILL)
    second, now = seen(stage)[0].run, listed(url)
    stage.books(second.outcome)
    new = later.rows - filled.rows
    if second.outcome.written <= new or second.outcome.read != second.outcome.written + failing:
        raise Broken(
            "other rows were filled than the new and edited ones", found=f"{second.outcome}"
        )
    if count(url, WRONG) or (now.rows, now.keys, now.written) != (
        later.rows,
        later.keys,
        later.written,
    ):
        raise Broken("the second run did something else than to fill vectors", found=f"{now}")
    edited = second.outcome.written - new
    stage.good(
        f"{new:,} new jobs and {edited:,} edited ones were filled; besides them only the "
        f"{failing:,} that the database refuses were read"
    )
    return later, second.id


def take_back(
    stage: Stage, url: str, made: tuple[str, str], *, later: Listed, original: Listed
) -> Listed:
    """Both runs, the newest first."""
    stage.scene("Take it back", "The newest first: edited jobs get the vectors of before.")
    first, second = made
    stage.proctor("rollback", second, "--yes")
    if listed(url) != later:
        raise Broken("the rollback of the second run did not restore what it found")
    stage.proctor("rollback", first, "--yes")
    restored = listed(url, original.rows)
    stage.fact("before", original.fills)
    stage.fact("rolled back", restored.fills)
    if restored.fills != original.fills:
        raise Broken("the rollback did not restore the original vectors")
    stage.good("to the byte, also in jobs that were edited meanwhile")
    return restored


def listed(url: str, upto: int = EVERYTHING) -> Listed:
    """The table as it stands, asked without Proctor."""
    import psycopg

    with psycopg.connect(url) as database:
        found = database.execute(LOOK, (upto,)).fetchone()
    assert found is not None  # noqa: S101 - an aggregate has one row
    rows, filled, keys, written, fills = found
    return Listed(rows=rows, filled=filled, keys=keys, written=written, fills=fills)


def count(url: str, sql: str) -> int:
    """One number, asked without Proctor."""
    import psycopg

    with psycopg.connect(url) as database:
        found = database.execute(sql.encode()).fetchone()
    return int(found[0]) if found else 0
