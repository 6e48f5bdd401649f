"""Of every purse: whose calls are in flight, and that two never pay for the same one."""

from __future__ import annotations

import re

from decimal import Decimal

from proctor.model import Elsewhere, Granted, Limits, Wait
from proctor.testing.conformance.paying import (
    OVER,
    Purses,
    answer,
    ended,
    granted,
    one,
    process,
    told,
    want,
)


class Holding:
    """Part of PurseConformance."""

    async def test_the_place_of_a_process_that_is_gone_is_free_at_once(
        self, purses: Purses
    ) -> None:
        """Killed at full concurrency: the next one goes on, and all that was held stays spent."""
        limits = {"p": Limits(concurrency=2, budget_usd=Decimal(1), daily=5)}
        first = await purses(limits, holder=process(1))
        assert granted(await first.reserve([want(usd="0.30"), want(usd="0.30")])) == 2
        second = await purses(limits, holder=process(2), is_gone=process(1).__eq__)
        words = [await one(second, usd="0.40") for _ in range(2)]
        assert granted(words) >= 1
        found = await told(second)
        assert (found.calls, found.held_usd) == (3, Decimal("1.00"))
        word = await one(second, usd="0.01")
        assert not isinstance(word, Granted)

    async def test_a_dead_process_frees_its_places_once(self, purses: Purses) -> None:
        """Two look after it; there are as many places as before."""
        limits = {"p": Limits(concurrency=2)}
        await one(await purses(limits, holder=process(1)))
        others = [
            await purses(limits, holder=process(n), is_gone=process(1).__eq__) for n in (2, 3)
        ]
        words = [await one(purse) for _ in range(3) for purse in others]
        assert granted(words) == 2

    async def test_a_wait_says_who_holds_the_places_and_until_when(self, purses: Purses) -> None:
        """A process on another machine may live: only its time-out tells."""
        limits = {"p": Limits(concurrency=2)}
        first = await purses(limits, holder=process(123, "db7"))
        await first.reserve([want(), want()])
        second = await purses(limits, holder=process(2))
        words = [await one(second) for _ in range(2)]
        assert isinstance(words[1], Wait)
        assert "2 calls are in flight, and 2 may be; 2 of them held by pid 123 on host db7" in (
            words[1].reason
        )
        assert re.search(r"until \d\d:\d\d:\d\d UTC$", words[1].reason)

    # The same question at once

    async def test_a_question_in_flight_is_not_let_through_again(self, purses: Purses) -> None:
        """P5: identical inputs are asked once, also while in flight, by whichever process."""
        first = await purses({"p": Limits()}, holder=process(1))
        second = await purses({"p": Limits(), "q": Limits()}, holder=process(2))
        word = await one(first, n=1)
        for theirs in (await one(second, n=1), await one(second, n=1, provider="q")):
            assert isinstance(theirs, Elsewhere)
            assert theirs.keys == {want(1).key}
            assert theirs.seconds > 0
            assert "pid 1 on host here" in theirs.reason
        await first.settle([ended(word, answer=answer(1))])
        found = await one(second, n=1)
        assert isinstance(found, Elsewhere)
        assert found.seconds == 0
        assert (await told(second)).calls == 1

    async def test_each_question_of_a_call_is_in_flight(self, purses: Purses) -> None:
        """P5, inside a batch call: those that another asks are named, and the others may go."""
        first = await purses({"p": Limits()}, holder=process(1))
        second = await purses({"p": Limits()}, holder=process(2))
        (word,) = await first.reserve([want(1, 2, 3)])
        (theirs,) = await second.reserve([want(3, 4, 2)])
        assert isinstance(theirs, Elsewhere)
        assert theirs.keys == {f"{n:064}" for n in (2, 3)}
        assert isinstance(await one(second, n=4), Granted)
        await first.settle([ended(word)])
        assert isinstance((await second.reserve([want(3, 2)]))[0], Granted)

    async def test_a_question_of_a_process_that_is_gone_is_let_through(
        self, purses: Purses
    ) -> None:
        """Its answer will not come: whoever waits for it asks."""
        await one(await purses({"p": Limits()}, holder=process(1)), n=1, usd="0.5")
        second = await purses({"p": Limits()}, holder=process(2), is_gone=process(1).__eq__)
        assert isinstance(await one(second, n=1, usd="0.25"), Granted)
        assert isinstance(await one(second, n=1), Elsewhere)
        assert (await told(second)).held_usd == Decimal("0.75")

    async def test_a_question_whose_time_is_over_is_let_through(self, purses: Purses) -> None:
        """On whichever machine: no call lasts so long. Its late end takes nothing from the new."""
        first = await purses({"p": Limits()}, holder=process(1), hold_for=OVER)
        late = await one(first, n=1)
        second = await purses({"p": Limits()}, holder=process(2))
        assert isinstance(await one(second, n=1), Granted)
        await first.settle([ended(late)])
        assert isinstance(await one(first, n=1), Elsewhere)


__all__ = ["Holding"]
