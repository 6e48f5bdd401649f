"""What is configured, reachable and permitted: one finding a line, each with what to do."""

from __future__ import annotations

from collections.abc import Mapping

from proctor.authoring import Backfill
from proctor.core.throttle import describe
from proctor.engine.show import money
from proctor.engine.site import Site, Told
from proctor.engine.snapshot import Finding
from proctor.errors import ProctorError
from proctor.model import ProviderSeen


async def examine(site: Site, backfills: Mapping[str, Backfill]) -> list[Finding]:
    """Look at ledger, store, signals, providers and every backfill's tables; asks no provider."""
    found = [await _ledger(site)]
    found += await _store(site)
    found += await _providers(site)
    found += [await _signal(site, told) for told in site.signals]
    found += _notices(site)
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


def _notices(site: Site) -> list[Finding]:
    """Where notices go; nothing is sent."""
    seen = site.notices.look() if site.notices is not None else []
    if not seen:
        none = "nobody is told of failures, stalls and alerts"
        return [Finding(subject="notices", ok=True, detail=f"{none}; [notify] in proctor.toml")]
    return [
        Finding(
            subject=f"notices: {one.name}",
            ok=not one.wrong,
            detail=one.wrong or f"{one.kind}, {one.severity} and above of {', '.join(one.events)}",
            fix=one.fix,
        )
        for one in seen
    ]


async def _providers(site: Site) -> list[Finding]:
    try:
        found = [_provider(seen) for seen in await site.providers()]
        return [*found, await _answers(site)] if found else []
    except ProctorError as error:
        return [_bad("providers", error)]


async def _answers(site: Site) -> Finding:
    """How much of paid answers is kept, and whether it is more than it should be."""
    stocks, keep = await (await site.purse()).stock(), site.keep
    size, count = sum(s.size for s in stocks), sum(s.answers for s in stocks)
    oldest = min((s.oldest for s in stocks), default=None)
    bounds = [f"kept for {keep.age.days:,} days" if keep.age else ""]
    bounds += [f"at most {keep.most_bytes / 1e6:,.1f} MB" if keep.most_bytes else ""]
    over = keep.most_bytes is not None and size > keep.most_bytes
    over |= keep.age is not None and oldest is not None and oldest < site.clock.now() - keep.age
    words = [
        f"{_plural(count, 'answer')} kept, {size / 1e6:,.1f} MB",
        f"since {oldest:%Y-%m-%d}" if oldest else "",
        ", ".join(bound for bound in bounds if bound) or "kept for good",
        "more than that: proctor answers prune" if over else "",
    ]
    return Finding(subject="paid answers", ok=True, detail="; ".join(w for w in words if w))


def _provider(seen: ProviderSeen) -> Finding:
    """One of proctor.toml, by what is known without asking it."""
    section = f"[providers.{seen.name}]"
    fix, limits, here = "", seen.limits, seen.model.startswith("local:")
    if seen.wrong:
        fix = "see what it says; nothing can be asked before"
    elif seen.key_env and not seen.key_is_set:
        fix = f"export {seen.key_env}=… before you call proctor"
    elif seen.price is None and seen.service:
        fix = f"{section} price = {{ request = … }} (US dollars; 0 where it costs nothing)"
    elif seen.price is None:
        fix = f"{section} price = {{ input = …, output = … }} (US dollars for 1M tokens)"
    elif limits.budget_usd is not None and seen.spent.usd >= limits.budget_usd:
        fix = f"the budget is spent: raise budget_usd of {section}"
    words = [
        seen.model,
        seen.wrong,
        (f"{seen.key_env} is set" if seen.service else f"key in {seen.key_env}")
        if seen.key_is_set
        else "",
        f"{seen.key_env} is not set" if seen.key_env and not seen.key_is_set else "",
        *(
            ("it costs nothing",)
            if here
            else (_priced(seen), ", ".join(_limits(seen)), _spent(seen))
        ),
    ]
    detail = "; ".join(word for word in words if word)
    return Finding(subject=f"provider {seen.name}", ok=not fix, detail=detail, fix=fix)


def _priced(seen: ProviderSeen) -> str:
    price = seen.price
    if price is None:
        return "" if seen.wrong else "its price is not known"
    if seen.service:
        return f"${price.per_request:f} a request ({price.source})"
    sums = f"${price.input_per_million:f} in, ${price.output_per_million:f} out"
    return f"{sums} for 1M tokens ({price.source})"


def _limits(seen: ProviderSeen) -> list[str]:
    limits, today = seen.limits, seen.spent.today
    bounds = {"rpm": limits.rpm, "tpm": limits.tpm, "concurrency": limits.concurrency}
    found = [f"{name} {bound:,}" for name, bound in bounds.items() if bound is not None]
    if limits.daily is not None:
        found.append(f"{today:,} of {limits.daily:,} requests today")
    return found


def _spent(seen: ProviderSeen) -> str:
    """What it has cost so far, and what the budget leaves; a hold nobody settled is spent."""
    spent, budget = seen.spent, seen.limits.budget_usd
    words = money(spent.usd) + (f" of {money(budget)}" if budget is not None else "")
    words += f" spent in {_plural(spent.calls, 'call')}"
    words += f", {money(spent.held_usd)} held" if spent.held_usd else ""
    return words if budget is not None else f"{words}, no budget is set"


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
