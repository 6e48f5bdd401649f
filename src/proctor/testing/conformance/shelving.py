"""Of every purse: answers are listed, measured and forgotten by what asked for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from proctor.model import Answer, Limits, Link, Stock
from proctor.ports import Purse
from proctor.testing.conformance.paying import AT, Purses, answer, ended, one


async def keep(purse: Purse, *answers: Answer) -> None:
    """Keep answers as if they had been asked for."""
    await purse.settle([ended(await one(purse), answer=each) for each in answers])


def asked(n: int, run: str, backfill: str, at: datetime = AT) -> Answer:
    """An answer of the suite that somebody asked for."""
    return replace(answer(n), run=run, backfill=backfill, at=at)


def tied(asker: str, n: int, run: str = "r", at: datetime = AT, label: str = "p Song 1") -> Link:
    """What ties an answer of the suite to a row."""
    return Link(
        asker=asker,
        label=label,
        provider="p",
        key=f"{n:064}",
        run=run,
        at=at,
        seen={"title": "0a"},
    )


class Shelving:
    """Part of PurseConformance."""

    async def test_kept_answers_are_listed_page_by_page(self, purses: Purses) -> None:
        """In order of their keys, each once, all of it or what is asked for."""
        purse = await purses({"p": Limits()})
        kept = [
            replace(asked(n, f"run-{n % 2}", "ab"[n % 2]), sensitive=n == 3) for n in range(1, 6)
        ]
        await keep(purse, *reversed(kept))
        first = await purse.kept(most=3)
        assert [*first, *await purse.kept(after=first[-1].key, most=3)] == kept
        assert await purse.kept(run="run-1") == kept[::2]
        assert await purse.kept(backfill="a") == kept[1::2]
        assert await purse.kept(run="run-1", backfill="a") == []

    async def test_stock_tells_what_each_run_has_kept(self, purses: Purses) -> None:
        """How many, how large, and from when to when; the run with the newest comes last."""
        purse = await purses({"p": Limits()})
        assert await purse.stock() == []
        later = AT + timedelta(days=1)
        await keep(purse, asked(1, "r", "b", later), asked(2, "r", "b"), asked(3, "q", "b"))
        size = len(answer().reply.raw)
        assert await purse.stock() == [
            Stock(run="q", backfill="b", answers=1, size=size, oldest=AT, newest=AT),
            Stock(run="r", backfill="b", answers=2, size=2 * size, oldest=AT, newest=later),
        ]

    async def test_answers_of_a_run_are_forgotten_and_no_others(self, purses: Purses) -> None:
        """Those from before a moment, or all; what they cost stays spent (P6)."""
        purse = await purses({"p": Limits()})
        later = AT + timedelta(days=1)
        await keep(purse, asked(1, "r", "b", later), asked(2, "r", "b"), asked(3, "q", "b"))
        before = await purse.spending()
        assert await purse.forget("r", later) == 1
        assert [kept.key for kept in await purse.kept()] == [f"{n:064}" for n in (1, 3)]
        assert await purse.forget("r") == 1
        assert await purse.forget("r") == 0
        assert [kept.run for kept in await purse.kept()] == ["q"]
        assert await purse.spending() == before

    async def test_answers_are_found_by_the_rows_that_they_were_for(self, purses: Purses) -> None:
        """The newest first; one that is tied again is so as of now, in whatever order."""
        purse = await purses({"p": Limits()})
        later = AT + timedelta(days=1)
        other = tied("a", 2, label="p Song 2")
        await purse.link([tied("b", 3), tied("a", 1), other, tied("a", 4, "q", later)])
        await purse.link([tied("c", 1), tied("a", 1, "s", later + timedelta(days=1))])
        await purse.link([])
        again = tied("a", 1, "s", later + timedelta(days=1))
        assert await purse.linked(["a", "d"]) == [again, tied("a", 4, "q", later), other]
        assert await purse.linked(["c", "b", "c"]) == [tied("b", 3), tied("c", 1)]
        assert await purse.linked([]) == []

    async def test_what_ties_an_answer_is_forgotten_with_it(self, purses: Purses) -> None:
        """Whichever run tied it."""
        purse = await purses({"p": Limits()})
        later = AT + timedelta(days=1)
        await keep(purse, asked(1, "r", "b", later), asked(2, "r", "b"), asked(3, "q", "b"))
        await purse.link([tied("a", n, "q") for n in (1, 2, 3)])
        await purse.forget("r", later)
        assert {one.key for one in await purse.linked(["a"])} == {f"{n:064}" for n in (1, 3)}
        await purse.forget("r")
        assert await purse.linked(["a"]) == [tied("a", 3, "q")]


__all__ = ["Shelving"]
