"""The chunk's size: follows the time of the write transaction, within every bound."""

from datetime import timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.sizing import GROWTH, SHRINK, Sizing, in_waves, resized

sizings = st.builds(
    Sizing,
    rows=st.integers(1, 10_000),
    target=st.integers(10, 2000).map(lambda ms: timedelta(milliseconds=ms)),
    floor=st.integers(1, 50),
    cap=st.integers(50, 20_000),
    cap_bytes=st.integers(1000, 10_000_000),
    rate=st.none() | st.floats(0.1, 1e6),
)


def ms(count):
    return timedelta(milliseconds=count)


def run(sizing, chunks, seconds_of, *, row_bytes=0):
    """Write so many chunks on a store that takes `seconds_of(keys)` for each."""
    for _ in range(chunks):
        keys = sizing.rows
        took = timedelta(seconds=seconds_of(keys))
        sizing = resized(sizing, keys=keys, took=took, bytes_read=keys * row_bytes)
    return sizing


@given(
    now=sizings,
    keys=st.integers(0, 100_000),
    took=st.integers(0, 10**9),
    bytes_read=st.integers(0, 10**12),
)
def test_the_size_is_always_within_its_bounds(now, keys, took, bytes_read):
    """Never zero, never above the cap, whatever is measured."""
    then = resized(now, keys=keys, took=timedelta(microseconds=took), bytes_read=bytes_read)
    assert isinstance(then.rows, int)
    if keys and took:
        assert 1 <= then.rows <= max(now.cap, now.floor)
        if not bytes_read:
            assert then.rows >= now.floor
    else:
        assert then == now


@given(now=sizings, keys=st.integers(1, 100_000), took=st.integers(1, 10**9))
def test_one_chunk_moves_the_size_by_a_bounded_step(now, keys, took):
    """One fast or slow chunk proves little."""
    then = resized(now, keys=keys, took=timedelta(microseconds=took))
    assert then.rows <= max(now.floor, now.rows * GROWTH + 1)
    assert then.rows >= min(now.cap, now.rows * SHRINK)


@pytest.mark.parametrize("rate", [100, 2_000, 15_000])
@pytest.mark.parametrize("start", [10, 500, 10_000])
@pytest.mark.parametrize("fixed", [0.0, 0.02])
def test_it_converges_to_the_target_time(rate, start, fixed):
    """From any start, with the fixed cost of a transaction, within a tenth of the target."""
    target = 0.5
    sizing = run(
        Sizing(rows=start, target=timedelta(seconds=target)), 30, lambda keys: fixed + keys / rate
    )
    assert fixed + sizing.rows / rate == pytest.approx(target, rel=0.1)


def test_it_stays_there():
    """No swinging about the target once it is reached."""
    sizing = run(Sizing(), 30, lambda keys: keys / 4000)
    sizes = []
    for _ in range(20):
        sizing = run(sizing, 1, lambda keys: keys / 4000)
        sizes.append(sizing.rows)
    assert max(sizes) - min(sizes) <= 0.02 * max(sizes)


def test_a_store_that_becomes_slow_is_met_within_a_few_chunks():
    sizing = run(Sizing(), 30, lambda keys: keys / 10_000)
    slow = run(sizing, 8, lambda keys: keys / 200)
    assert slow.rows / 200 == pytest.approx(0.5, rel=0.5)


@given(row_bytes=st.integers(1, 20_000_000), cap_bytes=st.integers(1000, 10_000_000))
def test_a_chunk_never_holds_more_than_its_bytes(row_bytes, cap_bytes):
    """The memory of a worker is bounded at once, also below the floor; one row is the least."""
    sizing = resized(Sizing(cap_bytes=cap_bytes), keys=500, took=ms(1), bytes_read=500 * row_bytes)
    assert sizing.rows == 1 or sizing.rows * row_bytes <= cap_bytes


def test_it_grows_again_from_a_single_row():
    """Small steps are rounded up, or one row would stay one for ever."""
    sizing = resized(Sizing(floor=1), keys=10, took=ms(1), bytes_read=10 * 8_000_000)
    assert sizing.rows == 1
    assert run(sizing, 30, lambda keys: keys / 10_000, row_bytes=10).rows > 1000


def test_small_chunks_teach_little():
    """A chunk of three moved rows is all fixed cost: it does not shrink the next full one."""
    sizing = run(Sizing(), 30, lambda keys: 0.005 + keys / 10_000)
    after = sizing
    for _ in range(10):
        after = resized(after, keys=3, took=ms(5.3))
        after = run(after, 1, lambda keys: 0.005 + keys / 10_000)
    assert after.rows >= 0.95 * sizing.rows


def test_nothing_written_teaches_nothing():
    now = Sizing(rows=77, rate=5.0)
    assert resized(now, keys=0, took=ms(5)) == now
    assert resized(now, keys=5, took=ms(0)) == now


def test_chunks_of_paid_rows_are_a_few_waves_of_calls():
    """However fast they are written, and however large the first was to be."""
    sizing = in_waves(Sizing(rows=500), 16)
    assert (sizing.rows, sizing.cap) == (64, 64)
    grown = resized(sizing, keys=64, took=timedelta(milliseconds=1))
    assert grown.rows == 64
    assert in_waves(Sizing(rows=20), 16).rows == 20
