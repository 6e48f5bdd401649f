"""Kept answers: listed for export, and forgotten when nobody needs them; both on record."""

from __future__ import annotations

import json

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from proctor.core.keeping import Cut, Keep, cuts
from proctor.core.lifecycle import OCCUPYING
from proctor.engine.site import Site
from proctor.engine.undo import undoable
from proctor.errors import UsageError
from proctor.model import Answer, Run, RunState, Stock

SAMPLE = "sample "
"""How the answers of paid samples name what asked them: no run."""


async def exported(site: Site, run: str, backfill: str) -> AsyncGenerator[Mapping[str, Any], None]:
    """Every kept answer, of a run or a backfill if named, without secrets and sensitive values.

    What was handed out is on record also where the receiver goes away: close it, do not drop it.
    """
    purse = await site.purse()
    after, count = "", 0
    try:
        while page := await purse.kept(after=after, run=run, backfill=backfill):
            for answer in page:
                count += 1
                yield document(answer, site.redact)
            after = page[-1].key
    finally:
        site.events.emit("answers.exported", run, backfill=backfill, answers=count)
        await site.events.flush()


def document(answer: Answer, redact: Callable[[str], str]) -> dict[str, Any]:
    """One answer as it leaves: its reply is withheld where it may repeat a sensitive field."""
    reply, usage = answer.reply, answer.reply.usage
    return {
        "key": answer.key,
        "kind": answer.kind.value,
        "provider": answer.provider,
        "model": answer.model,
        "answered_by": reply.model,
        "finish": reply.finish.value,
        "reply": None if answer.sensitive else _clean(json.loads(reply.raw), redact),
        "withheld": answer.sensitive,
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
        },
        "cost_usd": f"{answer.cost:f}",
        "at": answer.at.isoformat(),
        "run": answer.run,
        "backfill": answer.backfill,
    }


def _clean(value: Any, redact: Callable[[str], str]) -> Any:
    match value:
        case str():
            return redact(value)
        case list():
            return [_clean(part, redact) for part in value]
        case dict():
            return {redact(name): _clean(part, redact) for name, part in value.items()}
        case _:
            return value


async def prunable(site: Site, keep: Keep) -> list[Cut]:
    """What would be forgotten, and what is old enough and must stay, with the reason."""
    if keep == Keep():
        raise UsageError(
            "nothing says how long answers are kept",
            found="neither --older-than nor [answers] in proctor.toml",
            fix='say proctor answers prune --older-than 90d, or write [answers] keep_for = "90d"',
        )
    stocks = await (await site.purse()).stock()
    runs = {run.id: run for run in await site.store.runs()}
    active = {run.backfill for run in runs.values() if run.state in OCCUPYING}
    asked = {stock.backfill for stock in stocks} | {
        runs[stock.run].backfill for stock in stocks if stock.run in runs
    }
    held = [r for r in runs.values() if r.backfill in asked and await _verifiable(site, r)]
    held_runs, held_backfills = {r.id for r in held}, {r.backfill for r in held}

    def needed(stock: Stock) -> str:
        run = runs.get(stock.run)
        if run is None and not stock.run.startswith(SAMPLE):
            return f"its run is not one of environment {site.env}"
        backfill = run.backfill if run else stock.backfill
        if backfill in active:
            return "a run of its backfill is not over"
        # A run that came after a sample, or after one that was taken back, has used its answers.
        shared = run is None or run.state in (RunState.ROLLED_BACK, RunState.CANCELLED)
        if stock.run in held_runs or (shared and backfill in held_backfills):
            return "a run that used it can still be verified"
        return ""

    return cuts(stocks, keep, site.clock.now(), needed)


async def _verifiable(site: Site, run: Run) -> bool:
    """Whether `verify` can still compute it again: its undo data is there."""
    if run.state is RunState.ROLLED_BACK:
        return False
    return any(undoable(chunk) for chunk in await site.store.chunks(run.id))


async def forget(site: Site, plan: Sequence[Cut]) -> int:
    """Forget what is not needed; how many answers that were."""
    purse, total = await site.purse(), 0
    for cut in plan:
        if cut.needed:
            continue
        stock = cut.stock
        count = await purse.forget(stock.run, cut.before)
        site.events.emit("answers.pruned", stock.run, backfill=stock.backfill, answers=count)
        await site.events.flush()  # of one run at a time: the next may fail
        total += count
    return total


__all__ = ["document", "exported", "forget", "prunable"]
