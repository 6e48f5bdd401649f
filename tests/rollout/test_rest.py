"""What a step back has brought to rest stays at rest until a person has looked."""

from proctor.model import RolloutState
from rolling import kinds

SLOW = "\n[run]\nchunk_rows = 10\npause_s = 1.5\n"
LEAKED = """
rollout("small", stages.apply("lower", until="result.share >= 0.02"),
    stages.gate("no leak", metrics=[metrics.sql(
        "leaked", "SELECT count(*) AS value FROM items WHERE name = 'leak'",
        success_condition="result.value == 0", critical=True, interval=minutes(5))]))
"""


async def test_a_paused_run_is_not_started_again_by_the_rollout_that_paused_it(project):
    """Also where its worker went on beside the gate that failed."""
    toml = project.root / "proctor.toml"
    toml.write_text(toml.read_text() + SLOW)
    project.sql("UPDATE items SET name = 'leak' WHERE id = 200")
    project.rolls(LEAKED)
    held = await project.drive(speed=60.0)
    assert held.left.state is RolloutState.HELD
    told = kinds(held.journal.entries)
    assert told.count("worker.started") == 1
    assert told.count("step_back.run_paused") == 1
    ((filled,),) = project.sql("SELECT count(low) FROM items")
    assert 0 < filled < 200
    await project.approve(held.rollout.id, "bo", reason="it is a song's name", forced=True)
    done = await project.drive(speed=60.0)
    assert done.left.state is RolloutState.ACTIVE
    assert project.sql("SELECT count(low) FROM items") == [(200,)]
