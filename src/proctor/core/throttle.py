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
    vanished: tuple[str, ...] = ()
    """Signals that were there before and are not now: the run must stop."""


def pressure(signals: Sequence[Signal], *, seen: Collection[str] = (), runs: int = 1) -> Pressure:
    """What the worst signal allows, divided among the runs that share the database.

    `seen` are the names of signals that had a value earlier in this run.
    """
    vanished = tuple(s.name for s in signals if s.value is None and s.name in seen)
    loads = [(load, s) for s in signals if (load := s.load) is not None]
    duty, reason = 1.0, ""
    if loads:
        load, worst = max(loads, key=lambda pair: pair[0])
        duty = _duty(load)
        if duty < 1.0:
            reason = describe(worst)
    if duty > 0 and runs > 1:
        duty /= runs
        reason = reason or f"{runs} runs share this database"
    return Pressure(duty=duty, reason=reason, vanished=vanished)


def _duty(load: float) -> float:
    if load >= 1.0:
        return 0.0
    if load <= EASE_FROM:
        return 1.0
    room = (1.0 - load) / (1.0 - EASE_FROM)
    return SLOWEST + (1.0 - SLOWEST) * room


def describe(signal: Signal) -> str:
    """One signal in words and numbers."""
    if signal.value is None:
        return f"{signal.name}: not watched ({signal.why or 'not available here'})"
    unit = f" {signal.unit}" if signal.unit else ""
    return f"{signal.name} is {signal.value:,.4g}{unit} of {signal.limit:,.4g}{unit}"


def rest_after(busy: float, duty: float, *, longest: float = 5.0) -> float:
    """Seconds to rest after being busy for `busy` seconds, so that the duty holds.

    At duty 0 the rest is `longest`: the caller asks again after it.
    """
    if duty >= 1.0:
        return 0.0
    if duty <= 0.0:
        return longest
    return min(longest, busy * (1.0 / duty - 1.0))
