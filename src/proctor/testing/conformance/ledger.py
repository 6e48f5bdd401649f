"""What every ledger must do: one suite, subclassed for each adapter against the real thing."""

from __future__ import annotations

import asyncio
import enum

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from proctor.model import Event
from proctor.ports import Ledger

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

Opened: TypeAlias = Callable[[], Awaitable[Ledger]]
"""Opens one more ledger on the same data, as another process would; closed by the fixture."""


def event(name: str = "run.opened", *, run: str = "run-1", second: int = 0, **data: Any) -> Event:
    """An event of the suite."""
    at = START + timedelta(seconds=second)
    return Event(name=name, at=at, run=run, env="local", who="alice", data=data)


class _Colour(enum.Enum):
    RED = "red"


class LedgerConformance:
    """Keep, order, filter. Subclasses give the fixture `ledger`: an empty one, open."""

    async def test_an_empty_ledger_has_no_events(self, ledger: Ledger) -> None:
        """Reading before anything was written is no error."""
        assert await ledger.events() == []
        assert await ledger.events(run="run-1", limit=5) == []

    async def test_events_come_back_as_they_were(self, ledger: Ledger) -> None:
        """Every field, to the microsecond."""
        kept = event(second=1, rows=5, share=0.25, names=["a", "b"], nested={"x": None, "y": True})
        at = START + timedelta(microseconds=123457)
        odd = Event(name="run.failed", at=at, run="", env="ü", who="bob@host", data={})
        await ledger.append([kept, odd])
        assert await ledger.events() == [kept, odd]

    async def test_events_come_oldest_first_in_the_order_they_were_kept(
        self, ledger: Ledger
    ) -> None:
        """Also when clocks disagree: the order is that of keeping."""
        await ledger.append([event(second=9, n=1), event(second=3, n=2)])
        await ledger.append([event(second=6, n=3)])
        assert [e.data["n"] for e in await ledger.events()] == [1, 2, 3]

    async def test_a_limit_gives_the_newest_oldest_first(self, ledger: Ledger) -> None:
        """What a face shows as "the last ten"."""
        await ledger.append([event(n=n) for n in range(5)])
        assert [e.data["n"] for e in await ledger.events(limit=2)] == [3, 4]
        assert [e.data["n"] for e in await ledger.events(limit=9)] == [0, 1, 2, 3, 4]
        assert await ledger.events(limit=0) == []

    async def test_events_can_be_asked_for_by_run_and_by_name(self, ledger: Ledger) -> None:
        """Alone and together, with a limit that counts only what fits."""
        await ledger.append(
            [
                event("run.opened", run="a", n=1),
                event("run.paused", run="a", n=2),
                event("run.opened", run="b", n=3),
                event("run.paused", run="a", n=4),
            ]
        )

        async def asked(**by: Any) -> list[int]:
            return [e.data["n"] for e in await ledger.events(**by)]

        assert await asked(run="a") == [1, 2, 4]
        assert await asked(name="run.opened") == [1, 3]
        assert await asked(run="a", name="run.paused", limit=1) == [4]
        assert await asked(run="a'; DROP TABLE x; --") == []

    async def test_keeping_nothing_is_nothing(self, ledger: Ledger) -> None:
        """An empty flush costs nobody anything."""
        await ledger.append([])
        assert await ledger.events() == []

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            (START.astimezone(timezone(timedelta(hours=2))), "2026-03-01T14:00:00+02:00"),
            (timedelta(minutes=1), 60.0),
            (Path("a", "b"), str(Path("a", "b"))),
            (_Colour.RED, "red"),
            (("a", 1), ["a", 1]),
            ({"b", "a"}, ["a", "b"]),
            (float("nan"), "nan"),
            (10**30, 10**30),
            ("a\0b \u2028 \U0001f9e5 ' \" \\ %s :x", "a\0b \u2028 \U0001f9e5 ' \" \\ %s :x"),
            ("lone \udc80 surrogate", "lone \udc80 surrogate"),
            (object(), "<object>"),
        ],
    )
    async def test_data_of_any_kind_is_kept_as_json_would(
        self, ledger: Ledger, given: Any, kept: Any
    ) -> None:
        """No value that an event carries can stop the record."""
        await ledger.append([event(value=given)])
        (found,) = await ledger.events()
        assert found.data == {"value": kept}

    async def test_hostile_texts_outside_the_data_are_kept_readably(self, ledger: Ledger) -> None:
        """A NUL or a lone surrogate in a user's name must not stop the record."""
        at = Event(name="run.opened", at=START, run="r", env="e", who="b\0b \udcff", data={})
        await ledger.append([at])
        (found,) = await ledger.events()
        assert found.who == "b\\0b \\udcff"

    async def test_a_structure_that_holds_itself_is_cut_off(self, ledger: Ledger) -> None:
        """Instead of recursion without end."""
        loop: list[Any] = []
        loop.append(loop)
        await ledger.append([event(loop=loop)])
        assert len(await ledger.events()) == 1

    async def test_a_time_without_a_zone_is_refused_and_nothing_is_kept(
        self, ledger: Ledger
    ) -> None:
        """It would be read as another time on another machine."""
        naive = Event(
            name="run.opened",
            at=START.replace(tzinfo=None),
            run="r",
            env="e",
            who="w",
            data={},
        )
        with pytest.raises(ValueError, match="has no zone"):
            await ledger.append([event(), naive])
        assert await ledger.events() == []

    async def test_what_was_returned_cannot_change_what_was_kept(self, ledger: Ledger) -> None:
        """Events are values; the caller's data may change afterwards."""
        data: dict[str, Any] = {"rows": [1]}
        await ledger.append([event(**data)])
        data["rows"].append(2)
        (found,) = await ledger.events()
        found.data["rows"].append(3)
        assert (await ledger.events())[0].data == {"rows": [1]}

    async def test_many_at_once_keep_their_order(self, ledger: Ledger) -> None:
        """A large batch, and batches that are appended concurrently, each stay whole."""
        await asyncio.gather(
            *(ledger.append([event(run=run, n=n) for n in range(300)]) for run in "abc")
        )
        assert len(await ledger.events()) == 900
        for run in "abc":
            assert [e.data["n"] for e in await ledger.events(run=run)] == list(range(300))

    async def test_an_untouched_ledger_proves_itself(self, ledger: Any) -> None:
        """Its chain is intact, empty or not, and its head moves with every event."""
        empty = await ledger.verify_chain()
        await ledger.append([event(n=1), event(n=2)])
        full = await ledger.verify_chain()
        assert (empty.intact, empty.events) == (True, 0)
        assert (full.intact, full.events) == (True, 2)
        assert empty.head != full.head

    async def test_equal_events_in_another_order_have_another_head(self, ledger: Any) -> None:
        """The head stands for all events and their order."""
        await ledger.append([event(n=1)])
        one = await ledger.verify_chain()
        await ledger.append([event(n=1)])
        assert (await ledger.verify_chain()).head != one.head

    async def test_closing_twice_is_harmless(self, ledger: Ledger) -> None:
        """Two exits of one stack may both close it."""
        await ledger.aclose()
        await ledger.aclose()


class DurableLedgerConformance(LedgerConformance):
    """For ledgers that outlive their process. Subclasses give `opened` instead of `ledger`."""

    @pytest.fixture
    async def ledger(self, opened: Opened) -> Ledger:
        """One ledger of the shared data."""
        return await opened()

    async def test_events_outlive_the_process(self, opened: Opened) -> None:
        """Closed and opened again, everything is there."""
        first = await opened()
        await first.append([event(n=1)])
        await first.aclose()
        second = await opened()
        await second.append([event(n=2)])
        assert [e.data["n"] for e in await second.events()] == [1, 2]

    async def test_what_one_process_keeps_another_reads_at_once(self, opened: Opened) -> None:
        """`record` in one terminal shows what `run` in another does."""
        one, two = await opened(), await opened()
        await one.append([event(n=1)])
        assert [e.data["n"] for e in await two.events()] == [1]

    async def test_processes_at_once_make_the_tables_once(self, opened: Opened) -> None:
        """One wins, the others wait, none fails; and they share one chain."""
        ledgers = await asyncio.gather(*(opened() for _ in range(4)))
        await asyncio.gather(
            *(
                ledger.append([event(run=str(number), n=n)])
                for n in range(10)
                for number, ledger in enumerate(ledgers)
            )
        )
        first: Any = ledgers[0]
        chain = await first.verify_chain()
        assert (chain.intact, chain.events) == (True, 40)

    async def test_a_cancelled_append_is_kept_or_failed_never_in_between(
        self, opened: Opened
    ) -> None:
        """CancelledError means kept: whoever appends need not, and must not, do it again."""
        ledger = await opened()
        task = asyncio.create_task(ledger.append([event(n=1)]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [e.data["n"] for e in await ledger.events()] == [1]


__all__ = ["START", "DurableLedgerConformance", "LedgerConformance", "Opened", "event"]
