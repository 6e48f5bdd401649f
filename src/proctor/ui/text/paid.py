"""Paid answers in words: what a sample of them tells of a run."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from proctor.engine.show import money
from proctor.engine.snapshot import Estimate
from proctor.model import Account, Foreseen, Foresight
from proctor.ui import bills, words
from proctor.ui.text.blocks import facts, heading, table


def forecast(seen: Foresight) -> list[RenderableType]:
    """Tokens, money, time and days of a whole run."""
    sample = words.plural(seen.rows, "row")
    left = [
        f"{money(p.left_usd)} of {p.provider}" for p in seen.providers if p.left_usd is not None
    ]
    days = [f"{words.plural(p.days, 'day')} of {p.provider}" for p in seen.providers if p.days]
    expected = f"about {money(seen.usd)}, {money(seen.usd_low)} to {money(seen.usd_high)}"
    time = words.estimate(Estimate(low=seen.low, high=seen.high))
    return [
        Text(),
        heading("Paid answers", f"a forecast from {sample}, for which providers were asked"),
        per_provider(seen),
        facts(
            (
                ("money", f"{expected}, for all {words.plural(seen.eligible, 'row')}"),
                ("still to pay", f"about {money(seen.to_pay)}"),
                ("paid just now", paid(seen)),
                ("time for them", time + (f", by {seen.bound}" if seen.bound else "")),
                ("budget left", ", ".join(left) or "no budget is set"),
                ("daily quota", ", ".join(days)),
            )
        ),
    ]


def accounts(seen: Sequence[Account], unknown: str, written: int) -> list[RenderableType]:
    """What a run has asked of each provider so far, and what is left."""
    if unknown:
        return [facts((("paid answers", bills.all_in_one((), unknown, written)),))]
    drawn: list[RenderableType] = []
    for one in seen:
        drawn += [Text(), heading(f"  {words.visible(one.name)}", words.visible(one.model))]
        drawn.append(facts(bills.facts(one, written)))
    return drawn


def per_provider(seen: Foresight) -> RenderableType:
    """What is asked of each, a row and for the run."""
    return table(
        ("provider", "model", "calls a row", "tokens a row", "calls", "tokens", "money"),
        (_line(one) for one in seen.providers),
    )


def _line(one: Foreseen) -> tuple[str, ...]:
    return (
        words.visible(one.provider),
        words.visible(one.model),
        f"{one.calls_per_row:.3g}",
        f"{one.input_per_row:,.0f} in, {one.output_per_row:,.0f} out",
        f"{one.calls:,}",
        f"{one.input_tokens:,} in, {one.output_tokens:,} out",
        f"{money(one.usd_low)} to {money(one.usd_high)}",
    )


def paid(seen: Foresight) -> str:
    """What a sample has cost, now that it was made."""
    if not seen.paid_calls:
        return "nothing: the answers were kept already" if seen.providers else "nothing"
    return f"{money(seen.paid)} for {words.plural(seen.paid_calls, 'call')}"


__all__ = ["accounts", "forecast", "paid", "per_provider"]
