"""The one place that rests: windows, signals, knobs; all in virtual time."""

import asyncio

from datetime import UTC, datetime, timedelta

import pytest

from proctor.core.sizing import Sizing
from proctor.core.windows import parse_window
from proctor.engine.pacing import CALM, Pacing, shut_now
from proctor.model import Health, Signal, Tuning
from proctor.testing.clock import FakeClock

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    return FakeClock(START)


@pytest.fixture
def pacing(clock):
    return Pacing(clock=clock, sizing=Sizing())


def lag(value):
    return Signal(name="replication lag", value=value, limit=10.0, unit="s")


async def see(pacing, *signals, runs=1):
    return await pacing.watch(Health(at=pacing.clock.now(), signals=signals, runs=runs))


def wrote(pacing, seconds, *, keys=500, rows=500, bytes_read=0):
    pacing.wrote(keys=keys, took=timedelta(seconds=seconds), rows=rows, bytes_read=bytes_read)


async def waited(clock, waiting):
    """Seconds of virtual time that something took."""
    before = clock.elapsed
    await waiting
    return clock.elapsed - before


async def test_nothing_waits_when_all_is_calm(pacing, clock):
    await see(pacing, lag(0.1))
    wrote(pacing, 0.5)
    assert await waited(clock, pacing.wait()) == 0
    assert await waited(clock, pacing.before_write()) == 0
    assert pacing.reason == ""
    assert not pacing.held


async def test_a_write_is_followed_by_the_rest_that_the_duty_asks(clock):
    pacing = Pacing(clock=clock, sizing=Sizing(), duty=0.5)
    wrote(pacing, 2.0)
    assert await waited(clock, pacing.before_write()) == pytest.approx(2.0)
    assert await waited(clock, pacing.before_write()) == 0


async def test_the_rests_of_several_lanes_add_up(clock):
    """Two writes that end together owe two rests, one after the other."""
    pacing = Pacing(clock=clock, sizing=Sizing(), duty=0.5)
    await clock.sleep(1)
    wrote(pacing, 2.0)
    wrote(pacing, 3.0)
    assert await waited(clock, pacing.before_write()) == pytest.approx(5.0)


async def test_reading_and_computing_count_as_rest(clock):
    pacing = Pacing(clock=clock, sizing=Sizing(), duty=0.5)
    wrote(pacing, 2.0)
    await clock.sleep(1.5)
    assert await waited(clock, pacing.before_write()) == pytest.approx(0.5)


async def test_load_slows_in_proportion_with_a_reason(pacing, clock):
    await see(pacing, lag(8.5))
    wrote(pacing, 1.0)
    rest = await waited(clock, pacing.before_write())
    assert rest == pytest.approx(1.0 / 0.55 - 1.0)
    assert pacing.reason == "replication lag is 8.5 of 10 s"
    assert not pacing.held


async def test_the_rest_of_one_lane_is_not_forgiven_by_another(clock):
    """A chunk that owes nothing leaves the debt of the chunk before it."""
    pacing = Pacing(clock=clock, sizing=Sizing(), tuning=Tuning(rows_per_second=10))
    await clock.sleep(1)
    wrote(pacing, 0.1, rows=100)
    wrote(pacing, 0.1, rows=0)
    assert await waited(clock, pacing.before_write()) == pytest.approx(9.9)


async def test_a_signal_at_its_limit_stops_reading_and_writing(pacing, clock):
    """Nothing new is begun, and what is computed already waits too, until it gives way."""
    await see(pacing, lag(12.0))
    assert pacing.held
    both = [asyncio.create_task(pacing.wait()), asyncio.create_task(pacing.before_write())]
    await clock.sleep(100)
    assert not any(task.done() for task in both)
    assert pacing.reason == "replication lag is 12 of 10 s"
    await see(pacing, lag(2.0))
    before = clock.elapsed
    await asyncio.gather(*both)
    assert clock.elapsed - before <= 0.5
    assert pacing.reason == ""


async def test_a_blackout_is_waited_out(clock):
    """Until the minute at which it opens, and says so."""
    pacing = Pacing(clock=clock, sizing=Sizing(), windows=(parse_window("07:00-08:02"),))
    waiting = asyncio.create_task(pacing.wait())
    await clock.sleep(1)
    assert pacing.reason == "blackout 07:00-08:02 until 2026-11-22 08:02 UTC"
    assert pacing.held
    await waiting
    assert clock.now() - datetime(2026, 11, 22, 8, 2, tzinfo=UTC) < timedelta(seconds=1)
    assert pacing.reason == ""
    assert not pacing.held


async def test_a_chunk_computed_into_a_blackout_is_not_written_in_it(clock):
    """Paid calls take minutes: the window is looked at again before the write."""
    pacing = Pacing(clock=clock, sizing=Sizing(), windows=(parse_window("08:10-08:17"),))
    assert await waited(clock, pacing.wait()) == 0
    await clock.sleep(900)
    await pacing.before_write()
    assert clock.now() >= datetime(2026, 11, 22, 8, 17, tzinfo=UTC)


async def test_the_reason_of_a_blackout_ends_with_it(clock):
    """After it the reason is that of the load, or none."""
    pacing = Pacing(clock=clock, sizing=Sizing(), windows=(parse_window("07:00-08:01"),))
    await see(pacing, lag(8.5))
    await pacing.wait()
    assert pacing.reason == "replication lag is 8.5 of 10 s"


async def test_an_operators_stop_ends_every_wait(clock):
    """Pause, cancel and SIGINT are heard in the midst of a blackout."""
    pacing = Pacing(clock=clock, sizing=Sizing(), windows=(parse_window("00:00-23:59"),))
    waiting = asyncio.create_task(pacing.wait())
    wrote(pacing, 1.0)
    writing = asyncio.create_task(pacing.before_write())
    await clock.sleep(10)
    pacing.stopped.set()
    assert await waited(clock, asyncio.gather(waiting, writing)) <= 0.25


async def test_a_signal_that_vanishes_is_told(pacing):
    assert (await see(pacing, lag(1.0))).vanished == ()
    assert (await see(pacing, lag(None))).vanished == ("replication lag",)
    assert (await see(pacing)).vanished == ("replication lag",)


async def test_a_signal_never_seen_has_not_vanished(pacing):
    assert (await see(pacing, lag(None))).vanished == ()


async def test_the_users_own_signals_count(clock):
    async def busy():
        return Signal(name="queue", value=95, limit=100)

    pacing = Pacing(clock=clock, sizing=Sizing(), sources=(busy,))
    found = await see(pacing, lag(0.0))
    assert found.reason == "queue is 95 of 100"
    assert [s.name for s in pacing.signals] == ["replication lag", "queue"]


async def test_limits_of_the_configuration_replace_the_stores(clock):
    def stricter(signals):
        return [Signal(name=s.name, value=s.value, limit=2.0, unit=s.unit) for s in signals]

    pacing = Pacing(clock=clock, sizing=Sizing(), limits=stricter)
    assert (await see(pacing, lag(2.0))).duty == 0.0


async def test_two_runs_share_the_database(pacing, clock):
    await see(pacing, runs=2)
    wrote(pacing, 1.0)
    assert pacing.reason == "2 runs share this database"
    assert await waited(clock, pacing.before_write()) == pytest.approx(1.0)


async def test_what_is_news_is_the_signal_and_not_its_number(pacing, clock):
    """One cause while one signal holds the run back, though it hovers about the threshold."""
    causes = []
    await clock.sleep(1000)
    for value in (0.0, 8.0, 8.3, 6.9, 9.0, 6.0, 7.5):
        await see(pacing, lag(value))
        causes.append(pacing.cause)
        await clock.sleep(1)
    assert causes == ["", *["replication lag"] * 6]
    await clock.sleep(CALM)
    await see(pacing, lag(0.0))
    assert pacing.cause == ""


async def test_a_blackout_is_news_as_such(clock):
    pacing = Pacing(clock=clock, sizing=Sizing(), windows=(parse_window("07:00-09:30"),))
    await see(pacing, lag(8.0))
    assert pacing.cause == "blackout"


async def test_a_pause_between_chunks_is_kept(pacing, clock):
    pacing.tuning = Tuning(pause=timedelta(seconds=3))
    wrote(pacing, 0.2)
    assert await waited(clock, pacing.before_write()) == pytest.approx(3.0)


async def test_the_configured_pause_holds_until_an_operator_tunes_it(clock):
    """`pause` of proctor.toml, and a knob that takes it away."""
    pacing = Pacing(clock=clock, sizing=Sizing(), pause=timedelta(seconds=2))
    wrote(pacing, 0.2)
    assert await waited(clock, pacing.before_write()) == pytest.approx(2.0)
    pacing.tuning = Tuning(pause=timedelta(0))
    wrote(pacing, 0.2)
    assert await waited(clock, pacing.before_write()) == 0


@pytest.mark.parametrize("lanes", [1, 2, 3])
async def test_rows_a_second_are_a_ceiling_for_all_lanes_together(clock, lanes):
    """Lanes that write at once pay for each row, and the first ones too."""
    pacing = Pacing(clock=clock, sizing=Sizing(), tuning=Tuning(rows_per_second=100))
    rows = 0

    async def lane():
        nonlocal rows
        while clock.elapsed < 60:
            await pacing.before_write()
            await clock.sleep(0.4)
            rows += 50
            wrote(pacing, 0.4, rows=50)

    await asyncio.gather(*(lane() for _ in range(lanes)))
    assert rows / clock.elapsed == pytest.approx(100, rel=0.05)


async def test_a_process_takes_its_share_of_what_the_run_may_do(clock):
    """Four slices together keep to the ceiling that the operator set for the run."""
    alone, quarter = (Pacing(clock=clock, sizing=Sizing()) for _ in range(2))
    quarter.share = 0.25
    for pacing in (alone, quarter):
        pacing.tuning = Tuning(rows_per_second=1000)
        wrote(pacing, 0.0, rows=500)
    assert await waited(clock, alone.before_write()) == pytest.approx(0.5)
    assert await waited(clock, quarter.before_write()) == pytest.approx(1.5)


async def test_nothing_is_written_when_the_stop_comes_while_it_is_shut(pacing):
    """The chunk in hand is handed back; a stop is no leave to write into a blackout."""
    await see(pacing, lag(99))
    pacing.stopped.set()
    assert await pacing.wait() is False
    assert await pacing.before_write() is False
    await see(pacing, lag(0))
    assert await pacing.before_write() is True


async def test_other_knobs_are_heard_in_the_midst_of_a_rest(pacing, clock):
    """A pause of an hour that is taken back ends within a second."""
    pacing.tuning = Tuning(pause=timedelta(hours=1))
    wrote(pacing, 0.2)
    resting = asyncio.create_task(pacing.before_write())
    await clock.sleep(5)
    assert not resting.done()
    pacing.tuning = Tuning()
    assert await waited(clock, resting) <= 1.0


async def test_the_chunk_size_is_the_operators_word_or_what_was_measured(pacing):
    wrote(pacing, 0.05)
    measured = pacing.chunk_rows()
    assert measured > 500
    pacing.tuning = Tuning(chunk_rows=42)
    assert pacing.chunk_rows() == 42
    pacing.tuning = Tuning()
    assert pacing.chunk_rows() == measured


def test_the_last_of_several_windows_counts():
    early, late = parse_window("07:00-08:30"), parse_window("07:30-09:00")
    assert shut_now([early, late], START) == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert shut_now([early, late], START + timedelta(hours=2)) is None
    assert shut_now([], START) is None
