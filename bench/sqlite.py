"""SQLite: Proctor with all its safety against one UPDATE that calls the same Python function.

python bench/sqlite.py [--rows 1000000] [--rounds 3]
"""

import argparse
import datetime
import shutil
import sys
import tempfile

from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]

import rounds

import data

SQL = "json_object('style', json(lower(style)), 'occasion', lower(occasion))"


def main():
    """Measure and print the table as Markdown."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rows", type=int, default=1_000_000)
    words.add_argument("--rounds", type=int, default=3)
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as made:
        template, copy = Path(made) / "template.db", Path(made) / "copy.db"
        data.fill_sqlite(template, asked.rows)

        def fresh():
            for suffix in ("", "-wal", "-shm"):
                Path(f"{copy}{suffix}").unlink(missing_ok=True)
            shutil.copy(template, copy)
            return f"sqlite:///{copy}"

        def ours(**told):
            return lambda url: rounds.run_path("ours", url=url, sql=SQL, **told)

        def bare(path):
            return lambda url: rounds.run_path("lite", url=url, path=path, sql=SQL)

        paths = {
            "one UPDATE calling Python": bare("function"),
            "one UPDATE in SQL": bare("sql"),
            "Proctor, Python function": ours(rollback=True),
            "Proctor, sql=": ours(backfill="normalize_sql"),
            "Proctor, sql=, never resting": ours(backfill="normalize_sql", throttle={"duty": 1.0}),
        }
        found = rounds.interleave(paths, asked.rounds, fresh)
    print(f"\nSQLite, {asked.rows:,} rows, {asked.rounds} rounds,", end=" ")
    print(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {rounds.machine()}\n")
    print("| what | ratio [range] | goal | |\n|---|---|---|---|")
    names = list(paths)
    print(rounds.line("Python function / one UPDATE calling it", found, names[2], names[0], 0.6))
    print(rounds.line("`sql=` / one UPDATE", found, names[3], names[1], 0.5))
    label = "the same with `duty = 1`: others never get a turn"
    print(rounds.line(label, found, names[4], names[1], 0.5))
    print(rounds.at_least("rollback / fill, rows a second", rounds.backwards(found[names[2]]), 1))


main()
