"""Of every purse: batch calls are written down before they are made, and outlive who made them."""

from __future__ import annotations

from decimal import Decimal

from proctor.model import (
    BatchNote,
    BatchState,
    Elsewhere,
    Ending,
    Granted,
    Limits,
    Price,
    Spent,
    Wait,
    Want,
)
from proctor.testing.conformance.paying import (
    Purses,
    answer,
    ended,
    granted,
    one,
    process,
    told,
    want,
)

NOTE = BatchNote(
    model="p:large",
    price=Price(
        input_per_million=Decimal("0.125"),
        output_per_million=Decimal(1),
        cached_per_million=Decimal("0.02"),
        source="half",
    ),
    questions=2,
    most_input=100,
    most_output=200,
    backfill="songs",
    sensitive=True,
)


def batch(n: int = 1, *more: int, usd: str = "0.50") -> Want:
    """A batch call of the suite."""
    asked = want(n, *more, usd=usd)
    return Want(provider="p", key=asked.key, more=asked.more, hold=asked.hold, run="r", batch=NOTE)


class Batching:
    """Part of PurseConformance."""

    async def test_a_batch_call_takes_nothing_of_direct_calls_but_money(
        self, purses: Purses
    ) -> None:
        """P6: vendors count them apart; the budget is one."""
        limits = Limits(rpm=1, tpm=1, daily=1, concurrency=1, budget_usd=Decimal(1))
        purse = await purses({"p": limits})
        words = await purse.reserve([batch(1), batch(2), want(3, tokens=1, usd="0.00")])
        assert granted(words) == 3
        assert isinstance(await one(purse, usd="0.01"), Spent | Wait)
        found = await told(purse)
        assert (found.today, found.minute, found.held_usd) == (1, 1, Decimal(1))

    async def test_money_that_a_batch_call_holds_may_come_free(self, purses: Purses) -> None:
        """What can never fit is spent; what may fit later waits."""
        purse = await purses({"p": Limits(budget_usd=Decimal(1))})
        (word,) = await purse.reserve([batch(1, usd="0.80")])
        later, never = await purse.reserve([batch(2, usd="0.90"), batch(3, usd="1.10")])
        assert (type(later), type(never)) == (Wait, Spent)
        await purse.settle([ended(word, cost="0.05")])
        assert granted(await purse.reserve([batch(2, usd="0.90")])) == 1

    async def test_a_batch_call_outlives_its_process(self, purses: Purses) -> None:
        """P5: its questions are asked by nobody else, and everybody finds it."""
        limits = {"p": Limits(budget_usd=Decimal(1))}
        first = await purses(limits, holder=process(1))
        (word,) = await first.reserve([batch(1, 2)])
        second = await purses(limits, holder=process(2), is_gone=process(1).__eq__)
        theirs = await one(second, n=2)
        assert isinstance(theirs, Elsewhere)
        assert theirs.batched
        (found,) = await second.batches("p")
        assert isinstance(word, Granted)
        assert (found.number, found.note, found.run) == (word.number, NOTE, "r")
        assert (found.state, found.usd) == (BatchState.RESERVED, Decimal("0.50"))
        assert found.keys == {f"{1:064}", f"{2:064}"}
        assert await second.batches("q") == await second.batches(runs=["other"]) == []

    async def test_how_far_a_batch_call_is_changes_step_by_step(self, purses: Purses) -> None:
        """Of two who would give it back and begin it, one comes first."""
        purse = await purses({"p": Limits()})
        (word,) = await purse.reserve([batch()])
        assert isinstance(word, Granted)
        steps = BatchState.RESERVED, BatchState.SENT
        assert await purse.move_batch(word.number, *steps, ticket="file-1")
        assert not await purse.move_batch(word.number, *steps, ticket="file-2")
        assert await purse.move_batch(
            word.number, BatchState.SENT, BatchState.OPEN, called="batch-1"
        )
        (found,) = await purse.batches("p")
        assert (found.state, found.ticket, found.id) == (BatchState.OPEN, "file-1", "batch-1")

    async def test_a_settled_batch_call_stands_on_the_bill_as_one(self, purses: Purses) -> None:
        """By whichever process, once: its answers are kept, its questions free."""
        limits = {"p": Limits(budget_usd=Decimal(1))}
        first, second = await purses(limits), await purses(limits)
        (word,) = await first.reserve([batch(1, 2)])
        settled = ended(word, cost="0.02", answer=answer(1), replies=(answer(1).reply,))
        for purse in (first, second):
            await purse.settle([settled])
        assert await second.batches("p") == []
        (bill,) = await second.bills(["r"])
        assert (bill.calls, bill.batches, bill.batched) == (1, 1, 1)
        assert bill.usd == bill.batched_usd == Decimal("0.02")
        assert (await told(second)).usd == Decimal("0.02")
        assert isinstance(await one(second, n=1), Elsewhere)
        assert isinstance(await one(second, n=2), Granted)

    async def test_a_batch_call_that_came_to_nothing_is_none_on_the_bill(
        self, purses: Purses
    ) -> None:
        """It was let through, and broke."""
        purse = await purses({"p": Limits()})
        (word,) = await purse.reserve([batch(1, 2)])
        await purse.settle([ended(word, ended=Ending.BROKEN)])
        (bill,) = await purse.bills(["r"])
        assert (bill.calls, bill.broken, bill.batches) == (1, 1, 0)
        assert bill.batched_usd == 0


__all__ = ["Batching"]
