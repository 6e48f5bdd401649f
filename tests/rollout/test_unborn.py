"""A worker that was just started is not lost: not by a word, nor by a ledger that is away."""

from proctor.adapters.ledger import rollouts
from proctor.errors import Unreachable
from proctor.model import RolloutState
from rolling import kinds

REAL = rollouts.SqlRolloutLog
SLOW = "\n[run]\nchunk_rows = 10\npause_s = 0.5\n"
FILLED = """
rollout("small", stages.apply("lower", milestones=[stages.milestone(share=1.0, sample=20)]))
"""


async def test_a_worker_without_a_run_is_at_rest_before_the_rollout_is_given_up(
    project, monkeypatch
):
    """Rejected as soon as it was started: nothing is written after the end."""
    toml = project.root / "proctor.toml"
    toml.write_text(toml.read_text() + SLOW)
    project.rolls(FILLED)
    hands = []

    class Rejected(REAL):
        async def add(self, rollout, added, /, **words):
            done = await super().add(rollout, added, **words)
            if any(e.kind == "worker.started" for e in added):
                await project.reject(rollout.id)
            return done

    def look(rig):
        hands.extend(hand for hand in rig.hands.values() if hand not in hands)

    monkeypatch.setattr(rollouts, "SqlRolloutLog", Rejected)
    done = await project.drive(on=look)
    assert done.left.state is RolloutState.ROLLED_BACK
    assert [hand.ended() is not None for hand in hands] == [True]


async def test_a_worker_that_could_not_be_told_is_told_afterwards(project, monkeypatch):
    """The ledger was away right after its start: its run is found and audited all the same."""
    project.rolls(FILLED)
    away = [True]

    class Away(REAL):
        async def add(self, rollout, added, /, **words):
            if away and any(e.kind == "worker.started" for e in added):
                away.clear()
                raise Unreachable("the ledger does not answer")
            return await super().add(rollout, added, **words)

    monkeypatch.setattr(rollouts, "SqlRolloutLog", Away)
    done = await project.drive()
    assert done.left.state is RolloutState.ACTIVE
    told = kinds(done.journal.entries)
    assert (told.count("run.found"), told.count("audit.made")) == (1, 1)
