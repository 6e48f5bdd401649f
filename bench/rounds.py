"""Interleaved rounds: every path once a round, ratios inside a round only."""

import json
import os
import platform
import statistics
import subprocess
import sys

from pathlib import Path

HERE = Path(__file__).parent


def run_path(script, python=None, **words):
    """Run one path in a process of its own; what it prints last is its result as JSON."""
    told = subprocess.run(
        [python or sys.executable, str(HERE / "paths" / f"{script}.py"), json.dumps(words)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    if told.returncode:
        raise SystemExit(f"{script} {words} failed:\n{told.stdout[-2000:]}\n{told.stderr[-4000:]}")
    return json.loads(told.stdout.strip().splitlines()[-1])


def interleave(paths, rounds, prepare):
    """`paths` is {name: callable(target) -> result}; `prepare` gives each a fresh target."""
    found = {name: [] for name in paths}
    for number in range(rounds):
        for name, path in paths.items():
            target = prepare()
            result = path(target)
            result["rate"] = result["rows"] / result["seconds"]
            found[name].append(result)
            told = f"round {number + 1}  {name:<34} {result['rate']:>10,.0f} rows/s"
            print(told, result.get("note", ""), file=sys.stderr, flush=True)
    return found


def ratio(found, mine, theirs):
    """(median, least, most) of mine / theirs inside each round."""
    pairs = zip(found[mine], found[theirs], strict=True)
    return spread(a["rate"] / b["rate"] for a, b in pairs)


def backwards(results):
    """(median, least, most) of the rows a second of each rollback / of the fill before it."""
    return spread(r["seconds"] / r["rollback_seconds"] for r in results)


def spread(values):
    """(median, least, most)."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[0], ordered[-1]


def line(label, found, mine, theirs, goal):
    """The row of a ratio between two paths."""
    return at_least(label, ratio(found, mine, theirs), goal)


def at_least(label, measured, goal):
    """The row of a ratio: (median, least, most)."""
    middle, least, most = measured
    return row(label, f"{middle:.2f} [{least:.2f}-{most:.2f}]", f">= {goal:g}", middle >= goal)


def row(label, told, goal, met):
    """One line of a table, as Markdown."""
    return f"| {label} | {told} | {goal} | {'met' if met else '**missed**'} |"


def machine():
    """What the numbers were measured on."""
    cpu = next(
        (
            text.partition(":")[2].strip()
            for text in Path("/proc/cpuinfo").read_text().splitlines()
            if text.startswith("model name")
        ),
        platform.processor(),
    )
    return f"{os.cpu_count()} cores ({cpu}), Python {platform.python_version()}"
