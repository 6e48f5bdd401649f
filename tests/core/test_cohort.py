"""Who is among the first percent: always the same, evenly, and not the same for every flag."""

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.cohort import BUCKETS, bucket, lets_in

READERS = [f"reader-{number}" for number in range(20_000)]


def test_a_reader_stays_in_its_bucket_for_good():
    """Applications reckon it themselves: it must never change."""
    assert [bucket("ABOUTNESS_V2", one) for one in ("a", "é", "42")] == [5308, 6587, 1320]


def test_every_percent_lets_in_its_share():
    """Within a point of 20,000 readers."""
    for percent in (0, 1, 5, 25, 50, 99, 100):
        share = sum(lets_in("V2", one, percent) for one in READERS) / len(READERS)
        assert abs(share - percent / 100) <= 0.01


@given(st.text(), st.text(), st.integers(0, 100), st.integers(0, 100))
def test_whoever_is_in_stays_in_as_the_share_grows(flag, reader, one, other):
    """And all are in at 100, nobody at 0."""
    assert lets_in(flag, reader, min(one, other)) <= lets_in(flag, reader, max(one, other))
    assert lets_in(flag, reader, 100)
    assert not lets_in(flag, reader, 0)
    assert 0 <= bucket(flag, reader) < BUCKETS


def test_another_flag_has_other_readers_first():
    """Else the same few would try out everything that is new."""
    both = [r for r in READERS if lets_in("V2", r, 10) and lets_in("V3", r, 10)]
    assert 0.005 < len(both) / len(READERS) < 0.015
