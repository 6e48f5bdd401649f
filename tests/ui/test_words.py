"""Numbers, times and values as people read them."""

from datetime import timedelta

import pytest

from proctor.engine.snapshot import Estimate
from proctor.model import Outcome, Signal, Span
from proctor.ui import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"),
        (0.0421, "42 ms"),
        (0.9999, "1.0 s"),
        (3.21, "3.2 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (7205, "2 h 5 s"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, said):
    assert words.duration(timedelta(seconds=seconds)) == said


def test_a_range_says_both_ends_only_if_they_differ():
    """A forecast admits what it does not know."""
    two, four = timedelta(seconds=20), timedelta(seconds=40)
    assert words.estimate(Estimate(low=two, high=four)) == "20 s to 40 s"
    assert words.estimate(Estimate(low=two, high=two)) == "about 20 s"
    assert words.estimate(None) == "unknown"


@pytest.mark.parametrize(
    ("octets", "said"), [(0, "0 B"), (999, "999 B"), (1200, "1.2 kB"), (5_300_000_000, "5.3 GB")]
)
def test_sizes_are_in_powers_of_a_thousand(octets, said):
    assert words.size(octets) == said


def test_a_share_is_never_rounded_to_all_or_nothing():
    """99.99 % is not 100 %: one row in ten thousand is missing."""
    assert words.share(9999, 10_000) == "99.9 %"
    assert words.share(1, 10_000_000) == "0.1 %"
    assert words.share(5, 5) == "100 %"
    assert words.share(0, 0) == "0 %"


def test_control_characters_cannot_drive_a_terminal():
    """A value shows its escape codes instead of sending them."""
    assert words.visible("a\x1b[2Jb\u202e\n") == "a\\u001b[2Jb\\u202e\\u000a"


def test_a_long_value_is_cut():
    assert words.visible("x" * 10, 5) == "xxxx…"
    assert words.visible("x" * 5, 5) == "xxxxx"


def test_a_part_of_the_key_space_is_named():
    assert words.span(Span()) == "all rows"
    assert words.span(Span(start=(1, "a"), limit=1)) == "from 1,a, at most 1 row"


def test_a_signal_that_cannot_be_had_is_not_watched():
    assert words.signal(Signal(name="lag", value=None, limit=1)) == "lag: not watched"
    assert words.signal(Signal(name="lag", value=2, limit=10, unit="s")) == "lag: 2 of 10 s"


def test_empty_buckets_are_left_out_but_written_is_always_said():
    assert words.buckets(Outcome()) == "written 0"
    assert words.buckets(Outcome(read=3, written=1, failed=2)) == "written 1, failed 2"
