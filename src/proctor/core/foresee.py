"""From the paid answers of a few rows to those of a run: tokens, money, time under limits, days.

A sample is never the whole, so money is a range: twice the standard error and more where the
sample is small, and never less than a twentieth of what is to come.
"""

from __future__ import annotations

import math

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from proctor.core.allowance import WINDOW
from proctor.model import Asked, Foreseen, Foresight, Key, Known

LEAST: Final = 0.05
"""The least part of what is to come by which it may turn out otherwise."""
CENT: Final = Decimal("0.000001")
"""Money is told to a millionth of a dollar: embeddings of short texts cost little more."""
LONGER: Final = 1.5
"""By how much calls and rates may turn out slower than the sample's."""
DAY: Final = timedelta(days=1)
SOON: Final = timedelta(minutes=5)
"""A batch call that the vendor has time for; it may take a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How much was looked at, and of how much: `units` are calls of the author's function."""

    rows: int
    units: int
    eligible: int

    @property
    def scale(self) -> float:
        """The run's rows for each row of the sample; at least 1."""
        return max(1.0, self.eligible / self.rows)

    @property
    def to_come(self) -> float:
        """The part of the run whose answers are not kept yet."""
        return max(0.0, 1 - self.rows / self.eligible) if self.eligible else 0.0


def foresee(
    asked: Sequence[Asked],
    *,
    rows: int,
    units: int,
    eligible: int,
    known: Mapping[str, Known],
    at_once: int,
) -> Foresight:
    """What a run over `eligible` rows asks, by the answers of a sample of `rows` of them.

    units: calls of the author's function in the sample, also those that asked nothing.
    at_once: how many of them a run makes at a time. Questions that the sample asked twice are
    paid once, here as in a run.
    """
    sample = Sample(rows=rows, units=units, eligible=max(rows, eligible))
    once = list({one.key: one for one in reversed(asked)}.values())
    names = sorted({one.provider for one in once})
    told = [_of(name, [o for o in once if o.provider == name], sample, known) for name in names]
    usd, low, high = _money(once, sample)
    time, bound = _longest(_bounds(told, sample, known, at_once))
    rounds, batched = _rounds(told, sample, known)
    return Foresight(
        rows=rows,
        eligible=eligible,
        providers=tuple(told),
        usd=usd,
        usd_low=low,
        usd_high=high,
        to_pay=_cents(float(usd) * sample.to_come),
        paid=sum((one.spent for one in once if one.paid), Decimal(0)),
        paid_calls=round(sum(one.calls for one in once if one.paid)),
        low=_over_days(time, told, 2) + rounds * SOON,
        high=_over_days(time * LONGER, told, 1) + rounds * DAY,
        bound=batched or bound,
    )


def _of(name: str, asked: Sequence[Asked], sample: Sample, known: Mapping[str, Known]) -> Foreseen:
    """One provider's part."""
    usd, low, high = _money(asked, sample)
    sent = sum(one.usage.input_tokens for one in asked)
    came = sum(one.usage.output_tokens for one in asked)
    asking = sum(one.calls for one in asked)
    calls = math.ceil(round(asking * sample.scale, 6))
    return Foreseen(
        provider=name,
        model=asked[0].model,
        calls_per_row=asking / sample.rows,
        input_per_row=sent / sample.rows,
        output_per_row=came / sample.rows,
        calls=calls,
        input_tokens=round(sent * sample.scale),
        output_tokens=round(came * sample.scale),
        usd=usd,
        usd_low=low,
        usd_high=high,
        to_pay=_cents(float(usd) * sample.to_come),
        left_usd=known[name].left_usd,
        days=None if known[name].batch else _days(round(calls * sample.to_come), known[name]),
    )


def _money(asked: Iterable[Asked], sample: Sample) -> tuple[Decimal, Decimal, Decimal]:
    """What the whole run's answers cost: expected, low and high."""
    units: dict[Key, float] = {}
    total = Decimal(0)
    for one in asked:
        units[one.unit] = units.get(one.unit, 0.0) + float(one.usd)
        total += one.usd
    usd = float(total) * sample.scale
    spread = max(
        _spread(list(units.values()), sample.units, sample.scale), LEAST * usd * sample.to_come
    )
    return _cents(usd), _cents(max(float(total), usd - spread)), _cents(usd + spread)


def _spread(sums: Sequence[float], units: int, scale: float) -> float:
    """Half the width of the range of a total: units that asked nothing count as 0."""
    if scale <= 1:
        return 0.0
    if units < 2:
        return sum(sums) * scale  # one alone says nothing of how they differ
    mean = sum(sums) / units
    squares = sum((x - mean) ** 2 for x in sums) + (units - len(sums)) * mean**2
    error = units * scale * math.sqrt(squares / (units - 1) / units) * math.sqrt(1 - 1 / scale)
    return _student(units - 1) * error


def _student(degrees: int) -> float:
    """Standard errors that hold 95 of 100: two, and more where there are few samples."""
    return 1.96 + 2.37 / degrees + 2.82 / degrees**2


def _bounds(
    told: Sequence[Foreseen], sample: Sample, known: Mapping[str, Known], at_once: int
) -> Iterable[tuple[float, str]]:
    """Seconds that each limit alone would make of the calls to come, with its name."""
    function = 0.0
    for one in told:
        if known[one.provider].batch:
            continue  # no limit of direct calls knows of them
        limits, seconds = known[one.provider].limits, known[one.provider].seconds
        calls = one.calls * sample.to_come
        tokens = (one.input_tokens + one.output_tokens) * sample.to_come
        if limits.rpm:
            yield calls / limits.rpm * WINDOW, f"rpm = {limits.rpm:,} of {one.provider}"
        if limits.tpm:
            yield tokens / limits.tpm * WINDOW, f"tpm = {limits.tpm:,} of {one.provider}"
        if seconds is not None:
            flying = f"concurrency = {limits.concurrency:,} of {one.provider}"
            yield calls * seconds / limits.concurrency, flying
            function += calls * seconds
    if function:
        yield function / at_once, f"{at_once:,} calls of the function at once"


def _rounds(
    told: Sequence[Foreseen], sample: Sample, known: Mapping[str, Known]
) -> tuple[int, str]:
    """How many batch calls one after the other, by whoever makes the most; and whose they are."""
    rounds, name = 0, ""
    for one in told:
        if (most := known[one.provider].batch) and one.calls:
            own = math.ceil(one.calls * sample.to_come / most)
            rounds, name = max((rounds, name), (own, one.provider))
    return rounds, f"batch calls of {name}, which may take a day each" if rounds else ""


def _longest(bounds: Iterable[tuple[float, str]]) -> tuple[timedelta, str]:
    seconds, bound = max(bounds, default=(0.0, ""))
    return timedelta(seconds=seconds), bound if seconds else ""


def _days(calls: int, known: Known) -> int | None:
    """Days of a daily quota, today among them, that so many more calls need."""
    daily = known.limits.daily
    if daily is None:
        return None
    return 1 + math.ceil(max(0, calls - max(0, daily - known.used_today)) / daily)


def _over_days(time: timedelta, told: Sequence[Foreseen], nights: int) -> timedelta:
    """The time with the waits for a daily quota: the first of them may be short, or a day long."""
    days = max((one.days or 1 for one in told), default=1)
    return max(time, (days - nights) * DAY + (time / days if nights == 1 else timedelta(0)))


def _cents(usd: float) -> Decimal:
    return Decimal(usd).quantize(CENT)


__all__ = ["foresee"]
