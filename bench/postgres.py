"""The task of the README's table on Postgres: Proctor beside bare SQL and beside its peers.

    python bench/postgres.py [--rows 1000000] [--rounds 3] [--only sql,peers,undo,latency]

Every round runs every path once on a fresh copy of the same table; a ratio never crosses rounds.
"""

import argparse
import contextlib
import datetime
import shutil
import subprocess
import sys
import tempfile

from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import psycopg
import rounds

import data

from proxy import FaultProxy
from servers import start_postgres

SETTINGS = (
    "shared_buffers=2GB",
    "max_wal_size=16GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
)
PEER_ROWS = 20_000  # the slow peers get a part of the table: a ratio of rates, inside the round


class Bench:
    """One server with a template of the table; every path gets a fresh copy."""

    def __init__(self, rows, *, random_before=False, settings=SETTINGS):
        self.server = start_postgres(fsync=True, settings=settings)
        self.rows = rows
        self.template = self.server.create_database()
        data.fill_postgres(self.template, rows, random_before=random_before)
        self.url = None

    def fresh(self):
        """A copy of the template, warmed and behind a checkpoint."""
        if self.url:
            self.server.drop_database(self.url)
        name = "bench_copy"
        source = self.template.rpartition("/")[2]
        self.server.execute(f'CREATE DATABASE {name} TEMPLATE "{source}" STRATEGY file_copy')
        self.server.execute("CHECKPOINT")
        self.url = self.server.url(name)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_prewarm('items'), pg_prewarm('items_pkey')")
        return self.url

    def logged(self, path, target):
        """Run a path and note how much write-ahead log it made, in bytes a row."""
        with psycopg.connect(target, autocommit=True) as connection:
            start = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
            result = path(target)
            wal = connection.execute(
                "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", (start,)
            ).fetchone()[0]
            undo = connection.execute("SELECT to_regclass('proctor.chunks')").fetchone()[0]
            if undo:
                size = connection.execute(
                    "SELECT coalesce(sum(length(undo)), 0) FROM proctor.chunks"
                ).fetchone()[0]
                result["undo_share"] = float(size) / float(wal)
                result["note"] = f"undo {result['undo_share']:.1%} of log"
        return result


def ours(**words):
    """Proctor with these words."""
    return lambda url: rounds.run_path("ours", url=url, **words)


def bare(path, connections=1):
    """L0 or L1."""
    return lambda url: rounds.run_path("sql", url=url, path=path, connections=connections)


def peer(path, limit):
    """A peer on a part of the table."""
    return lambda url: rounds.run_path("naive", url=url, path=path, limit=limit)


def measure_sql(bench, count):
    """Proctor against bare SQL."""
    paths = {
        "L0": bare("L0"),
        "L1": bare("L1"),
        "two L1": bare("L1", 2),
        "Proctor, one worker": ours(workers=1),
        "Proctor, two workers": ours(workers=2),
        "Proctor, two processes": ours(workers=1, processes=2),
        "Proctor sql=, one worker": ours(workers=1, backfill="normalize_sql"),
        "Proctor sql=, two workers": ours(workers=2, backfill="normalize_sql"),
    }
    logged = {
        name: (lambda url, path=path: bench.logged(path, url)) for name, path in paths.items()
    }
    found = rounds.interleave(logged, count, bench.fresh)
    best = max(
        ("Proctor, two workers", "Proctor, two processes"),
        key=lambda name: rounds.ratio(found, name, "two L1")[0],
    )
    share = max(r["undo_share"] for r in found["Proctor, one worker"])
    yield rounds.line(
        "Python function, one worker on one connection / L1",
        found,
        "Proctor, one worker",
        "L1",
        0.75,
    )
    yield rounds.line("one process, two workers / L0", found, "Proctor, two workers", "L0", 1.1)
    yield rounds.line(f"best on 2 cores ({best[9:]}) / two L1", found, best, "two L1", 0.75)
    yield rounds.line("`sql=`, one connection / L1", found, "Proctor sql=, one worker", "L1", 0.85)
    yield rounds.line(
        "`sql=`, two connections / two L1", found, "Proctor sql=, two workers", "two L1", 0.85
    )
    peak = max(r["peak_mb"] for r in found["Proctor, two workers"])
    yield rounds.row("undo data / write-ahead log", f"{share:.1%}", "<= 2 %", share <= 0.02)
    yield rounds.row("peak memory of a worker", f"{peak:.0f} MB", "<= 150 MB", peak <= 150)


def measure_peers(bench, count):
    """Proctor against what people use today, in one process each."""
    paths = {
        "Proctor, two workers": ours(workers=2),
        "SQLAlchemy bulk update": peer("sqlalchemy", PEER_ROWS * 10),
        "Django bulk_update": peer("django", PEER_ROWS * 2),
        "naive loop": peer("naive", PEER_ROWS * 2),
    }
    with maintenance_tasks() as python:
        for name in ("PerRow", "PerBatch"):
            paths[f"django-maintenance-tasks {name}"] = lambda url, name=name: rounds.run_path(
                "maintenance_tasks", python=python, url=url, path=name, limit=PEER_ROWS
            )
        found = rounds.interleave(paths, count, bench.fresh)
    goals = {
        "Django bulk_update": 15,
        "django-maintenance-tasks PerRow": 40,
        "django-maintenance-tasks PerBatch": 15,
        "SQLAlchemy bulk update": 3,
        "naive loop": 1,
    }
    for name, goal in goals.items():
        yield rounds.line(f"Proctor / {name}", found, "Proctor, two workers", name, goal)


@contextlib.contextmanager
def maintenance_tasks():
    """A Python 3.12 with Django 6 and django-maintenance-tasks, in a folder of its own."""
    python = shutil.which("python3.12") or shutil.which("python3.13")
    if python is None or subprocess.run([python, "-V"], check=False).returncode:
        raise SystemExit("django-maintenance-tasks needs Python 3.12: put python3.12 on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        inside = str(Path(folder) / "bin" / "python")
        wanted = ["psycopg[binary]", "django-maintenance-tasks", "django-tasks-db"]
        subprocess.run([inside, "-m", "pip", "install", "-q", *wanted], check=True)
        yield inside


def measure_undo(bench, count):
    """Rollback against the fill that it undoes, both overlapped; random values' undo data."""
    found = rounds.interleave({"fill": ours(workers=2, rollback=True)}, count, bench.fresh)
    yield rounds.at_least("rollback / fill, rows a second", rounds.backwards(found["fill"]), 1)
    noise = Bench(min(bench.rows, 200_000), random_before=True)
    try:
        result = noise.logged(ours(workers=1), noise.fresh())
    finally:
        noise.server.close()
    share = result["undo_share"]
    yield rounds.row("undo data / log, incompressible", f"{share:.1%}", "<= 8 %", share <= 0.08)


def measure_latency(bench, count):
    """The fill through a proxy that adds a millisecond to every trip, against no latency."""
    server = bench.server
    paths = {}
    with FaultProxy("127.0.0.1", server.port) as near, FaultProxy("127.0.0.1", server.port) as far:
        far.latency = 0.0005  # each way
        for name, proxy in (("no latency", near), ("1 ms", far)):
            paths[name] = lambda url, proxy=proxy: rounds.run_path(
                "ours", workers=2, url=url.replace(f":{server.port}/", f":{proxy.port}/")
            )
        found = rounds.interleave(paths, count, bench.fresh)
    yield rounds.line("with 1 ms of latency / without", found, "1 ms", "no latency", 0.8)


PARTS = {
    "sql": measure_sql,
    "peers": measure_peers,
    "undo": measure_undo,
    "latency": measure_latency,
}


def main():
    """Measure the parts asked for and print the table as Markdown."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rows", type=int, default=1_000_000)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--only", default=",".join(PARTS))
    asked = words.parse_args()
    bench = Bench(asked.rows)
    try:
        print(f"\nPostgres, {asked.rows:,} rows, {asked.rounds} rounds,", end=" ")
        print(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {rounds.machine()}\n")
        print("| what | ratio [range] | goal | |\n|---|---|---|---|")
        for part in asked.only.split(","):
            for row in PARTS[part](bench, asked.rounds):
                print(row, flush=True)
    finally:
        bench.server.close()


if __name__ == "__main__":
    main()
