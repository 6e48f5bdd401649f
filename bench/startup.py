"""How long a user waits: for `proctor --help`, and from `proctor run` to the first committed row.

    python bench/startup.py [--rows 100000] [--rounds 5]

Wall time, and the processor time that the command itself had taken by then: on a busy machine the
second says what the first would be on a quiet one.
"""

import argparse
import datetime
import functools
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import psycopg
import rounds

import data

from servers import start_postgres

TICK = os.sysconf("SC_CLK_TCK")
COMMAND = [sys.executable, "-m", "proctor"]
# As on a user's machine: whoever develops may have told Python to compile everything each time.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
FIRST = "SELECT normalized FROM items WHERE id = 3"
GIVE_UP = 60.0

BACKFILLS = """
import json
from proctor import backfill, table

@backfill(table("items", key="id", columns=("id", "occasion")), fills="normalized", version="1",
          missing="true")
def normalize(row):
    return {"normalized": {"occasion": row["occasion"].lower()}}
"""


def helping():
    """(wall, processor) seconds of `proctor --help`."""
    before, began = os.times(), time.perf_counter()
    subprocess.run([*COMMAND, "--help"], check=True, capture_output=True, env=ENVIRONMENT)
    wall, after = time.perf_counter() - began, os.times()
    spent = after.children_user + after.children_system
    return wall, spent - before.children_user - before.children_system


def until_first_row(url, first):
    """(wall, processor) seconds until `first()` is no longer what it was; then to the end."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "bench_startup.py").write_text(BACKFILLS)
        toml = f'backfills = ["bench_startup"]\n[env.local]\nstore = "{url}"\n'
        (folder / "proctor.toml").write_text(toml)
        # As a user does: with the plan the ledger is made, and what is imported is compiled.
        subprocess.run(
            [*COMMAND, "plan", "normalize"],
            check=True,
            cwd=folder,
            capture_output=True,
            env=ENVIRONMENT,
        )
        before, began = first(), time.perf_counter()
        command = subprocess.Popen(
            [*COMMAND, "run", "normalize"],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while first() == before:
            if time.perf_counter() - began > GIVE_UP or command.poll():
                raise SystemExit(f"no row was written: {command.communicate()[1]}")
            time.sleep(0.002)
        wall, spent = time.perf_counter() - began, processor(command.pid)
        _, told = command.communicate()
        if command.returncode:
            raise SystemExit(f"the run failed:\n{told}")
    return wall, spent


def processor(pid):
    """Seconds of processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def on_postgres(rows, count):
    """Rounds of the first row on Postgres, each with a fresh copy of the table."""
    server = start_postgres(fsync=True)
    try:
        template = server.create_database()
        data.fill_postgres(template, rows)
        for number in range(count):
            name = f"startup_{number}"
            source = template.rpartition("/")[2]
            server.execute(f'CREATE DATABASE {name} TEMPLATE "{source}"')
            url = server.url(name)
            with psycopg.connect(url, autocommit=True) as look:
                yield until_first_row(url, lambda look=look: look.execute(FIRST).fetchone())
    finally:
        server.close()


def on_sqlite(rows, count):
    """The same on SQLite."""
    for _ in range(count):
        with tempfile.TemporaryDirectory() as made:
            path = Path(made) / "items.db"
            data.fill_sqlite(path, rows)
            look = sqlite3.connect(path, isolation_level=None)
            read = functools.partial(look.execute, FIRST)
            yield until_first_row(f"sqlite:///{path}", lambda read=read: read().fetchone())
            look.close()


def line(label, found, goal):
    """One line of the table: milliseconds."""
    walls = sorted(wall * 1000 for wall, _ in found)
    spent = statistics.median(s * 1000 for _, s in found)
    middle = statistics.median(walls)
    told = f"{middle:.0f} ms [{walls[0]:.0f}-{walls[-1]:.0f}], processor {spent:.0f} ms"
    return rounds.row(label, told, f"<= {goal} ms", middle <= goal)


def main():
    """Measure and print the table as Markdown."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rows", type=int, default=100_000)
    words.add_argument("--rounds", type=int, default=5)
    asked = words.parse_args()
    helping()  # the first one compiles what nobody has imported before
    found = {
        "`proctor --help`": ([helping() for _ in range(asked.rounds * 2)], 200),
        "`proctor run` to the first row, Postgres": (
            list(on_postgres(asked.rows, asked.rounds)),
            1000,
        ),
        "`proctor run` to the first row, SQLite": (list(on_sqlite(asked.rows, asked.rounds)), 1000),
    }
    print(f"\nStart, {asked.rows:,} rows, {asked.rounds} rounds,", end=" ")
    print(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {rounds.machine()}\n")
    print("| what | time [range] | goal | |\n|---|---|---|---|")
    for label, (times, goal) in found.items():
        print(line(label, times, goal))


main()
