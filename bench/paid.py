"""Paid answers: how near a run comes to its provider's limits, and what a call costs by itself.

    python bench/paid.py [--quick] [--only limits,halved,speed] [--peer PYTHON | --no-peer]

The provider is the local vendor, in a process of its own for each path; its books are the only
count. Beside Proctor, in the same rounds, a script with asyncio.gather and OpenAI's SDK with the
SDK's own retries, and a peer in a virtual environment that is made here.

What a limit dictates is N / rate. The vendor's minute is in full use when a round begins, for else
everybody would have a minute's allowance to spend at once. Paths that mostly wait for limits go
side by side; those that are measured by their processor go one after the other, alone on a core.
"""

import argparse
import contextlib
import dataclasses
import datetime
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]

import rounds

from ways import Case, Way, stop

from proctor.testing.vendor import Served

PEER = "bespokelabs-curator"
OURS, FOUR, GATHER = "Proctor", "Proctor, 4 processes", "gather + OpenAI's SDK"
CHAT, EMBED = "gpt-5-mini", "text-embedding-3-small"
LATENCY_S = 1.5
RPM, TPM = 600, 120_000
TOKENS = 300  # a call, about, where tokens are what binds


def side_by_side(cases):
    """Cases that mostly wait, all at once; their results by name."""
    together = threading.Barrier(len(cases))
    with ThreadPoolExecutor(len(cases)) as threads:
        found = {name: threads.submit(case.run, together) for name, case in cases.items()}
        results = {name: future.result() for name, future in found.items()}
    for name, result in results.items():
        say(f"{name:<28} {told(result)}")
    return results


def told(result):
    """A result for whoever waits."""
    return "  ".join(
        f"{k} {v:,}" if isinstance(v, int) else f"{k} {v:,.3f}"
        for k, v in result.items()
        if v == v  # noqa: PLR0124 - what is no number is not there
    )


def say(text):
    """Progress, beside the table."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def measure_limits(ways, minutes):
    """Time over what the limit dictates, and the share of 429s."""
    bound = {
        "RPM": (Served(name=CHAT, rpm=RPM, latency_s=LATENCY_S), (20, 80), round(RPM * minutes)),
        "TPM": (
            Served(name=CHAT, tpm=TPM, latency_s=LATENCY_S),
            (20, 200),
            round(TPM / TOKENS * minutes),
        ),
    }
    for word, (served, lyrics, rows) in bound.items():
        say(f"{word}-bound, {rows:,} rows")
        patience = 90 * minutes + 60
        results = side_by_side(
            {
                name: Case(way=way, served=served, rows=rows, lyrics=lyrics, patience=patience)
                for name, way in ways.items()
            }
        )
        for name, result in results.items():
            ours, label = name.startswith(OURS), f"{word}-bound, {name}"
            if result["filled"] < rows:
                label += f" (ended after {patience:.0f} s, {result['calls']:,} of {rows:,} calls)"
            over, limited = result["over"], result["limited"]
            met = over <= 1.05 if ours else None
            yield line(f"{label}: time / the limit's", f"{over:.3f}", met, "<= 1.05")
            met = limited < 0.005 if ours else None
            yield line(f"{label}: calls answered 429", f"{limited:.2%}", met, "< 0.5 %")


def line(label, measured, met, goal):
    """One line of the table; a peer has no goal."""
    if met is None:
        return f"| {label} | {measured} | | |"
    return rounds.row(label, measured, goal, met)


def measure_halved(ways, *, before=30, after=90):
    """What is let in after the vendor has halved its limit without a word.

    Its window still holds what it let in before: for the first half of the next minute it can let
    nobody in. So the minute that counts begins then.
    """
    served = Served(name=CHAT, rpm=RPM, latency_s=LATENCY_S)
    rows = RPM * (before + after) // 60 + RPM

    def watched(way, together):
        case = Case(way=way, served=served, rows=rows)
        with case.ready() as (vendor, words):
            at = [case.books(vendor)]
            together.wait()
            process = way.start(heard=False, **words)
            try:
                wait_for(lambda: case.books(vendor).calls > at[0].calls)
                for seconds in (before, after - 60, 30, 30):
                    time.sleep(seconds)
                    at.append(case.books(vendor))
                    if len(at) == 2:
                        vendor.serve(dataclasses.replace(served, rpm=RPM // 2))
                if process.poll():
                    raise SystemExit(f"{process.args} failed")
            finally:
                stop(process)
        return at

    say(f"halved mid-run, after {before} s")
    together = threading.Barrier(len(ways))
    with ThreadPoolExecutor(len(ways)) as threads:
        found = {name: threads.submit(watched, way, together) for name, way in ways.items()}
    for name, future in found.items():
        at = future.result()
        minute = (at[4].calls - at[2].calls) / (RPM // 2)
        first = (at[3].calls - at[1].calls) / (RPM // 2)
        limited = at[4].limited - at[1].limited
        label = f"limit halved, {name}: the minute from when there is room again / the new limit"
        say(f"{name:<28} {minute:.2f}, first minute {first:.2f}, 429s {limited}")
        met = minute >= 0.9 if name.startswith(OURS) else None
        yield line(label, f"{minute:.2f} ({first:.2f} at once; {limited} times 429)", met, ">= 0.9")


def wait_for(happened, patience=120):
    """Look again and again until it is so."""
    end = time.monotonic() + patience
    while not happened():
        if time.monotonic() > end:
            raise SystemExit("nothing was asked")
        time.sleep(0.1)


def measure_speed(ways, embedders, rows, count):
    """Calls a minute without limits, and processor time of the way's own process."""
    chat = {
        name: Case(way=way, served=Served(name=CHAT, latency_s=0.1), rows=rows, core=0)
        for name, way in ways.items()
    }
    vectors = {
        name: Case(
            way=way,
            served=Served(name=EMBED, kind="embed", dimensions=1536, latency_s=0.1),
            rows=rows // 96 * 96,
            core=0,
        )
        for name, way in embedders.items()
    }
    asked, embedded = in_rounds(chat, count), in_rounds(vectors, count)
    middle = statistics.median
    for name, results in asked.items():
        rate = middle(60 * r["rows"] / r["seconds"] for r in results)
        each = middle(1000 * r["cpu"] / r["rows"] for r in results)
        ours = name == OURS
        of = "" if name == GATHER else f", {beside(asked, name, GATHER, 'seconds')} x {GATHER}"
        yield line(
            f"{name}: chat calls a minute on one core",
            f"{rate:,.0f}{of}",
            rate >= 10_000 if ours else None,
            ">= 10,000",
        )
        of = "" if name == GATHER else f", {beside(asked, GATHER, name, 'cpu')} x {GATHER}"
        yield line(
            f"{name}: processor time a chat call",
            f"{each:.2f} ms{of}",
            each <= 5 if ours else None,
            "<= 5 ms",
        )
    for name, results in embedded.items():
        each = middle(1000 * r["cpu"] / r["rows"] for r in results)
        of = "" if name == GATHER else f", {beside(embedded, GATHER, name, 'cpu')} x {GATHER}"
        yield line(
            f"{name}: processor time a row, embedding calls of 96",
            f"{each:.2f} ms{of}",
            each <= 3 if name == OURS else None,
            "<= 3 ms",
        )


def in_rounds(cases, count):
    """Every case once a round, alone; the results by name."""
    found = {name: [] for name in cases}
    for number in range(count):
        for name, case in cases.items():
            found[name].append(case.run())
            say(f"round {number + 1}  {name:<28} {told(found[name][-1])}")
    return found


def beside(found, over, under, word):
    """The median of the ratios inside each round: what `under` takes / what `over` takes."""
    pairs = zip(found[under], found[over], strict=True)
    return f"{statistics.median(a[word] / b[word] for a, b in pairs):.2f}"


@contextlib.contextmanager
def peer(python):
    """A Python that has the peer, in a folder of its own unless one is given."""
    if python:
        yield python
        return
    with tempfile.TemporaryDirectory() as folder:
        say(f"installing {PEER} in a virtual environment of its own")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        inside = str(Path(folder) / "bin" / "python")
        subprocess.run([inside, "-m", "pip", "install", "-q", PEER], check=True)
        yield inside


def main():
    """Measure and print the table as Markdown."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--quick", action="store_true", help="less of everything; proves little")
    words.add_argument(
        "--minutes", type=float, help="that a limit dictates: starts and ends weigh less in more"
    )
    words.add_argument("--only", default="limits,halved,speed")
    words.add_argument("--peer", default=None, help=f"a Python that has {PEER}")
    words.add_argument("--no-peer", action="store_true")
    asked = words.parse_args()
    minutes, rows, count = (0.5, 600, 1) if asked.quick else (3, 3000, 3)
    minutes = asked.minutes or minutes
    ours, gather = Way(script="paid"), Way(script="gather")
    four = Way(script="paid", words={"processes": 4})
    began = time.perf_counter()
    with contextlib.ExitStack() as held:
        others = {}
        if not asked.no_peer:
            python = held.enter_context(peer(asked.peer))
            others = {PEER: Way(script="curator_peer", python=python)}
        parts = {
            "limits": lambda: measure_limits(
                {OURS: ours, FOUR: four, GATHER: gather, **others}, minutes
            ),
            "halved": lambda: measure_halved({OURS: ours, GATHER: gather, **others}),
            "speed": lambda: measure_speed(
                {OURS: ours, GATHER: gather, **others}, {OURS: ours, GATHER: gather}, rows, count
            ),
        }
        lines = [row for part in asked.only.split(",") for row in parts[part]()]
    print(f"\nPaid answers, {datetime.datetime.now(datetime.UTC):%Y-%m-%d},", end=" ")
    print(f"{rounds.machine()}, {(time.perf_counter() - began) / 60:.0f} minutes")
    print(f"{RPM:,} requests or {TPM:,} tokens a minute, replies after {LATENCY_S} s,", end=" ")
    print(f"work for {minutes:g} minutes\n")
    print("| what | measured | goal | |\n|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
