"""Paid answers of a run in words, the same on every face: asked, cost, left, waited for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from proctor.engine.show import money
from proctor.engine.snapshot import Planned
from proctor.model import Account
from proctor.ui import words

NEARLY: Final = Decimal("0.8")
"""The share of a limit from which on every face warns."""
MOMENTS: Final = frozenset({"this minute", "today", "attention"})
TROUBLES: Final = (
    ("limited", "answered 429"),
    ("broken", "broke"),
    ("rejected", "rejected"),
    ("lost", "dropped"),
    ("refused", "refused by the model"),
    ("filtered", "filtered"),
    ("cut_off", "cut off"),
)


def line(one: Account, written: int) -> str:
    """One provider on one line: what a person looks for first."""
    bill = one.bill
    kept = f" (+{bill.kept:,} kept)" if bill.kept else ""
    per = one.a_row(written)
    parts = [
        f"{words.visible(one.name)}: {words.plural(bill.calls, 'call')}{kept}",
        f"{money(bill.most_usd)}{'' if per is None else f', {money(per)} a row'}",
        "" if one.left_usd is None else f"{money(one.left_usd)} left",
        troubles(one),
        *map(words.visible, one.open),
    ]
    return " · ".join(part for part in parts if part)


def facts(one: Account, written: int) -> list[tuple[str, str]]:
    """Everything known of one provider, name and value; without a value nothing is known of it."""
    bill, limits, spent = one.bill, one.limits, one.spent
    per = one.a_row(written)
    flying = f"; {bill.flying:,} in flight or lost" if bill.flying else ""
    held = f", {money(bill.held_usd)} of it held for those" if bill.held_usd else ""
    anew = f"; anew at {words.moment(one.waits_until)}" if one.waits_until else ""
    budget = limits.budget_usd
    return [
        ("calls", f"{bill.calls:,}{flying}"),
        ("kept answers", f"{bill.kept:,}, for nothing"),
        ("came to nothing", troubles(one)),
        ("batch calls", batches(one)),
        ("fallbacks", f"{bill.fallbacks:,}, asked in place of another" if bill.fallbacks else ""),
        ("tokens", f"{bill.input_tokens:,} in, {bill.output_tokens:,} out"),
        ("money", f"{money(bill.most_usd)}{held}"),
        ("a row written", words.UNKNOWN if per is None else money(per)),
        (
            "budget left",
            "no budget is set"
            if one.left_usd is None or budget is None
            else f"{money(one.left_usd)} of {money(budget)}, for all who share it",
        ),
        ("this minute", minute(one)),
        ("today", f"{spent.today:,} of {limits.daily:,} requests{anew}" if limits.daily else ""),
        ("attention", "; ".join(warnings(one))),
    ]


def columns(accounts: Sequence[Account], written: int) -> list[tuple[str, list[str]]]:
    """The same of several beside each other, without what is true for a moment only."""
    told = [dict(facts(one, written)) for one in accounts]
    names = [name for name in told[0] if name not in MOMENTS] if told else []
    rows = [(name, [one[name] for one in told]) for name in names]
    return [(name, values) for name, values in rows if any(values)]


def troubles(one: Account) -> str:
    """Calls and replies that were no answers, by kind."""
    counted = ((getattr(one.bill, name), said) for name, said in TROUBLES)
    return ", ".join(f"{count:,} {said}" for count, said in counted if count)


def batches(one: Account) -> str:
    """What was asked in batch calls, and what is being worked on."""
    bill = one.bill
    ended = f"{bill.batches:,}, with {words.plural(bill.batched, 'answer')} for"
    said = [f"{ended} {money(bill.batched_usd)}"] if bill.batches else []
    return "; ".join((*said, *map(words.visible, one.open)))


def minute(one: Account) -> str:
    """What is asked a minute just now, against what may be."""
    limits, spent = one.limits, one.spent
    parts = []
    if limits.rpm:
        parts.append(f"{spent.minute:,} of {limits.rpm:,} calls")
    if limits.tpm:
        parts.append(f"{spent.minute_tokens:,} of {limits.tpm:,} tokens")
    return ", ".join(parts)


def warnings(one: Account) -> list[str]:
    """Limits of which four fifths are used."""
    limits, spent = one.limits, one.spent
    said, name = [], words.visible(one.name)
    if limits.daily and spent.today >= NEARLY * limits.daily:
        used = words.share(spent.today, limits.daily)
        said.append(f"{used} of the daily quota of {name} is used")
    if limits.budget_usd and spent.usd + spent.held_usd >= NEARLY * limits.budget_usd:
        used = words.share(float(spent.usd + spent.held_usd), float(limits.budget_usd))
        said.append(f"{used} of the budget of {name} is spent")
    return said


def neared(event: Any) -> str:
    """The same when it happens."""
    data = event.data
    what = "daily quota" if data["limit"] == "daily" else "budget"
    mark = "$" if data["limit"] == "budget_usd" else ""
    return (
        f"four fifths of the {what} of {words.visible(data['provider'])} are used: "
        f"{mark}{data['used']} of {mark}{data['of']}"
    )


def submitted(event: Any) -> str:
    """That a vendor works on a batch call, and what that means."""
    name, count = words.visible(event.data["provider"]), event.data["questions"]
    return (
        f"a batch of {words.plural(count, 'question')} was handed to {name}, who may take a day: "
        "a run that is stopped meanwhile finds it when it goes on"
    )


def rests(event: Any) -> str:
    """That a run waits for a quota, when it begins to, and until when."""
    data = event.data
    return (
        f"waiting for the daily quota of {words.visible(data['provider'])} until "
        f"{words.moment(data['until'])}: it goes on by itself, and can be paused meanwhile"
    )


def all_in_one(accounts: Sequence[Account], unknown: str, written: int) -> str:
    """All providers in one value; unknown is never nothing."""
    if unknown:
        return f"{words.UNKNOWN}: {words.visible(unknown)}"
    return "\n".join(line(one, written) for one in accounts)


def total(accounts: Iterable[Account]) -> Decimal:
    """What all have cost together."""
    return sum((one.bill.most_usd for one in accounts), Decimal(0))


def foreseen(planned: Planned | None, accounts: Sequence[Account], written: int) -> str:
    """The plan's forecast beside what came of it."""
    if planned is None:
        return ""
    usd, rows = money(total(accounts)), words.plural(written, "row")
    return (
        f"{money(planned.usd_low)} to {money(planned.usd_high)} for {planned.rows:,} rows by the "
        f"plan of {words.moment(planned.made)}; {usd} for {rows} written"
    )


__all__ = [
    "all_in_one",
    "batches",
    "columns",
    "facts",
    "foreseen",
    "line",
    "minute",
    "neared",
    "rests",
    "submitted",
    "total",
    "troubles",
    "warnings",
]
