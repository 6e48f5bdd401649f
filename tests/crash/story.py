"""What must hold after every crash, and the way back to a quiet end."""

from dataclasses import dataclass

BUCKETS = ("written", "unchanged", "skipped", "refused", "failed", "conflicted", "gone")


@dataclass
class Undisturbed:
    """How the world looks before a run, and after one that nobody disturbed."""

    before: dict
    after: dict
    outcome: dict
    still_eligible: dict


def undisturbed(world):
    """Run once in peace, and take it back; what every other run is measured by."""
    before = world.rows()
    report = world.live("run")
    run = report["run"]
    assert run["state"] == "succeeded", run
    assert run["outcome"]["written"] > 5
    books_balance(run["outcome"])
    found = Undisturbed(
        before=before,
        after=world.rows(),
        outcome=run["outcome"],
        still_eligible=run["still_eligible"],
    )
    assert found.after != before
    assert set(world.writes().values()) == {1}
    return found


def books_balance(outcome):
    """P1: every row read is in exactly one bucket."""
    assert outcome["read"] == sum(outcome[b] for b in BUCKETS), outcome


def look(report):
    """The books as some moment between lives shows them: they balance and they tell the truth."""
    seen = report["look"]
    for run in seen["runs"]:
        books_balance(run["outcome"])
        for chunk in run["chunks"]:
            books_balance(chunk)
    return seen


def finish_run(world, truth):
    """Resume what a crash left until it succeeds; it equals the undisturbed run."""
    _run_is_right(world.live("look", "resume"), truth, world.rows(), world.writes())


def _run_is_right(report, truth, rows, writes):
    seen = look(report)
    written = sum(run["outcome"]["written"] for run in seen["runs"])
    assert written == seen["filled"], "the books do not say what the table holds"
    run = report["resume"]
    assert run["state"] == "succeeded", run
    assert run["outcome"] == truth.outcome
    assert run["still_eligible"] == truth.still_eligible
    assert rows == truth.after
    twice = {key: n for key, n in writes.items() if n != 1}
    assert not twice, f"rows written more than once: {twice}"


def finish_rollback(world, truth):
    """Take the rollback up until it ends; every byte is as it was."""
    report = world.live("look", "undo", "after_undo")
    look(report)
    _rollback_is_right(report, truth, world.rows(), world.writes())


def _rollback_is_right(report, truth, rows, writes):
    undone = report["undo"]
    assert undone["state"] == "rolled_back", undone
    written = truth.outcome["written"]
    assert (undone["written"], undone["restored"]) == (written, written), undone
    assert report["after_undo"]["written_and_not_undone"] == 0
    assert rows == truth.before
    twice = {key: n for key, n in writes.items() if n != 1}
    assert not twice, f"rows restored more than once: {twice}"
    assert sum(writes.values()) == truth.outcome["written"]


def finish(world, truth):
    """The same two in one life: resume, look at every row, and roll back."""
    report = world.live("look", "resume", "witness", "undo", "after_undo")
    seen = report["witness"]
    _run_is_right(report, truth, seen["rows"], world.counted(seen["audit"]))
    _rollback_is_right(report, truth, world.rows(), world.writes())
