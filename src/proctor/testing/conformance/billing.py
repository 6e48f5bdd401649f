"""What every purse must do with bills: a call stands on its run's, once, by how it ended."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from proctor.model import Answer, Bill, Ending, Finish, Granted, Limits
from proctor.testing.conformance.paying import Purses, answer, ended, one, told, want


def finished(n: int, finish: Finish) -> Answer:
    """An answer whose reply ended so."""
    whole = answer(n)
    return replace(whole, reply=replace(whole.reply, finish=finish))


class Billing:
    """Part of PurseConformance."""

    async def test_a_call_stands_on_its_runs_bill_by_how_it_ended(self, purses: Purses) -> None:
        """P6: calls, tokens and money by run and provider; each hold once, however often told."""
        purse = await purses({"p": Limits(), "q": Limits()})
        asked = [("run-1", "p"), ("run-1", "p"), ("run-1", "q"), ("run-2", "p"), ("run-1", "p")]
        words = await purse.reserve(
            [want(n, run=r, provider=p, usd="0.5") for n, (r, p) in enumerate(asked)]
        )
        ends = [
            ended(words[0], cost="0.1", answer=finished(0, Finish.REFUSED)),
            ended(words[1], limited=True, ended=Ending.LIMITED),
            ended(words[2], cost="0.5", ended=Ending.BROKEN),
            ended(words[3], cost="0.2", answer=finished(3, Finish.LENGTH)),
        ]
        await purse.settle(ends)
        await purse.settle(ends)
        first, second, other = await purse.bills(["run-1", "run-2", "none"])
        used: dict[str, Any] = {"input_tokens": 11, "output_tokens": 7}
        held: dict[str, Any] = {"flying": 1, "held_usd": Decimal("0.5")}
        of_first: dict[str, Any] = {"calls": 2, "usd": Decimal("0.1"), "refused": 1, "limited": 1}
        assert first == Bill(run="run-1", provider="p", **of_first, **used, **held)
        assert second == Bill(run="run-1", provider="q", calls=1, usd=Decimal("0.5"), broken=1)
        of_other: dict[str, Any] = {"calls": 1, "usd": Decimal("0.2"), "cut_off": 1}
        assert other == Bill(run="run-2", provider="p", **of_other, **used)

    async def test_what_costs_nothing_is_added_to_a_bill(self, purses: Purses) -> None:
        """Also where no call was made, and by whoever shares the ledger."""
        limits = {"p": Limits()}
        mine, theirs = await purses(limits), await purses(limits)
        await mine.settle([], [Bill(run="run-1", provider="p", kept=3)])
        await theirs.settle([], [Bill(run="run-1", provider="p", kept=4, fallbacks=1)])
        (found,) = await mine.bills(["run-1"])
        assert found == Bill(run="run-1", provider="p", kept=7, fallbacks=1)
        assert await mine.bills([]) == []

    async def test_four_fifths_of_a_limit_are_told_once(self, purses: Purses) -> None:
        """To the one whose call it is, whoever shares the ledger; not again while more is used."""
        limits = {"p": Limits(daily=10, budget_usd=Decimal(1))}
        both = [await purses(limits), await purses(limits)]
        days: list[str] = []
        budgets: list[str] = []
        for n in range(10):
            purse = both[n % 2]
            word = await one(purse, n=n, usd="0.1")
            assert isinstance(word, Granted), word
            near = [word.neared] if word.neared else []
            days += [f"{n} {told.limit} {told.used} of {told.of}" for told in near]
            near = list(await purse.settle([ended(word, cost="0.1")]))
            budgets += [f"{n} {told.limit} {told.used} of {told.of}" for told in near]
        assert days == ["7 daily 8 of 10"]
        assert budgets == ["7 budget_usd 0.8 of 1"]

    async def test_why_a_call_would_wait_is_told(self, purses: Purses) -> None:
        """For faces: what keeps everybody waiting, or when the day's quota begins anew."""
        purse = await purses({"p": Limits(concurrency=1), "q": Limits(daily=1), "r": Limits()})
        await purse.reserve([want(1), want(2, provider="q"), want(3, provider="r", tokens=5)])
        full, spent, free = [await told(purse, name) for name in "pqr"]
        assert "1 calls are in flight, and 1 may be" in full.waits
        assert (spent.waits, spent.until is not None) == ("", True)
        assert (free.waits, free.until, free.minute, free.minute_tokens) == ("", None, 1, 5)


__all__ = ["Billing"]
