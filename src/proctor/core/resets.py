"""When a daily quota begins anew: a time on the wall of some time zone."""

from __future__ import annotations

import re

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from proctor.core.windows import zone_named
from proctor.errors import ConfigError

FORM: Final = re.compile(r"^(?P<time>\d\d:\d\d)(?:\s+(?P<zone>\S+))?$")


@lru_cache(maxsize=64)
def parse_reset(text: str) -> tuple[time, ZoneInfo]:
    """`00:00[ America/Los_Angeles]`; the zone defaults to UTC. ConfigError for anything else."""
    found = FORM.match(text.strip())
    try:
        shown = time.fromisoformat(found["time"]) if found else None
    except ValueError:
        shown = None
    if found is None or shown is None:
        raise ConfigError(
            "the time at which a daily quota begins anew is malformed",
            found=repr(text),
            fix="write it like '00:00 UTC' or '08:00 America/Los_Angeles'",
        )
    return shown, zone_named(found["zone"] or "UTC", text)


def next_reset(text: str, after: datetime) -> datetime:
    """The first reset later than `after`, in UTC.

    An hour that the clock shows twice counts at its second time, one that it leaves out an hour
    later: a quota that is believed to be used up for too long costs an hour, the other way round
    it is overrun.
    """
    shown, zone = parse_reset(text)
    today = after.astimezone(zone).date()
    for day in (today + timedelta(days=n) for n in (-1, 0, 1, 2)):
        local = datetime.combine(day, shown, zone)
        at = max(local.replace(fold=f).astimezone(UTC) for f in (0, 1))
        if at > after:
            return at
    raise AssertionError("a day has at most 25 hours")


__all__ = ["next_reset", "parse_reset"]
