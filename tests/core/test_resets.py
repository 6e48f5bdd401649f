"""When a daily quota begins anew: zones, and the two odd days of a year."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.resets import next_reset
from proctor.errors import ConfigError

MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(  # noqa: DTZ001 - made aware below
    lambda at: at.replace(tzinfo=UTC)
)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_midnight_utc_is_the_next_one_and_never_now():
    assert next_reset("00:00 UTC", utc(2026, 5, 1, 23, 59, 59)) == utc(2026, 5, 2)
    assert next_reset("00:00", utc(2026, 5, 2)) == utc(2026, 5, 3)


def test_a_reset_follows_the_wall_of_its_zone_through_the_year():
    """Eight in Los Angeles is four in the afternoon in UTC in winter, three in summer."""
    text = "08:00 America/Los_Angeles"
    assert next_reset(text, utc(2026, 1, 10)) == utc(2026, 1, 10, 16)
    assert next_reset(text, utc(2026, 7, 10)) == utc(2026, 7, 10, 15)
    assert next_reset(text, utc(2026, 7, 10, 15)) == utc(2026, 7, 11, 15)


def test_an_hour_shown_twice_counts_at_its_second_time():
    """Too late costs an hour; too early would overrun the quota."""
    assert next_reset("02:30 Europe/Berlin", utc(2026, 10, 24, 12)) == utc(2026, 10, 25, 1, 30)


def test_an_hour_left_out_counts_an_hour_later():
    assert next_reset("02:30 Europe/Berlin", utc(2026, 3, 28, 12)) == utc(2026, 3, 29, 1, 30)


@given(MOMENTS, st.sampled_from(["UTC", "America/Los_Angeles", "Europe/Berlin", "Asia/Kathmandu"]))
def test_there_is_one_reset_for_every_day(at, zone):
    """Never further than a day and the hour that autumn gives, and it shows that time."""
    found = next_reset(f"06:15 {zone}", at)
    assert timedelta(0) < found - at <= timedelta(hours=25)
    assert found.astimezone(ZoneInfo(zone)).strftime("%H:%M") == "06:15"


@pytest.mark.parametrize("text", ["", "8", "25:00 UTC", "08:00 Mars/Base", "08:00 UTC x", "noon"])
def test_what_is_no_time_is_refused_with_the_right_form(text):
    with pytest.raises(ConfigError) as caught:
        next_reset(text, utc(2026, 1, 1))
    assert caught.value.fix
