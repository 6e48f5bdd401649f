"""The throttle: from signals of load to a share of time, proportional, with a reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from proctor.model import Signal

EASE_FROM = 0.7
"""Below this share of every limit the run goes at full speed."""
SLOWEST = 0.1
"""The least share of time the run gets while no limit is reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How much of its time a run may spend writing: 1 all, 0 none; and why less than all."""

    duty: float = 1.0
    reason: str = ""
    cause: str = ""
    """What the reason is about, without its numbers: the same from one moment to the next."""
    vanished: tuple[str, ...] = ()
    """Signals that were there before and are not now: the run must stop."""


def pressure(signals: Sequence[Signal], *, seen: Collection[str] = (), runs: int = 1) -> Pressure:
    """What the worst signal allows, divided among the runs that share the database.

    `seen` are the names of signals that had a value earlier in this run; one of them that has
    none now, or is not among the signals at all, has vanished.
    """
    loads = [(load, s) for s in signals if (load := s.load) is not None]
    vanished = tuple(sorted(set(seen) - {s.name for _, s in loads}))
    duty, reason, cause = 1.0, "", ""
    if loads:
        load, worst = max(loads, key=lambda pair: pair[0])
        duty = _duty(load)
        if duty < 1.0:
            reason, cause = describe(worst), worst.name
    if duty > 0 and runs > 1:
        duty /= runs
        reason = reason or f"{runs} runs share this database"
        cause = cause or "shared"
    return Pressure(duty=duty, reason=reason, cause=cause, vanished=vanished)


def _duty(load: float) -> float:
    if load >= 1.0:
        return 0.0
    if load <= EASE_FROM:
        return 1.0
    room = (1.0 - load) / (1.0 - EASE_FROM)
    return SLOWEST + (1.0 - SLOWEST) * room


def describe(signal: Signal) -> str:
    """One signal in words and numbers."""
    if signal.value is None or signal.load is None:
        return f"{signal.name}: not watched ({signal.why or 'not available here'})"
    unit = f" {signal.unit}" if signal.unit else ""
    why = f" ({signal.why})" if signal.why else ""
    return f"{signal.name} is {signal.value:,.4g} of {signal.limit:,.4g}{unit}{why}"


def rest_after(busy: float, duty: float, *, longest: float = 60.0) -> float:
    """Seconds to rest after being busy for `busy` seconds, so that the duty holds.

    At most `longest`, after which the load is looked at anew. At duty 0 nothing is owed: the
    caller may not begin at all before a signal gives way.
    """
    if duty >= 1.0 or duty <= 0.0:
        return 0.0
    return min(longest, busy * (1.0 / duty - 1.0))
