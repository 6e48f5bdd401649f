"""What a run will cost, as ranges that admit what is not known."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.forecast import HEAP_OVERHEAD, INDEX_ENTRY, chunk_count, duration, log_bytes
from proctor.model import Survey

surveys = st.builds(
    Survey,
    rows=st.integers(0, 10**9),
    eligible=st.integers(0, 10**9),
    first=st.none(),
    last=st.none(),
    row_bytes=st.floats(0, 1e5),
    writes_per_row=st.floats(0, 20),
)


def survey(rows=1000, eligible=1000, **extra):
    return Survey(rows=rows, eligible=eligible, first=(1,), last=(rows,), **extra)


def test_chunks_are_counted_over_the_keys_scanned():
    """Ten eligible rows in a thousand still take the scan of a thousand."""
    assert chunk_count(survey(1000, 10), 500) == 2
    assert chunk_count(survey(1001, 10), 500) == 3
    assert chunk_count(survey(1, 1), 500) == 1


def test_nothing_to_do_takes_no_chunk():
    assert chunk_count(survey(1000, 0), 500) == 0


def test_an_estimate_of_no_rows_does_not_hide_the_eligible_ones():
    """A fresh table's statistics say zero rows; the count of eligible rows knows better."""
    assert chunk_count(survey(0, 900), 500) == 2


@given(
    found=surveys,
    per_row=st.floats(0, 10),
    rate=st.floats(1, 1e6),
    chunks=st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)).map(sorted),
    pause=st.floats(0, 60),
)
def test_the_range_is_a_range(found, per_row, rate, chunks, pause):
    """Low is not above high, and neither is below zero."""
    low, high = duration(
        found,
        per_row=timedelta(seconds=per_row) if found.eligible < 10**6 else timedelta(0),
        rows_per_second=rate,
        chunks=chunks,
        pause=timedelta(seconds=pause),
    )
    assert timedelta(0) <= low <= high


def test_the_slower_of_computing_and_writing_decides_the_low():
    """They overlap; the high is for when they do not."""
    both = {"rows_per_second": 1000, "chunks": (1, 2), "pause": timedelta(seconds=3)}
    low, high = duration(survey(), per_row=timedelta(milliseconds=10), **both)
    assert low == timedelta(seconds=10 + 3)
    assert high == timedelta(seconds=2 * (10 + 1) + 6 + 1)
    assert duration(survey(), per_row=timedelta(0), **both)[0] == timedelta(seconds=1 + 3)


def test_the_log_grows_with_rows_and_indexes():
    plain = survey(eligible=10, row_bytes=100.0)
    assert log_bytes(plain) == 10 * (100 + HEAP_OVERHEAD)
    indexed = survey(eligible=10, row_bytes=100.0, writes_per_row=3.0)
    assert log_bytes(indexed) == 10 * (100 + HEAP_OVERHEAD + 2 * INDEX_ENTRY)


@given(surveys)
def test_the_log_is_never_negative(found):
    assert log_bytes(found) >= 0
