"""The life of a run and of a chunk: two tables of legal moves, a reason for every arrow."""

from __future__ import annotations

from proctor.errors import IllegalMove
from proctor.model import ChunkState, RunState

RUN_MOVES: dict[tuple[RunState, RunState], str] = {
    (RunState.QUEUED, RunState.RUNNING): "a process holds it and has begun",
    (RunState.QUEUED, RunState.CANCELLED): "cancelled before anybody began",
    (RunState.RUNNING, RunState.RUNNING): "taken over from a process that died",
    (RunState.RUNNING, RunState.PAUSING): "an operator, a budget or a window asked",
    (RunState.PAUSING, RunState.PAUSED): "the chunk in hand is settled",
    (RunState.PAUSING, RunState.RUNNING): "resumed before the pause took effect",
    (RunState.PAUSING, RunState.SUCCEEDED): "the chunk in hand was the last",
    (RunState.PAUSING, RunState.FAILED): "the chunk in hand cannot go on without a person",
    (RunState.PAUSED, RunState.RUNNING): "resumed",
    (RunState.PAUSED, RunState.CANCELLING): "given up while paused",
    (RunState.RUNNING, RunState.CANCELLING): "an operator gave it up",
    (RunState.PAUSING, RunState.CANCELLING): "given up while pausing",
    (RunState.CANCELLING, RunState.CANCELLING): "asked again",
    (RunState.CANCELLING, RunState.CANCELLED): "no claim is left",
    (RunState.RUNNING, RunState.FAILED): "it cannot go on without a person",
    (RunState.FAILED, RunState.RUNNING): "resumed after the cause was mended",
    (RunState.RUNNING, RunState.SUCCEEDED): "every row of the target set is settled",
    (RunState.FAILED, RunState.CANCELLED): "given up after a failure",
    (RunState.ROLLING_BACK, RunState.ROLLING_BACK): "a rollback goes on where it stopped",
    (RunState.ROLLING_BACK, RunState.ROLLED_BACK): "every applied chunk is undone",
    (RunState.ROLLING_BACK, RunState.SUCCEEDED): "a part was undone of a run that had succeeded",
    (RunState.ROLLING_BACK, RunState.CANCELLED): "a part was undone of a run that had not",
} | {
    (state, RunState.ROLLING_BACK): "what it wrote is to be undone"
    for state in (RunState.PAUSED, RunState.CANCELLED, RunState.FAILED, RunState.SUCCEEDED)
}

CHUNK_MOVES: dict[tuple[ChunkState, ChunkState], str] = {
    (ChunkState.OPEN, ChunkState.CLAIMED): "a worker takes it",
    (ChunkState.CLAIMED, ChunkState.CLAIMED): "its claim ran out and another worker takes it",
    (ChunkState.CLAIMED, ChunkState.OPEN): "handed back unworked",
    (ChunkState.CLAIMED, ChunkState.APPLIED): "its rows are written and its outcome is kept",
    (ChunkState.CLAIMED, ChunkState.SPLIT): "too slow: its children cover it",
    (ChunkState.OPEN, ChunkState.CLOSED): "the run ended first",
    (ChunkState.CLAIMED, ChunkState.CLOSED): "the run ended first",
    (ChunkState.CLOSED, ChunkState.OPEN): "a failed run was resumed",
}

ACTIVE = frozenset(
    {
        RunState.QUEUED,
        RunState.RUNNING,
        RunState.PAUSING,
        RunState.CANCELLING,
        RunState.ROLLING_BACK,
    }
)
OCCUPYING = ACTIVE | {RunState.PAUSED, RunState.FAILED}
"""States in which a run keeps others off its target and fills."""


def legal(now: RunState, then: RunState) -> bool:
    """Whether a run may go from one state to the other."""
    return (now, then) in RUN_MOVES


def refuse(run: str, now: RunState, then: RunState) -> IllegalMove:
    """The error for a move that the table does not hold, naming the moves it does."""
    ways = ", ".join(sorted(b.value for a, b in RUN_MOVES if a is now and b is not now))
    return IllegalMove(
        f"run {run} cannot become {then.value}",
        found=f"it is {now.value}",
        fix=f"from {now.value} a run can become: {ways or 'nothing else; start a new run'}",
    )
