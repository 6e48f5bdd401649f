"""The units of a grid as people see them: how many stand where, and what their author counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from proctor.engine.show import MASK, is_hidden, shown_key
from proctor.engine.site import Site
from proctor.engine.snapshot import Snapshot, UnitsSeen
from proctor.engine.touched import leftovers
from proctor.model import Run, Spec, Unit, UnitState


async def detailed(site: Site, seen: Snapshot) -> Snapshot:
    """A run with what is kept beside its chunks: its units, and what called services wrote."""
    spec = await site.store.spec_of(seen.run.id)
    units = await units_seen(site, seen.run, spec)
    return replace(seen, units=units, touched=await leftovers(site.store, seen.run, spec.touches))


async def units_seen(site: Site, run: Run, spec: Spec) -> UnitsSeen | None:
    """The units of a run's grid as they stand now; None where its rows are rows."""
    if not spec.attempts:
        return None
    units = [_shown(unit, spec) for unit in await site.store.units(run.id)]
    states = Counter(unit.state for unit in units)
    totals: Counter[str] = Counter()
    for unit in units:
        for name, value in unit.metrics.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                totals[name] += value  # type: ignore[assignment]
    return UnitsSeen(
        units=tuple(units),
        states={state.value: states[state] for state in UnitState if states[state]},
        totals=dict(sorted(totals.items())),
    )


def _shown(unit: Unit, spec: Spec) -> Unit:
    """A unit without what is marked sensitive."""
    hidden = set(spec.sensitive)
    metrics = {n: MASK if is_hidden(n, hidden) else v for n, v in unit.metrics.items()}
    return replace(unit, key=shown_key(unit.key, spec), metrics=metrics)
