"""An operator's words to a run: pause, other knobs, forget; each on record, before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from proctor.engine.site import Site, is_dead
from proctor.errors import UsageError
from proctor.model import Run, RunState, Tuning


async def pause(site: Site, run: Run) -> Run:
    """Ask for a pause; a run whose process is gone is paused at once."""
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
    """Change knobs by name; the holder follows within a second."""
    after = await site.store.tune(run.id, tuned(run.tuning, changes))
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
    value = int(text)
    if not least <= value <= most:
        raise ValueError(f"it must be from {least} to {most}")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError("it must be above 0")
    return value


def plain(tuning: Tuning) -> dict[str, Any]:
    """The knobs as JSON-safe values."""
    return {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in asdict(tuning).items()
    }


async def erase(
    site: Site,
    *,
    older_than: timedelta | None,
    keys: Sequence[str],
    run: str | None,
) -> int:
    """Forget images by age, by run or by key; on record, without the keys themselves."""
    if older_than is None and not keys and run is None:
        raise UsageError(
            "say what to forget",
            found="neither --older-than, --run nor --keys was given",
            fix="for example: proctor prune --older-than 30d",
        )
    found = await site.store.run(run) if run else None
    parsed: tuple[Any, ...] = ()
    if keys:
        if found is None:
            raise UsageError(
                "keys are only known within a run",
                found="--keys without --run",
                fix="name the run: proctor prune --run RUN --keys K",
            )
        spec = await site.store.spec_of(found.id)
        parsed = tuple(site.store.parse_key(spec, k) for k in keys)
    cut = site.clock.now() - older_than if older_than is not None else None
    rows = await site.store.prune(older_than=cut, run=found.id if found else None, keys=parsed)
    site.events.emit(
        "images.pruned",
        found.id if found else "",
        rows=rows,
        keys=len(parsed),
        older_than=cut.isoformat() if cut else None,
    )
    await site.events.flush()
    return rows
