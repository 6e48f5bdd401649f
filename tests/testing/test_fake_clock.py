"""Virtual time: hours pass in milliseconds, in the same order every time."""

import asyncio

from datetime import UTC, datetime, timedelta

from proctor.testing.clock import FakeClock


async def test_a_long_sleep_ends_at_once_and_time_has_passed():
    clock = FakeClock(datetime(2026, 3, 1, tzinfo=UTC))
    await asyncio.wait_for(clock.sleep(86_400), timeout=5)
    assert clock.now() == datetime(2026, 3, 2, tzinfo=UTC)
    assert clock.monotonic() == timedelta(days=1).total_seconds()


async def test_sleepers_wake_in_the_order_of_time_and_then_of_arrival():
    clock, heard = FakeClock(), []

    async def one(name, seconds):
        await clock.sleep(seconds)
        heard.append((name, clock.monotonic()))

    await asyncio.gather(one("late", 30), one("first", 10), one("second", 10), one("again", 20))
    assert heard == [("first", 10), ("second", 10), ("again", 20), ("late", 30)]


async def test_others_work_before_time_moves():
    """A task that is ready takes its turns at the old time."""
    clock, heard = FakeClock(), []

    async def busy():
        for _ in range(10):
            await asyncio.sleep(0)
            heard.append(clock.monotonic())

    await asyncio.gather(clock.sleep(5), busy())
    assert heard == [0.0] * 10


async def test_a_cancelled_sleeper_does_not_move_time():
    clock = FakeClock()
    dreamer = asyncio.create_task(clock.sleep(1000))
    await asyncio.sleep(0)
    dreamer.cancel()
    await clock.sleep(1)
    assert clock.monotonic() == 1


async def test_a_sleep_of_nothing_lets_others_work():
    clock, heard = FakeClock(), []
    asyncio.get_running_loop().call_soon(heard.append, "other")
    await clock.sleep(0)
    assert heard == ["other"]
    assert clock.monotonic() == 0


async def test_without_auto_time_moves_only_by_hand():
    """A test can look between two steps, and a loop that sleeps is walked step by step."""
    clock, heard = FakeClock(auto=False), []

    async def ticks():
        while True:
            await clock.sleep(10)
            heard.append(clock.monotonic())

    ticker = asyncio.create_task(ticks())
    await clock.advance(9)
    assert heard == []
    await clock.advance(21)
    assert heard == [10, 20, 30]
    assert clock.monotonic() == 30
    ticker.cancel()
