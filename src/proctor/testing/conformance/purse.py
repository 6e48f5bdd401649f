"""What every purse must do: one suite, subclassed for each adapter against the real thing."""

from __future__ import annotations

import asyncio
import json

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from proctor.errors import ConfigError
from proctor.model import Granted, Hints, Limits, Spent, Wait
from proctor.ports import Purse
from proctor.testing.conformance.batching import Batching
from proctor.testing.conformance.billing import Billing
from proctor.testing.conformance.holding import Holding
from proctor.testing.conformance.paying import (
    OVER,
    ZERO,
    Purses,
    answer,
    ended,
    granted,
    one,
    told,
    want,
)
from proctor.testing.conformance.shelving import Shelving


class PurseConformance(Holding, Billing, Batching, Shelving):
    """Hold, settle, keep. Subclasses give the fixture `purses` on new, shared data."""

    # Limits

    async def test_each_want_of_a_trip_gets_its_word_in_order(self, purses: Purses) -> None:
        """One trip for many calls; a refusal in between stops nobody."""
        purse = await purses({"p": Limits(tpm=1000, budget_usd=Decimal(1)), "q": Limits(daily=1)})
        wants = [
            want(1, usd="0.60"),
            want(2, tokens=1001),
            want(3, provider="q"),
            want(4, usd="0.60"),
            want(5, provider="q"),
            want(6, usd="0.40"),
        ]
        words = await purse.reserve(wants)
        kinds = [type(word) for word in words]
        assert kinds == [Granted, Spent, Granted, Wait, Spent, Granted]
        assert len({word.number for word in words if isinstance(word, Granted)}) == 3
        assert await purse.reserve([]) == []

    @pytest.mark.parametrize(
        ("limits", "hold", "fit"),
        [
            (Limits(rpm=3), {}, 1),
            (Limits(tpm=1000), {"tokens": 600}, 1),
            (Limits(daily=3), {}, 3),
            (Limits(budget_usd=Decimal("1.00")), {"usd": "0.40"}, 2),
            (Limits(concurrency=2), {}, 2),
        ],
        ids=["rpm", "tpm", "daily", "budget", "concurrency"],
    )
    async def test_two_purses_on_one_ledger_share_every_limit(
        self, purses: Purses, limits: Limits, hold: dict[str, Any], fit: int
    ) -> None:
        """P6: two processes together get no more than one."""
        first, second = await purses({"p": limits}), await purses({"p": limits})
        words = [await one(purse, **hold) for _ in range(3) for purse in (first, second)]
        assert [type(word) is Granted for word in words] == [n < fit for n in range(6)]

    async def test_providers_do_not_share_limits(self, purses: Purses) -> None:
        """Each has its own."""
        purse = await purses({"p": Limits(daily=1), "q": Limits(daily=1)})
        words = await purse.reserve([want(1), want(2, provider="q")])
        assert granted(words) == 2

    async def test_many_at_once_never_overshoot_the_budget(self, purses: Purses) -> None:
        """P6: 32 tasks over four purses, each call at its most: not a cent over 1.00."""
        limits = {"p": Limits(budget_usd=Decimal("1.00"), concurrency=32)}
        shared = [await purses(limits) for _ in range(4)]
        costs: list[Decimal] = []

        async def ask(purse: Purse) -> None:
            while not isinstance(word := await one(purse, usd="0.03"), Spent):
                if isinstance(word, Granted):
                    await purse.settle([ended(word, cost="0.03")])
                    costs.append(Decimal("0.03"))
                await asyncio.sleep(0)

        await asyncio.gather(*(ask(shared[n % 4]) for n in range(32)))
        found = await told(shared[0])
        assert (sum(costs, ZERO), found.usd, found.held_usd) == (
            Decimal("0.99"),
            Decimal("0.99"),
            ZERO,
        )

    async def test_what_a_call_did_not_take_is_free_for_others(self, purses: Purses) -> None:
        """Tokens, money and the place in flight; never the request of the day."""
        limits = {"p": Limits(tpm=1000, budget_usd=Decimal(1), concurrency=1, daily=2)}
        first, second = await purses(limits), await purses(limits)
        word = await one(first, tokens=1000, usd="1")
        assert isinstance(await one(second, tokens=1000, usd="0.9"), Wait)
        await first.settle([ended(word, tokens=0, cost="0.10")])
        assert isinstance(await one(second, tokens=1000, usd="0.9"), Granted)
        assert isinstance(await one(second), Spent)

    async def test_a_429_slows_everybody_down(self, purses: Purses) -> None:
        """Whoever heard it, all wait."""
        limits = {"p": Limits(rpm=600)}
        first, second = await purses(limits), await purses(limits)
        hints = Hints(retry_after=timedelta(hours=1))
        await first.settle([ended(await one(first), limited=True, hints=hints)])
        word = await one(second)
        assert isinstance(word, Wait)
        assert 3500 < word.seconds <= 3600

    async def test_a_provider_without_limits_is_an_error_and_nothing_is_held(
        self, purses: Purses
    ) -> None:
        """What nobody knows is not without bounds."""
        purse = await purses({"p": Limits()})
        with pytest.raises(ConfigError, match="provider q"):
            await purse.reserve([want(1, usd="1"), want(2, provider="q")])
        assert (await told(purse)).held_usd == 0

    # Holders that die

    async def test_what_a_dead_holder_held_stays_spent(self, purses: Purses) -> None:
        """P6: nobody knows whether the provider counted the call; so it did."""
        limits = {"p": Limits(budget_usd=Decimal(1), daily=2)}
        first = await purses(limits, hold_for=OVER)
        await one(first, usd="0.70")
        await first.aclose()
        second = await purses(limits)
        found = await told(second)
        assert (found.calls, found.today, found.held_usd) == (1, 1, Decimal("0.70"))
        assert isinstance(await one(second, usd="0.31"), Spent)
        assert isinstance(await one(second, usd="0.30"), Granted)
        assert isinstance(await one(second), Spent)

    async def test_a_dead_holder_is_not_in_flight_for_ever(self, purses: Purses) -> None:
        """After the longest time that a call can take its place is free."""
        limits = {"p": Limits(concurrency=1)}
        first, second = await purses(limits), await purses(limits, hold_for=OVER)
        assert isinstance(await one(second), Granted)
        assert isinstance(await one(first), Granted)
        assert isinstance(await one(second), Wait)

    async def test_a_hold_that_ran_out_can_still_be_settled(self, purses: Purses) -> None:
        """A slow call is not a dead one: what it cost becomes known after all."""
        purse = await purses({"p": Limits(budget_usd=Decimal(1))}, hold_for=OVER)
        word = await one(purse, usd="1")
        await purse.settle([ended(word, cost="0.25")])
        found = await told(purse)
        assert (found.usd, found.held_usd) == (Decimal("0.25"), ZERO)

    # Settling and answers

    async def test_a_hold_is_settled_once(self, purses: Purses) -> None:
        """Again, by whomever, alone or twice in one trip, it changes nothing."""
        first, second = await purses({"p": Limits()}), await purses({"p": Limits()})
        word = await one(first, tokens=50, usd="0.50")
        await one(first, usd="0.07")
        how = ended(word, tokens=20, cost="0.20")
        await first.settle([how, how])
        await second.settle([how])
        found = await told(first)
        assert (found.tokens, found.usd, found.held_usd) == (20, Decimal("0.20"), Decimal("0.07"))

    async def test_a_kept_answer_is_found_by_another(self, purses: Purses) -> None:
        """P5: every field, to the last digit; whatever was not asked is not there."""
        first, second = await purses({"p": Limits()}), await purses({"p": Limits()})
        kept = answer(1, raw='{"text": "ü \U0001f9e5 \\u0000"}', cost="0.0123456789012345678901")
        word = await one(first, n=1)
        await first.settle([ended(word, answer=kept)])
        assert await second.answers([kept.key, kept.key, f"{2:064}"]) == {kept.key: kept}
        assert await second.answers([]) == {}

    async def test_the_first_answer_to_a_key_stands(self, purses: Purses) -> None:
        """Two who asked the same after all use the same, within a trip and across trips."""
        purse = await purses({"p": Limits()}, hold_for=OVER)
        words = [await one(purse, n=1) for _ in range(3)]
        texts = [answer(1, raw=f'"{n}"') for n in range(3)]
        ends = [ended(w, answer=a) for w, a in zip(words, texts, strict=True)]
        await purse.settle(ends[:2])
        await purse.settle(ends[2:])
        assert await purse.answers([texts[0].key]) == {texts[0].key: texts[0]}

    async def test_an_answer_whose_hold_is_settled_already_is_kept(self, purses: Purses) -> None:
        """It is paid, and there: nobody shall pay it again."""
        purse = await purses({"p": Limits()})
        word = await one(purse)
        await purse.settle([ended(word)])
        await purse.settle([ended(word, answer=answer(1))])
        assert len(await purse.answers([answer(1).key])) == 1

    async def test_headers_are_of_the_moment_and_not_kept(self, purses: Purses) -> None:
        """What was left then says nothing to whoever reads the answer later."""
        purse = await purses({"p": Limits()})
        plain = answer(1)
        reply = replace(plain.reply, hints=Hints(requests_left=5))
        await purse.settle([ended(await one(purse), answer=replace(plain, reply=reply))])
        assert await purse.answers([plain.key]) == {plain.key: plain}

    @pytest.mark.parametrize("text", ["lone \udc80 surrogate", "a ' \" \\ %s :x {0} \u2028 b"])
    async def test_a_reply_of_any_characters_is_kept(self, purses: Purses, text: str) -> None:
        """The same JSON comes back, whatever the database's encoding refuses."""
        purse = await purses({"p": Limits()})
        kept = answer(1, raw=json.dumps({"text": text}, ensure_ascii=False))
        await purse.settle([ended(await one(purse), answer=kept)])
        found = (await purse.answers([kept.key]))[kept.key]
        assert json.loads(found.reply.raw) == {"text": text}

    async def test_many_answers_are_kept_and_found_in_one_trip(self, purses: Purses) -> None:
        """More than a statement takes values."""
        purse = await purses({"p": Limits(concurrency=2000)})
        words = await purse.reserve([want(n) for n in range(1200)])
        ends = [ended(word, answer=answer(n)) for n, word in enumerate(words)]
        await purse.settle(ends)
        assert len(await purse.answers([f"{n:064}" for n in range(1200)])) == 1200

    async def test_spending_is_told_by_provider(self, purses: Purses) -> None:
        """Calls, tokens and money of each, and what is held apart."""
        purse = await purses({"q": Limits(), "p": Limits()})
        words = await purse.reserve(
            [want(1, tokens=9, usd="0.3"), want(2, usd="0.2"), want(3, provider="q", usd="5")]
        )
        await purse.settle([ended(words[0], tokens=7, cost="0.1")])
        told_p, told_q = await told(purse), await told(purse, "q")
        assert (told_p.calls, told_p.tokens, told_p.today) == (2, 7, 2)
        assert (told_p.usd, told_p.held_usd) == (Decimal("0.1"), Decimal("0.2"))
        assert (told_q.calls, told_q.usd, told_q.held_usd) == (1, ZERO, Decimal(5))

    async def test_closing_twice_is_harmless(self, purses: Purses) -> None:
        """Two exits of one stack may both close it."""
        purse = await purses({"p": Limits()})
        await purse.aclose()
        await purse.aclose()


__all__ = ["PurseConformance", "Purses", "answer", "ended", "one", "told", "want"]
