"""A daily quota that is used up: the run waits for it and goes on, or leaves if it shall not."""

from __future__ import annotations

from datetime import timedelta

from proctor.engine.kit import Kit, Rest
from proctor.errors import OutOfQuota

LOOK_EVERY = 0.25
"""Seconds between two looks at whether somebody wants the run to stop."""
AFTER = timedelta(seconds=1)
"""How long after the reset is asked: two clocks may disagree a little."""


async def ready(kit: Kit) -> bool:
    """Whether chunks may be claimed: waits for a quota first, unless the run has to end before."""
    while (rest := kit.rest) is not None:
        ends_before = kit.until is not None and kit.until <= rest.until
        waits = kit.patient and not ends_before and not kit.ending
        kit.events.emit(
            "quota.spent",
            kit.run.id,
            provider=rest.provider,
            until=rest.until,
            why=rest.why,
            waits=waits,
        )
        if waits:
            await _outlast(kit, rest)
        else:
            kit.held = True
            kit.halting(rest.why)
        if kit.rest is rest:
            kit.rest = None
    return not kit.idle


async def _outlast(kit: Kit, rest: Rest) -> None:
    """Until the reset, or until somebody wants something else; the heart beats meanwhile."""
    end = max(rest.until, kit.clock.now()) + AFTER
    while not kit.ending:
        left = (end - kit.clock.now()).total_seconds()
        if left <= 0:
            kit.events.emit("quota.renewed", kit.run.id, provider=rest.provider)
            return
        await kit.clock.sleep(min(left, LOOK_EVERY))


def spent(kit: Kit, error: OutOfQuota) -> None:
    """Take down what a function did not catch: money is for a person, a day passes by itself."""
    if error.until is None:
        kit.held = True
    else:
        kit.resting(Rest(provider=error.provider, until=error.until, why=str(error)))


__all__ = ["ready", "spent"]
