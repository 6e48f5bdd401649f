"""Steps of a rollout that are the author's own code."""

from proctor.model import RolloutState
from rolling import passed


async def test_a_step_is_given_what_the_steps_before_it_returned(project):
    """So that what stood there before a run can be compared with what stands there after it."""
    project.rolls("""
def count(seen):
    return {"rows": 200, "in": seen.folder.name}

async def compare(seen):
    return seen.answers["before"] | {"run": seen.runs["lower"]}

rollout(
    "small", stages.step("before", count), stages.apply("lower"), stages.step("after", compare)
)
""")
    done = await project.drive()
    assert done.left.state is RolloutState.ACTIVE
    taken = [e for e in await project.entries(done.rollout.id) if e.kind == "step.taken"]
    run = done.journal.standing.runs["lower"]
    assert taken[-1].data["answer"] == {"rows": 200, "in": project.root.name, "run": run}


async def test_a_step_that_raises_holds_the_rollout_and_can_be_tried_again(project):
    """The error is told by its class alone: its words may hold values of rows."""
    project.rolls("""
from pathlib import Path

class StillThere(Exception):
    pass

def mended(seen):
    if not (seen.folder / "mended").exists():
        raise StillThere("the row of a person")

rollout("small", stages.step("mended", mended), stages.step("next", lambda seen: "done"))
""")
    held = await project.drive()
    assert (held.left.state, held.left.why) == (RolloutState.HELD, "mended raised StillThere")
    assert "row of a person" not in str([e.data for e in await project.entries(held.rollout.id)])
    (project.root / "mended").touch()
    done = await project.drive(retry="it is mended")
    assert done.left.state is RolloutState.ACTIVE
    assert passed(await project.entries(done.rollout.id)) == ["mended", "next"]
