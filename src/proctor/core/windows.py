"""Blackout windows and deadlines: when a run may not write."""

from __future__ import annotations

import re

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from proctor.errors import ConfigError, UsageError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FORM = re.compile(
    r"^(?:(?P<days>[a-z]{3}(?:-[a-z]{3})?)\s+)?(?P<a>\d\d:\d\d)-(?P<b>\d\d:\d\d)(?:\s+(?P<zone>\S+))?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A daily stretch of wall-clock time on some weekdays, in one time zone."""

    text: str
    days: frozenset[int]
    start: time
    end: time
    zone: ZoneInfo


def parse_window(text: str) -> Window:
    """`[mon-fri ]09:00-17:00[ Europe/Berlin]`; may run over midnight, the zone defaults to UTC."""
    found = FORM.match(text.strip())
    fix = "write it like 'mon-fri 09:00-17:00 Europe/Berlin'"
    if not found:
        raise ConfigError("a blackout window is malformed", found=repr(text), fix=fix)
    try:
        zone = zone_named(found["zone"] or "UTC", text)
        start = time.fromisoformat(found["a"])
        end = time.fromisoformat("00:00" if found["b"] == "24:00" else found["b"])
        days = _days(found["days"])
    except ValueError as error:
        raise ConfigError("a blackout window is malformed", found=repr(text), fix=fix) from error
    return Window(text=text.strip(), days=days, start=start, end=end, zone=zone)


def zone_named(name: str, text: str) -> ZoneInfo:
    """The zone; ConfigError with the nearest name if there is none. `text` is where it stood."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        near = get_close_matches(name, available_timezones(), n=1)
        raise ConfigError(
            f"there is no time zone named {name}",
            found=repr(text),
            fix=f"did you mean {near[0]}?" if near else "name one such as Europe/Berlin, or UTC",
        ) from error


def _days(text: str | None) -> frozenset[int]:
    if not text:
        return frozenset(range(7))
    first, _, last = text.lower().partition("-")
    a, b = DAYS.index(first), DAYS.index(last or first)
    return frozenset((a + i) % 7 for i in range((b - a) % 7 + 1))


def closed_until(window: Window, now: datetime) -> datetime | None:
    """When a window that is shut at `now` opens again, in UTC; None if it is not shut.

    An hour that the clock shows twice counts both times and what lies between them too; one
    that it leaves out is taken an hour later. A window errs on the side of being shut.
    """
    local = now.astimezone(window.zone)
    for back in (0, 1):
        day = local.date() - timedelta(days=back)
        if day.weekday() not in window.days:
            continue
        start = datetime.combine(day, window.start, window.zone)
        end = datetime.combine(day, window.end, window.zone)
        if window.end <= window.start:
            end = datetime.combine(day + timedelta(days=1), window.end, window.zone)
        opens = max(end.replace(fold=f).astimezone(UTC) for f in (0, 1))
        if start.astimezone(UTC) <= now < opens or (start <= local < end and now < opens):
            return opens
    return None


def deadline(text: str, now: datetime, zone: ZoneInfo | None = None) -> datetime:
    """The next time the clock shows `text` (HH:MM), or the ISO time that it names; in UTC.

    On the clock of `zone`, by default this machine's; an offset in the text goes before it.
    Raises UsageError for what is no time, or a time that is over.
    """
    fix = "write 06:00 or 2026-01-31T06:00"
    try:
        if "T" in text or " " in text.strip():
            at = _placed(datetime.fromisoformat(text.strip()), zone)
        else:
            at = _next(time.fromisoformat(text.strip()), now, zone)
    except ValueError as error:
        raise UsageError("--until is not a time", found=repr(text), fix=fix) from error
    if at <= now:
        raise UsageError("--until is over already", found=repr(text), fix=fix)
    return at


def _next(shown: time, now: datetime, zone: ZoneInfo | None) -> datetime:
    today = now.astimezone(shown.tzinfo or zone).date()
    days = (today + timedelta(days=n) for n in range(3))
    return next(at for d in days if (at := _placed(datetime.combine(d, shown), zone)) > now)


def _placed(at: datetime, zone: ZoneInfo | None) -> datetime:
    """A time on its own clock, else on that of the zone, else on this machine's."""
    if at.tzinfo is None and zone is not None:
        at = at.replace(tzinfo=zone)
    return at.astimezone(UTC)
