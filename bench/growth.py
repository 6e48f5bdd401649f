"""Whether the rate holds as the table grows: Proctor against L1 at each size, and its memory.

    python bench/growth.py [--rows 100000,1000000,5000000] [--rounds 1] [--buffers 8GB,2GB]

Every size has a table of its own on a fresh server; both paths run side by side in each round.
The first of the buffers is as large as the biggest table, the second smaller than it.
"""

import argparse
import datetime
import sys

from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import rounds

from postgres import SETTINGS, Bench, bare, ours

NAMES = ("Proctor, two workers", "L1")


def measured(rows, count, buffers):
    """Rounds of both paths at one size."""
    settings = [s for s in SETTINGS if not s.startswith("shared_buffers")]
    bench = Bench(rows, settings=(*settings, f"shared_buffers={buffers}"))
    try:
        paths = dict(zip(NAMES, (ours(workers=2), bare("L1")), strict=True))
        return rounds.interleave(paths, count, bench.fresh)
    finally:
        bench.server.close()


def main():
    """Measure and print the table as Markdown."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rows", default="100000,1000000,5000000")
    words.add_argument("--rounds", type=int, default=1)
    words.add_argument("--buffers", default="8GB,2GB")
    asked = words.parse_args()
    sizes = [int(rows) for rows in asked.rows.split(",")]
    print(f"\nGrowth on Postgres, {asked.rounds} rounds,", end=" ")
    print(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {rounds.machine()}\n")
    print("| rows | shared_buffers | Proctor, rows/s | x L1 [range] | peak memory |")
    print("|---|---|---|---|---|")
    ratios, peaks = {}, []
    for buffers in asked.buffers.split(","):
        for rows in sizes:
            found = measured(rows, asked.rounds, buffers)
            middle, least, most = rounds.ratio(found, *NAMES)
            rate = sorted(r["rate"] for r in found[NAMES[0]])[asked.rounds // 2]
            peaks.append(max(r["peak_mb"] for r in found[NAMES[0]]))
            ratios[buffers, rows] = middle
            told = f"{middle:.2f} [{least:.2f}-{most:.2f}]"
            print(
                f"| {rows:,} | {buffers} | {rate:,.0f} | {told} | {peaks[-1]:.0f} MB |", flush=True
            )
    print("\n| what | measured | goal | |\n|---|---|---|---|")
    if len(sizes) > 1:
        big, small = sizes[-1], sizes[-2]
        for buffers in asked.buffers.split(","):
            held = ratios[buffers, big] / ratios[buffers, small]
            label = f"x L1 at {big:,} / at {small:,}, {buffers}"
            print(rounds.row(label, f"{held:.2f}", ">= 0.85", held >= 0.85))
    most = max(peaks)
    print(rounds.row("peak memory at any size", f"{most:.0f} MB", "<= 150 MB", most <= 150))


if __name__ == "__main__":
    main()
