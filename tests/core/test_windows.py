"""Blackout windows and deadlines: weekdays, midnight, zones and the two odd nights of a year."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.windows import DAYS, closed_until, deadline, parse_window
from proctor.errors import ConfigError, UsageError

BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(  # noqa: DTZ001 - made aware below
    lambda at: at.replace(tzinfo=UTC)
)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def shut(text, at):
    return closed_until(parse_window(text), at)


def test_a_plain_window_is_every_day_in_utc():
    window = parse_window(" 09:00-17:00 ")
    assert window.text == "09:00-17:00"
    assert window.days == frozenset(range(7))
    assert closed_until(window, utc(2026, 11, 22, 8, 59, 59)) is None
    assert closed_until(window, utc(2026, 11, 22, 9)) == utc(2026, 11, 22, 17)
    assert closed_until(window, utc(2026, 11, 22, 16, 59, 59)) == utc(2026, 11, 22, 17)
    assert closed_until(window, utc(2026, 11, 22, 17)) is None


def test_a_window_is_in_its_own_zone():
    """Nine in Berlin is eight in UTC in winter and seven in summer."""
    text = "09:00-17:00 Europe/Berlin"
    assert shut(text, utc(2026, 1, 15, 7, 59)) is None
    assert shut(text, utc(2026, 1, 15, 8)) == utc(2026, 1, 15, 16)
    assert shut(text, utc(2026, 7, 15, 7)) == utc(2026, 7, 15, 15)


def test_the_moment_may_be_given_in_any_zone():
    at = datetime(2026, 1, 15, 9, 30, tzinfo=BERLIN)
    assert shut("08:00-09:00", at) == utc(2026, 1, 15, 9)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("mon", {0}),
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("sat-sun", {5, 6}),
        ("fri-mon", {4, 5, 6, 0}),
        ("Mon-FRI", {0, 1, 2, 3, 4}),
        ("sun-sat", set(range(7))),
    ],
)
def test_weekdays_run_in_either_direction(days, expected):
    assert parse_window(f"{days} 09:00-17:00").days == expected


def test_a_window_is_shut_on_its_days_only():
    """22 November 2026 is a Sunday."""
    assert shut("mon-fri 09:00-17:00", utc(2026, 11, 22, 12)) is None
    assert shut("mon-fri 09:00-17:00", utc(2026, 11, 23, 12)) == utc(2026, 11, 23, 17)


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins():
    text = "fri 22:00-06:00"
    assert shut(text, utc(2026, 11, 20, 21, 59)) is None
    assert shut(text, utc(2026, 11, 20, 23)) == utc(2026, 11, 21, 6)
    assert shut(text, utc(2026, 11, 21, 5, 59)) == utc(2026, 11, 21, 6)
    assert shut(text, utc(2026, 11, 21, 6)) is None
    assert shut(text, utc(2026, 11, 21, 23)) is None


def test_the_weekday_is_that_of_the_windows_zone():
    """Half past midnight on Saturday in Auckland is still Friday in UTC."""
    assert shut("sat 00:00-02:00 Pacific/Auckland", utc(2026, 11, 20, 11, 30)) == utc(
        2026, 11, 20, 13
    )


def test_a_window_may_end_at_midnight():
    for text in ("22:00-00:00", "22:00-24:00"):
        assert shut(text, utc(2026, 11, 22, 23, 59)) == utc(2026, 11, 23)
        assert shut(text, utc(2026, 11, 23)) is None


def test_equal_ends_are_a_whole_day():
    assert shut("sun 00:00-00:00", utc(2026, 11, 22, 23)) == utc(2026, 11, 23)
    assert shut("sun 00:00-00:00", utc(2026, 11, 23)) is None


def test_the_hour_that_comes_twice_is_shut_both_times():
    """25 October 2026: 03:00 becomes 02:00. From the first half past two to the last."""
    text = "02:30-02:45 Europe/Berlin"
    assert shut(text, utc(2026, 10, 25, 0, 29)) is None
    for minute in range(30, 30 + 75):
        at = utc(2026, 10, 25) + timedelta(minutes=minute)
        assert shut(text, at) == utc(2026, 10, 25, 1, 45), at
    assert shut(text, utc(2026, 10, 25, 1, 45)) is None


def test_a_window_over_the_hour_that_comes_twice_lasts_an_hour_longer():
    text = "22:00-06:00 Europe/Berlin"
    assert shut(text, utc(2026, 10, 24, 20)) == utc(2026, 10, 25, 5)
    assert shut(text, utc(2026, 10, 25, 4, 59)) == utc(2026, 10, 25, 5)
    assert shut(text, utc(2026, 10, 25, 5)) is None


def test_a_window_over_the_hour_that_is_left_out_is_an_hour_shorter():
    """29 March 2026: 02:00 becomes 03:00."""
    text = "22:00-06:00 Europe/Berlin"
    assert shut(text, utc(2026, 3, 28, 21)) == utc(2026, 3, 29, 4)
    assert shut(text, utc(2026, 3, 29, 4)) is None


def test_a_window_that_begins_in_the_hour_that_is_left_out_begins_with_the_next():
    text = "02:30-04:00 Europe/Berlin"
    assert shut(text, utc(2026, 3, 29, 0, 59)) is None
    assert shut(text, utc(2026, 3, 29, 1)) == utc(2026, 3, 29, 2)
    assert shut(text, utc(2026, 3, 29, 1, 59)) == utc(2026, 3, 29, 2)
    assert shut(text, utc(2026, 3, 29, 2)) is None


def test_a_window_inside_the_hour_that_is_left_out_comes_an_hour_later():
    """It is never simply skipped."""
    text = "02:15-02:45 Europe/Berlin"
    assert shut(text, utc(2026, 3, 29, 1, 20)) == utc(2026, 3, 29, 1, 45)


@given(
    at=MOMENTS,
    start=st.integers(0, 1439),
    end=st.integers(0, 1439),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    days=st.sampled_from(["", "mon-fri ", "sat "]),
)
def test_a_shut_window_opens_later_and_is_then_open(at, start, end, zone, days):
    """The time that it says is in the future, within a day and an hour, and true."""
    text = f"{days}{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02} {zone}"
    opens = shut(text, at)
    if opens is not None:
        assert at < opens <= at + timedelta(hours=25)
        assert opens.tzinfo is UTC
        if start != end:
            assert shut(text, opens) is None or opens.astimezone(ZoneInfo(zone)).utcoffset() != (
                at.astimezone(ZoneInfo(zone)).utcoffset()
            )


@given(at=MOMENTS, start=st.integers(0, 1439), end=st.integers(0, 1439), day=st.integers(0, 6))
def test_in_utc_a_window_is_plain_arithmetic(at, start, end, day):
    """Minutes of the week, counted another way."""
    text = f"{DAYS[day]} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    length = (end - start) % 1440 or 1440
    week = at.weekday() * 1440 + at.hour * 60 + at.minute
    assert (shut(text, at) is not None) is ((week - day * 1440 - start) % (7 * 1440) < length)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9-17",
        "09:00",
        "09:00-25:00",
        "09:60-10:00",
        "24:00-06:00",
        "moo 09:00-17:00",
        "mon-moo 09:00-17:00",
        "mon,tue 09:00-17:00",
        "09:00-17:00 Europe/Berlin again",
    ],
)
def test_a_malformed_window_is_refused_with_the_right_form(text):
    with pytest.raises(ConfigError) as caught:
        parse_window(text)
    assert caught.value.found == repr(text)
    assert "mon-fri 09:00-17:00 Europe/Berlin" in caught.value.fix


def test_a_deadline_is_the_next_time_the_clock_shows_it():
    now = datetime(2026, 11, 22, 22, 0, tzinfo=BERLIN)
    assert deadline("06:00", now, BERLIN) == utc(2026, 11, 23, 5)
    assert deadline("23:30", now, BERLIN) == utc(2026, 11, 22, 22, 30)
    assert deadline(" 06:00 ", now, BERLIN) == utc(2026, 11, 23, 5)


def test_a_deadline_at_this_very_minute_is_tomorrows():
    now = utc(2026, 11, 22, 6)
    assert deadline("06:00", now, ZoneInfo("UTC")) == utc(2026, 11, 23, 6)


@pytest.mark.parametrize(
    ("evening", "morning"),
    [
        pytest.param(utc(2026, 10, 24, 20), utc(2026, 10, 25, 5), id="winter begins"),
        pytest.param(utc(2026, 3, 28, 21), utc(2026, 3, 29, 4), id="summer begins"),
    ],
)
def test_a_deadline_is_by_the_clock_also_when_the_clock_changes(
    evening, morning, monkeypatch, machine_zone
):
    """Six in the morning is six on that morning's clock: the zone's, or this machine's."""
    assert deadline("06:00", evening, BERLIN) == morning
    machine_zone("Europe/Berlin")
    assert deadline("06:00", evening.astimezone()) == morning
    assert deadline("06:00", evening) == morning


def test_a_deadline_in_an_hour_that_comes_twice_is_found():
    """The first half past two; after it the next day's, never one that is over."""
    assert deadline("02:30", utc(2026, 10, 25, 0), BERLIN) == utc(2026, 10, 25, 0, 30)
    assert deadline("02:30", utc(2026, 10, 25, 1), BERLIN) == utc(2026, 10, 26, 1, 30)


def test_a_deadline_without_an_offset_is_on_this_machines_clock(machine_zone):
    """With a date as without one."""
    machine_zone("Europe/Berlin")
    now = utc(2026, 11, 22, 12)
    assert deadline("2026-11-23T06:00", now) == utc(2026, 11, 23, 5)
    assert deadline("2026-11-23 06:00", now) == utc(2026, 11, 23, 5)
    assert deadline("2026-11-23T06:00", now, ZoneInfo("America/New_York")) == utc(2026, 11, 23, 11)


def test_an_offset_in_the_text_goes_before_every_zone():
    now = utc(2026, 11, 22, 12)
    assert deadline("2026-11-23T06:00Z", now, BERLIN) == utc(2026, 11, 23, 6)
    assert deadline("2026-11-23T06:00+09:00", now, BERLIN) == utc(2026, 11, 22, 21)
    assert deadline("06:00+09:00", now, BERLIN) == utc(2026, 11, 22, 21)
    evening, tomorrow_already = utc(2026, 11, 22, 20), ZoneInfo("Pacific/Auckland")
    assert deadline("13:00-08:00", evening, tomorrow_already) == utc(2026, 11, 22, 21)


@pytest.mark.parametrize("text", ["", "six", "25:00", "06:00:99", "2026-02-30T06:00", "2026-11-23"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="--until is not a time") as caught:
        deadline(text, utc(2026, 11, 22), BERLIN)
    assert "06:00" in caught.value.fix


def test_a_deadline_that_is_over_is_refused():
    """It would begin a run only to pause it."""
    with pytest.raises(UsageError, match="--until is over"):
        deadline("2026-01-31T06:00", utc(2026, 11, 22), BERLIN)
    with pytest.raises(UsageError, match="--until is over"):
        deadline("2026-11-22T06:00Z", utc(2026, 11, 22, 6))


@given(at=MOMENTS, minute=st.integers(0, 1439))
def test_a_deadline_is_within_a_day_and_an_hour_ahead(at, minute):
    found = deadline(f"{minute // 60:02}:{minute % 60:02}", at, BERLIN)
    assert at < found <= at + timedelta(hours=25)


@pytest.mark.parametrize(
    ("zone", "fix"),
    [
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("Mars/Olympus", "such as"),
        ("../etc/passwd", "such as"),
    ],
)
def test_a_zone_that_is_not_there_is_named_with_one_like_it(zone, fix):
    with pytest.raises(ConfigError, match=f"no time zone named {zone}") as caught:
        parse_window(f"09:00-17:00 {zone}")
    assert fix in caught.value.fix
