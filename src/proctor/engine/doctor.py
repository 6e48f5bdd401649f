"""What is configured, reachable and permitted: one finding a line, each with what to do."""

from __future__ import annotations

from collections.abc import Mapping

from proctor.authoring import Backfill
from proctor.core.throttle import describe
from proctor.engine.site import Site, Told
from proctor.engine.snapshot import Finding
from proctor.errors import ProctorError


async def examine(site: Site, backfills: Mapping[str, Backfill]) -> list[Finding]:
    """Look at the ledger, the store, its signals and every backfill's tables; writes nothing."""
    found = [await _ledger(site)]
    found += await _store(site)
    found += [await _signal(site, told) for told in site.signals]
    for backfill in backfills.values():
        found.append(await _backfill(site, backfill))
        for told in site.listen(backfill.signals):
            found.append(await _signal(site, told, f" of {backfill.name}"))
    if not backfills:
        found.append(
            Finding(
                subject="backfills",
                ok=False,
                detail="none is defined",
                fix="name their modules under `backfills` in proctor.toml",
            )
        )
    return found


async def _ledger(site: Site) -> Finding:
    try:
        events = await site.events.ledger.events(limit=1)
        chain = await site.events.ledger.verify_chain()
    except ProctorError as error:
        return _bad("ledger", error)
    if not chain.intact:
        return Finding(
            subject="ledger",
            ok=False,
            detail=f"its record was changed at event {chain.broken_at}: {chain.why}",
            fix="find out who wrote to it; a copy of the head hash elsewhere tells since when",
        )
    when = f"last event {events[-1].at:%Y-%m-%d %H:%M} UTC" if events else "empty"
    return Finding(
        subject="ledger",
        ok=True,
        detail=f"reachable, {_plural(chain.events, 'event')} in an unbroken chain, {when}",
    )


async def _store(site: Site) -> list[Finding]:
    try:
        health = await site.store.health()
        runs = await site.store.runs()
    except ProctorError as error:
        return [_bad(f"store of {site.env}", error)]
    found = [
        Finding(
            subject=f"store of {site.env}",
            ok=True,
            detail=f"reachable; {_plural(len(runs), 'run')} on record"
            + ("; protected" if site.protected else ""),
        )
    ]
    found += [
        Finding(
            subject=f"throttle: {signal.name}",
            ok=True,
            detail=describe(signal),
            fix=signal.why if signal.value is None else "",
        )
        for signal in site.limited(health.signals)
    ]
    return found


async def _signal(site: Site, told: Told, of: str = "") -> Finding:
    """One of the user's own signals, asked once: a run would go on without it at full speed."""
    subject = f"throttle: {told.name}{of}"
    try:
        (signal,) = site.limited([await told.load()()])
    except ProctorError as error:
        return _bad(subject, error)
    return Finding(
        subject=subject,
        ok=signal.value is not None,
        detail=describe(signal),
        fix="mend what it asks, or take it out: a run would go on without it"
        if signal.value is None
        else "",
    )


async def _backfill(site: Site, backfill: Backfill) -> Finding:
    subject = f"backfill {backfill.name}"
    spec, needed = backfill.supposed()
    try:
        shape = await site.store.inspect(spec)
    except ProctorError as error:
        return _bad(subject, error)
    if not shape.can_create:
        return Finding(
            subject=subject,
            ok=False,
            detail="Proctor's tables may not be made beside the data",
            fix=f"{shape.to_create}; or set progress = 'ledger' for this environment",
        )
    words = f"{shape.address}: table, key and fields fit"
    if needed:
        words += f"; needs {' '.join(f'--param {name}=…' for name in needed)}"
    if shape.warnings:
        words += f"; {_plural(len(shape.warnings), 'warning')} in its plan"
    return Finding(subject=subject, ok=True, detail=words)


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _bad(subject: str, error: ProctorError) -> Finding:
    detail = f"{error.what}: {error.found}" if error.found else error.what
    return Finding(subject=subject, ok=False, detail=detail, fix=error.fix)
