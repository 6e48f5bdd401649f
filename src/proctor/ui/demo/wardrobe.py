"""The wardrobe's demo: a field of every row, killed half-way, undone, and proved."""

from __future__ import annotations

import os
import signal

from typing import Any, Final

from proctor.model import RunState
from proctor.ui.demo.proof import Fingerprint, fingerprint
from proctor.ui.demo.stage import Broken, Stage, record, seen_half_way

BACKFILL: Final = "normalize_wardrobe"
DATABASE: Final = "wardrobe.db"
TABLE: Final = "wardrobe"
FILLS: Final = "normalized"


def play(stage: Stage) -> dict[str, Any]:
    """The whole story; what it came to, for --json."""
    original = seed(stage)
    look_ahead(stage)
    run, killed_at = run_and_kill(stage, original)
    filled = resume(stage, run, original)
    look_back(stage, run)
    restored = take_back(stage, run, filled)
    prove(stage, original, filled, restored)
    return {
        "folder": stage.folder,
        "run": run,
        "rows": original.rows,
        "killed_after_rows": killed_at,
        "checksum_before": original.digest,
        "checksum_filled": filled.digest,
        "checksum_after_rollback": restored.digest,
        "identical": restored == original,
        "seconds": round(stage.seconds, 1),
    }


def seed(stage: Stage) -> Fingerprint:
    """The files that a team would write, and a table as people left it."""
    stage.scene(
        "A wardrobe, as people typed it",
        f"Three files: the backfill (backfills.py), where it runs (proctor.toml), and the script "
        f"that makes the data. All of it is in {stage.folder}",
    )
    stage.python("seed.py")
    original = look(stage)
    stage.fact("SHA-256", f"{original.digest} over every value of all {original.rows:,} rows")
    return original


def look_ahead(stage: Stage) -> None:
    """Plan and dry run; the table does not change, which is checked."""
    before = look(stage)
    stage.scene("What would happen?", "The plan counts and forecasts. It writes nothing.")
    stage.proctor("plan", BACKFILL)
    stage.scene("What would be written?", "Before and after of real rows. It writes nothing.")
    stage.proctor("dry-run", BACKFILL, "--sample", "3")
    if look(stage) != before:
        raise Broken("looking ahead changed the table")
    stage.good("plan and dry run left every byte as it was")


def run_and_kill(stage: Stage, original: Fingerprint) -> tuple[str, int]:
    """A run in a process of its own, ended by SIGKILL when the target says half-way."""
    stage.scene(
        "Apply, and die half-way",
        "The run gets SIGKILL as soon as the database itself shows a good part of it done: no "
        "warning, no clean-up.",
    )
    with stage.begin("run", BACKFILL) as process:
        seen = seen_half_way(stage, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    stage.curtain()
    stage.typed(f"kill -9 {process.pid}")
    books = seen.run.outcome
    stage.fact("the target", f"{books.read:,} of {seen.run.expected or 0:,} rows were settled")
    now = look(stage)
    filled = original.empty - now.empty
    if not 0 < filled < original.empty:
        raise Broken("the run was not killed half-way", found=f"{filled:,} rows are filled")
    stage.fact("the table", f"{filled:,} rows are filled")
    return seen.run.id, books.read


def resume(stage: Stage, run: str, original: Fingerprint) -> Fingerprint:
    """The same command again goes on with the same run."""
    stage.scene(
        "Resume",
        "The same command again. It finds the run, sees that its process is gone, and goes on "
        "behind the last chunk that was committed.",
    )
    stage.proctor("run", BACKFILL)
    ended, filled = record(stage, run), look(stage)
    books, wrote = ended.outcome, original.empty - filled.empty
    stage.books(books)
    if ended.state is not RunState.SUCCEEDED or not books.balances:
        raise Broken("the books do not balance", found=f"{ended.state.value}, {books}")
    if wrote != books.written:
        raise Broken(
            "books and table disagree", found=f"{books.written:,} written, {wrote:,} filled"
        )
    if filled.others != original.others:
        raise Broken("a field was changed that the backfill does not fill")
    stage.good(f"{wrote:,} rows were filled, each once; no other field of any row has changed")
    return filled


def look_back(stage: Stage, run: str) -> None:
    """Verify, and the reports."""
    stage.scene("Does it hold?", "Every written row is compared; a sample is computed again.")
    stage.proctor("verify", run)
    stage.scene("The reports", "Written after the run, to be sent around.")
    folder = stage.folder / ".proctor" / "reports" / run
    for file in sorted(folder.iterdir()):
        stage.fact(file.suffix[1:], str(file))


def take_back(stage: Stage, run: str, filled: Fingerprint) -> Fingerprint:
    """The rollback, first dry, then real."""
    stage.scene("Take it back", "First as a dry run, then really.")
    stage.proctor("rollback", run, "--dry-run")
    if look(stage) != filled:
        raise Broken("the dry run of the rollback changed the table")
    stage.proctor("rollback", run, "--yes")
    return look(stage)


def prove(stage: Stage, original: Fingerprint, filled: Fingerprint, restored: Fingerprint) -> None:
    """The checksums side by side."""
    stage.scene("Proof", f"SHA-256 over every value of all {original.rows:,} rows.")
    stage.fact("before", original.digest)
    stage.fact("filled", filled.digest)
    stage.fact("rolled back", restored.digest)
    if restored != original or filled == original:
        raise Broken("the rollback did not restore the original data")
    stage.good("byte for byte the original")
    stage.end()


def look(stage: Stage) -> Fingerprint:
    """The table as it stands."""
    return fingerprint(stage.folder / DATABASE, TABLE, FILLS)
