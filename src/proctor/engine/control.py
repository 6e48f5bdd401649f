"""An operator's words to a run: pause, other knobs; each on record, before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, Final

from proctor.engine.site import Site, is_dead
from proctor.errors import IllegalMove, UsageError
from proctor.model import Run, RunState, Tuning

OVER = frozenset({RunState.SUCCEEDED, RunState.CANCELLED, RunState.ROLLED_BACK})
"""States in which a run neither goes on nor can be resumed."""
NEXT: Final = {
    RunState.PAUSED: "nothing: it rests already; go on with proctor resume {}",
    RunState.FAILED: "nothing: nobody works on it; go on with proctor resume {}",
    RunState.SUCCEEDED: "nothing is left to stop; undo it with proctor rollback {}",
    RunState.CANCELLED: "nothing is left to stop; undo what it wrote with proctor rollback {}",
    RunState.ROLLED_BACK: "nothing: what it wrote is undone",
}
"""What is left to do about a run that rests or has ended."""


def refuse_ended(run: Run) -> None:
    """IllegalMove for a run that nobody can give up any more."""
    if run.state in OVER:
        raise IllegalMove(
            f"run {run.id} cannot be cancelled",
            found=f"it is {run.state.value}",
            fix=NEXT[run.state].format(run.id),
        )


async def pause(site: Site, run: Run) -> Run:
    """Ask for a pause; a run whose process is gone is paused at once."""
    if run.state is not RunState.RUNNING:
        raise IllegalMove(
            f"run {run.id} cannot be paused",
            found=f"it is {run.state.value}",
            fix=NEXT.get(run.state, f"see it come to rest: proctor watch {run.id}").format(run.id),
        )
    gone = run.interrupted or (run.holder is not None and is_dead(run.holder))
    reason = f"paused by {site.who}"
    after = await site.store.move(run.id, RunState.PAUSING, among=[RunState.RUNNING], reason=reason)
    if gone:
        after = await site.store.move(
            run.id, RunState.PAUSED, among=[RunState.PAUSING], reason=reason
        )
    site.events.emit("run.pausing", run.id, before=run.state.value, after=after.state.value)
    await site.events.flush()
    return after


async def change_knobs(site: Site, run: Run, changes: Mapping[str, str]) -> Run:
    """Change knobs by name; the holder follows within a second. IllegalMove for an ended run."""
    knobs = tuned(run.tuning, changes)
    if run.state in OVER:
        raise IllegalMove(
            f"run {run.id} has no more use for knobs",
            found=f"it is {run.state.value}",
            fix="tune a run, or its rollback, while it goes on or before it is resumed",
        )
    after = await site.store.tune(run.id, knobs)
    site.events.emit("run.tuned", run.id, before=plain(run.tuning), after=plain(after.tuning))
    await site.events.flush()
    return after


def tuned(now: Tuning, changes: Mapping[str, str]) -> Tuning:
    """The knobs after typed changes; `auto` gives one back to Proctor."""
    knobs: dict[str, Callable[[str], Any]] = {
        "chunk_rows": lambda t: _whole(t, least=1, most=1_000_000),
        "workers": lambda t: _whole(t, least=1, most=64),
        "pause": lambda t: timedelta(seconds=_number(t)),
        "rows_per_second": _number,
    }
    for name, text in changes.items():
        if name not in knobs:
            raise UsageError(
                f"there is no knob named {name}",
                found=f"{name}={text}",
                fix=f"knobs: {', '.join(knobs)}; each takes a number, or auto",
            )
        try:
            value = None if text in ("auto", "") else knobs[name](text)
        except ValueError as error:
            raise UsageError(
                f"{name} cannot be {text!r}", found=str(error), fix="give a number, or auto"
            ) from error
        now = replace(now, **{name: value})
    return now


def _whole(text: str, *, least: int, most: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError("it is no whole number") from None
    if not least <= value <= most:
        raise ValueError(f"it must be from {least} to {most}")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("it is no number") from None
    if not 0 < value < 1e9:
        raise ValueError("it must be above 0")
    return value


def plain(tuning: Tuning) -> dict[str, Any]:
    """The knobs as JSON-safe values."""
    return {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in asdict(tuning).items()
    }
