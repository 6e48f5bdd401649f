"""An application goes on writing to the same rows: nothing it wrote is lost, and the run ends."""

import os

import pytest

from crash.story import books_balance
from crash.worlds import until
from crash.writers import Writers, follow, furnish, read_back

SECONDS = 60 if os.environ.get("PROCTOR_LONG") == "1" else 5
ROWS = 3000
CHUNK = 50


@pytest.mark.parametrize(("kind", "connections"), [("postgres", 8), ("sqlite", 1)])
def test_no_write_of_the_application_is_lost(make_world, kind, connections):
    """P1, P4: each fill is made from the version it stands on; what never stood still is listed."""
    world = make_world(kind, "follow", chunk_rows=CHUNK)
    ids = furnish(world, ROWS)
    slow = {"CRASH_SLOW_S": str(SECONDS / (ROWS / CHUNK)), "CRASH_HOLD_AT": "None"}
    with Writers(world, ids, connections) as writers:
        life = world.birth("run", "failures", env=slow).until_held()
        _keep_chunks_small(world)
        life.go_on()
        report = life.wait(patience=SECONDS * 10)
    run = report["run"]
    assert run["state"] == "succeeded", run
    books_balance(run["outcome"])
    rows, notes = read_back(world)
    ours = sum(follow(row, notes[row], rows.get(row)) for row in notes)
    assert ours == run["outcome"]["written"], "the books do not say what was written"
    listed = {i["key"][0] for i in report["failures"] if i["bucket"] == "conflicted"}
    assert len(listed) == run["outcome"]["conflicted"]
    left = {row for row, (_, _, fill) in rows.items() if fill is None}
    forgotten = {row for row in left & set(ids) if row not in listed}
    assert not forgotten, (
        f"rows that were there at the start are neither filled nor listed: {forgotten}"
    )
    assert writers.writes > 100 * SECONDS
    assert kind == "sqlite" or listed, "with hot rows some must have been conflicted"
    _and_back(world, rows, notes)


def _keep_chunks_small(world):
    """Tune a run that is held, and wait until it has heard of it; it would be over in no time."""
    world.live("tune", knobs={"chunk_rows": str(CHUNK)})
    for _ in range(2):  # it obeys a moment after the beat that tells it
        beat = world.query(f"SELECT heartbeat FROM {world.runs}")
        until(
            lambda beat=beat: world.query(f"SELECT heartbeat FROM {world.runs}") != beat, "a beat"
        )


def _and_back(world, rows, notes):
    """The rollback leaves alone what the application wrote, before or since."""
    undone = world.live("rollback")["rollback"]
    assert undone["balances"]
    assert undone["blocked"] == 0
    after, _ = read_back(world)
    assert after.keys() == rows.keys()
    emptied = 0
    for row, (style, rev, fill) in after.items():
        assert (style, rev) == tuple(rows[row][:2])
        last_own = [n.filled for n in notes[row] if n.filled]
        assert fill in {rows[row][2], None}
        emptied += fill != rows[row][2]
        if last_own:
            assert fill == last_own[-1], f"row {row}: the application had filled it itself"
    assert emptied == undone["restored"]
