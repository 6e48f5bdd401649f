"""Where the time of a row goes: processor time of Proctor and of Postgres, a row, path by path.

    python bench/processor.py [--rows 300000]

Processor time swings less than wall time on a machine that others use too, though it swings.
"""

import argparse
import datetime
import os
import sys

from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import rounds

from postgres import Bench, bare, ours

TICKS = os.sysconf("SC_CLK_TCK")


def spent(postmaster):
    """Seconds of processor time that a server's processes have taken, with those that ended."""
    total = 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended; its parent knows
        if int(place.parent.name) == postmaster:
            total += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            total += sum(map(int, fields[11:13]))
    return total / TICKS


def measured(bench, path):
    """Microseconds a row: of the wall, of the path's own process, of the server's."""
    url = bench.fresh()
    server, before = spent(bench.server.process.pid), os.times()
    result = path(url)
    after = os.times()
    client = after.children_user + after.children_system
    client -= before.children_user + before.children_system
    served = spent(bench.server.process.pid) - server
    return [1e6 * s / result["rows"] for s in (result["seconds"], client, served)]


def main():
    """Measure and print the table as Markdown."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rows", type=int, default=300_000)
    asked = words.parse_args()
    bench = Bench(asked.rows)
    paths = {
        "L1": bare("L1"),
        "Proctor, one worker": ours(workers=1),
        "Proctor, two workers": ours(workers=2),
        "Proctor sql=, one worker": ours(workers=1, backfill="normalize_sql"),
    }
    try:
        print(f"\nMicroseconds a row, {asked.rows:,} rows,", end=" ")
        print(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {rounds.machine()}\n")
        print("| path | wall | its processor, start included | the server's |\n|---|---|---|---|")
        for name, path in paths.items():
            told = " | ".join(f"{value:.1f}" for value in measured(bench, path))
            print(f"| {name} | {told} |", flush=True)
    finally:
        bench.server.close()


main()
