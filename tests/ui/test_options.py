"""Words that are typed on the command line."""

import time

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from proctor.errors import UsageError
from proctor.ui import words
from proctor.ui.commands.work import accepted
from proctor.ui.options import key_list, length, moment, pairs, part_of


def test_keys_of_one_column_are_apart_at_commas():
    assert key_list(["1,2", " 3 "], 1) == ("1", "2", "3")


def test_a_key_that_holds_a_comma_is_quoted():
    assert key_list(['"a,b",c'], 1) == ("a,b", "c")


def test_keys_of_several_columns_are_apart_at_semicolons():
    assert key_list(["1,a;2,b"], 2) == ('"1","a"', '"2","b"')


def test_a_range_ends_at_one_key():
    """A comma in it stands in double quotes; else it would be two keys."""
    part = part_of(1, None, (), '"a,b"', "c d")
    assert (part.start, part.stop) == ("a,b", "c d")
    with pytest.raises(UsageError, match="--to takes one key"):
        part_of(1, None, (), None, "a,b")


def test_no_keys_are_no_part():
    assert key_list([], 1) == ()


def test_an_empty_key_is_refused():
    """A trailing comma is a slip of the hand, not a key."""
    with pytest.raises(UsageError, match="empty key"):
        key_list(["1,,2"], 1)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("30d", timedelta(days=30)), ("12h", timedelta(hours=12)), (" 4w ", timedelta(weeks=4))],
)
def test_a_length_of_time(text, meant):
    assert length(text, "--older-than") == meant


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5h", "30 days", "999999999w"])
def test_anything_else_is_no_length_of_time(text):
    with pytest.raises(UsageError, match="--older-than"):
        length(text, "--older-than")


def test_what_reports_print_can_be_typed_back():
    """And an offset is heeded."""
    shown = words.moment(datetime(2026, 1, 31, 6, tzinfo=UTC))
    assert moment(shown, "--since") == datetime(2026, 1, 31, 6, tzinfo=UTC)
    assert moment("2026-01-31T06:00+02:00", "--since") == datetime(2026, 1, 31, 4, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_a_moment_without_an_offset_is_on_this_machines_clock(monkeypatch, zone):
    """As with --until."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        at = moment("2026-01-31T09:00", "--since")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert at == datetime(2026, 1, 31, 9, tzinfo=ZoneInfo(zone))


def test_what_is_no_moment_is_refused():
    with pytest.raises(UsageError, match="--since"):
        moment("yesterday", "--since")


def test_pairs_are_split_at_the_first_equals_sign():
    assert pairs(["a=1", "b=x=y", "c="], "--param") == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("texts", [["a"], ["=1"], ["a=1", "a=2"]])
def test_half_a_pair_or_two_of_a_kind_are_refused(texts):
    with pytest.raises(UsageError):
        pairs(texts, "--param")


def test_accepted_parts_are_named_in_any_of_the_usual_ways():
    assert accepted("code,schema") == accepted("code|schema") == ("code", "schema")
    assert accepted(None) == ()
