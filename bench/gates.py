"""How often a gate is wrong: the obvious rule against the one that Proctor has.

    python bench/gates.py [--soaks 2000]

Draws soaks whose truth is known (an event rate of 5 %, and a ratio to the baseline), counts them at
24 looks over 6 hours, and asks both rules at every look. Proctor's is the code that a rollout runs.
"""

from __future__ import annotations

import argparse

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from proctor.adapters.statistics import ExactStatistics
from proctor.core.gates import judged, with_earlier
from proctor.model import (
    Baseline,
    Direction,
    Measurement,
    Metric,
    Mode,
    Phase,
    PythonFigures,
    Ruling,
)

LOOKS = 24
RATE = 0.05
EXACT = ExactStatistics()
BEGUN = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Soak:
    """One kind of soak: how much is counted in it, and what is true."""

    ratio: float
    samples: int = 12_000
    mode: Mode = Mode.FIXED
    allowed: float = 0.85
    rate: float = RATE
    control: float = 3.0
    """How many times as many are counted of those who do not see the new data (25 % let in)."""
    drift: float = 0.0
    """By how much (standard deviation of the logarithm) the rate differs from week to week."""
    windows: int = 8
    extended: bool = False
    """Whether a soak that is inconclusive goes on for as long again, and is asked a second time."""

    @property
    def looks(self):
        return LOOKS * self.endings

    @property
    def endings(self):
        return 2 if self.extended else 1

    @property
    def metric(self):
        direction = Direction.DECREASE if self.allowed < 1 else Direction.INCREASE
        baseline = Baseline(
            mode=self.mode,
            allowed=self.allowed,
            direction=direction,
            rate=self.rate if self.mode is Mode.FIXED else None,
            windows=self.windows,
        )
        return Metric(
            name="conversion",
            source=PythonFigures(call=float),
            baseline=baseline,
            critical=True,
            interval=timedelta(minutes=15),
            min_samples=1,
        )


def counts(dice, kind, soaks, ratio, times=1.0, *, drift=0.0):
    """Cumulative (events, total) of each soak at each look."""
    everybody = round(kind.samples * times * kind.endings)
    total = dice.multinomial(everybody, np.full(kind.looks, 1 / kind.looks), size=soaks)
    rates = kind.rate * ratio * np.exp(dice.normal(0, drift, size=(soaks, 1)) if drift else 0)
    events = dice.binomial(total, np.minimum(rates, 1))
    return np.cumsum(events, axis=1), np.cumsum(total, axis=1)


def figures(dice, kind, soaks):
    """What each look of each soak gives, as a measurement holds it."""
    now = counts(dice, kind, soaks, kind.ratio, drift=kind.drift)
    others = []
    if kind.mode is Mode.CONCURRENT:
        others = [counts(dice, kind, soaks, 1.0, kind.control)]
    elif kind.mode is Mode.MATCHED_WINDOWS:
        others = [counts(dice, kind, soaks, 1.0, drift=kind.drift) for _ in range(kind.windows)]
    for soak in range(soaks):
        looks = []
        for look in range(kind.looks):
            pairs = [
                {"events": int(e[soak, look]), "total": int(t[soak, look])}
                for e, t in (now, *others)
            ]
            found = pairs[0]
            if kind.mode is Mode.CONCURRENT:
                found |= {f"control_{name}": value for name, value in pairs[1].items()}
            elif kind.mode is Mode.MATCHED_WINDOWS:
                found = with_earlier(found, pairs[1:])
            looks.append(found)
        yield looks


def ours(kind, metric, looks):
    """How a soak ends by Proctor's rule: rolled back, failed, passed or inconclusive."""
    share = 1 / (1 + kind.control) if kind.mode is Mode.CONCURRENT else None
    words = {"proofs": EXACT, "share": share, "endings": kind.endings}
    for slot, found in enumerate(looks):
        seen = Measurement(
            metric=metric.name,
            slot=slot,
            at=BEGUN + slot * metric.interval,
            phase=Phase.SUCCESSFUL,
            figures=found,
        )
        if judged(metric, [seen], over=False, **words).harm:
            return "rolled back"
        if (slot + 1) % LOOKS == 0:  # an end of the soak, or of its extension
            ruling = judged(metric, [seen], over=True, **words).verdict.ruling
            if ruling is not Ruling.INCONCLUSIVE:
                return "passed" if ruling is Ruling.PASS else "failed at the end"
    return "inconclusive"


def simulate(kind, soaks=2000, seed=1):
    """Shares of the endings of so many soaks."""
    dice = np.random.default_rng(seed)
    metric = kind.metric
    ended = Counter(ours(kind, metric, looks) for looks in figures(dice, kind, soaks))
    return {
        ending: ended[ending] / soaks
        for ending in ("rolled back", "failed at the end", "passed", "inconclusive")
    }


def naive(kind, soaks=2000, seed=1):
    """How often the obvious rules stop a soak, where the baseline's rate is known."""
    events, total = counts(np.random.default_rng(seed), kind, soaks, kind.ratio)
    bar = kind.rate * kind.allowed
    windows = np.diff(events, prepend=0), np.diff(total, prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        single = (windows[0] / windows[1] < bar).any(axis=1).mean()
        cumulative = (events / total < bar).any(axis=1).mean()
    return {"any 15 minutes below the bar": single, "any total so far below it": cumulative}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--soaks", type=int, default=2000)
    soaks = parser.parse_args().soaks
    print(f"{soaks:,} soaks each, {LOOKS} looks in 6 h, rate {RATE:.0%}, at least 85 % asked for\n")
    print("The obvious rule: the rate is below 85 % of the known baseline")
    for ratio in (1.0, 0.6):
        for samples in (480, 2_400, 12_000):
            shares = naive(Soak(ratio=ratio, samples=samples), soaks)
            print(row("known", ratio, samples, shares), flush=True)
    print("\nProctor's")
    for kind in KINDS:
        for ratio in (1.0, 0.85, 0.6):
            for samples in (480, 2_400, 12_000):
                told = replace(kind, ratio=ratio, samples=samples)
                many = kind.mode is Mode.MATCHED_WINDOWS
                mode = f"{kind.windows} windows" if many else kind.mode.value
                print(row(mode, ratio, samples, simulate(told, soaks)), flush=True)


KINDS = (
    Soak(ratio=1.0),
    Soak(ratio=1.0, mode=Mode.CONCURRENT),
    Soak(ratio=1.0, mode=Mode.MATCHED_WINDOWS, drift=0.08),
    Soak(ratio=1.0, mode=Mode.MATCHED_WINDOWS, drift=0.08, windows=12),
)


def row(mode, ratio, samples, shares):
    """One kind of soak and what became of such, as a line."""
    told = ", ".join(f"{ending} {share:.1%}" for ending, share in shares.items())
    return f"  {mode:<16} ratio {ratio:<5g} n = {samples:>6,}: {told}"


if __name__ == "__main__":
    main()
