"""The life of a rollout: a table of legal moves, a reason for every arrow."""

from __future__ import annotations

from proctor.model import (
    Activate,
    Apply,
    AuditStage,
    Files,
    Gate,
    Halt,
    HealthStage,
    RolloutState,
    Soak,
    Stage,
)

_UNDER_WAY = (
    RolloutState.PLANNED,
    RolloutState.APPLYING,
    RolloutState.SOAKING,
    RolloutState.GATED,
    RolloutState.RAMPING,
)

MOVES: dict[tuple[RolloutState, RolloutState], str] = (
    {
        (here, there): "the next of its stages is of that kind"
        for here in _UNDER_WAY
        for there in _UNDER_WAY
    }
    | {(here, RolloutState.HELD): "a person must decide" for here in _UNDER_WAY}
    | {(RolloutState.HELD, there): "a person decided to go on" for there in _UNDER_WAY}
    | {
        (here, RolloutState.ACTIVE): "every stage is through"
        for here in (*_UNDER_WAY, RolloutState.HELD)
    }
    | {
        (here, RolloutState.ROLLED_BACK): "it was given up, and what it had opened is closed"
        for here in (*_UNDER_WAY, RolloutState.HELD, RolloutState.ACTIVE)
    }
    | {(RolloutState.HELD, RolloutState.HELD): "another reason for a person to decide"}
)


def state_of(stage: Stage) -> RolloutState:
    """The state of a rollout in this stage."""
    if isinstance(stage, Apply | AuditStage | Files):
        return RolloutState.APPLYING
    if isinstance(stage, Soak):
        return RolloutState.SOAKING
    if isinstance(stage, Gate | Halt | HealthStage):
        return RolloutState.GATED
    if isinstance(stage, Activate):
        return RolloutState.RAMPING
    return RolloutState.PLANNED


__all__ = ["MOVES", "state_of"]
