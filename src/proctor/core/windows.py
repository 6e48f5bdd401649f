"""Blackout windows and deadlines: when a run may not write."""

from __future__ import annotations

import re

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
        zone = ZoneInfo(found["zone"] or "UTC")
        start, end = (time.fromisoformat(found[g]) for g in ("a", "b"))
        days = _days(found["days"])
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError("a blackout window is malformed", found=repr(text), fix=fix) from error
    return Window(text=text.strip(), days=days, start=start, end=end, zone=zone)


def _days(text: str | None) -> frozenset[int]:
    if not text:
        return frozenset(range(7))
    first, _, last = text.lower().partition("-")
    a, b = DAYS.index(first), DAYS.index(last or first)
    return frozenset((a + i) % 7 for i in range((b - a) % 7 + 1))


def closed_until(window: Window, now: datetime) -> datetime | None:
    """When a window that is shut at `now` opens again; None if it is not shut."""
    local = now.astimezone(window.zone)
    for back in (0, 1):
        day = local.date() - timedelta(days=back)
        if day.weekday() not in window.days:
            continue
        start = datetime.combine(day, window.start, window.zone)
        end = datetime.combine(day, window.end, window.zone)
        if window.end <= window.start:
            end = datetime.combine(day + timedelta(days=1), window.end, window.zone)
        if start <= local < end:
            return end.astimezone(UTC)
    return None


def deadline(text: str, now: datetime, zone: ZoneInfo | None = None) -> datetime:
    """The next time the clock shows `text` (HH:MM), or the ISO time that it names."""
    try:
        if "T" in text or " " in text.strip():
            at = datetime.fromisoformat(text.strip())
            return (at if at.tzinfo else at.replace(tzinfo=zone or UTC)).astimezone(UTC)
        local = now.astimezone(zone)
        at = datetime.combine(local.date(), time.fromisoformat(text.strip()), local.tzinfo)
    except ValueError as error:
        raise UsageError(
            "--until is not a time", found=repr(text), fix="write 06:00 or 2026-01-31T06:00"
        ) from error
    return (at if at > local else at + timedelta(days=1)).astimezone(UTC)
