"""Local embeddings side by side: a run of Proctor, and a bare loop that encodes the same texts.

    python bench/local_embeddings.py [--texts 20000] [--rounds 3]

The bare loop is what a script would do: `encode` for 256 texts at a time, nothing read and nothing
written. The run reads the rows from SQLite, encodes them through `ctx.embed` and writes the vectors
under guard, with undo. Each in a process of its own, interleaved; ratios inside a round only.
Both load the model first: what is measured is the encoding.
"""

import argparse
import json
import os
import platform
import random
import sqlite3
import subprocess
import sys
import tempfile
import time

from contextlib import closing
from pathlib import Path

TOGETHER = 256
WORDS = ("sea", "night", "harbour", "window", "letter", "winter", "piano", "morning", "river")
CONFIG = """
backfills = ["backfills"]
[env.local]
store = "sqlite:///shop.db"
[providers.embedder]
model = "local:wordllama"
[env.local.run]
chunk_rows = 2048
"""
HEAD = """
from array import array
from proctor import backfill, table
"""
BY_LISTS = """
@backfill(table("songs", key="id"), fills="embedding", version="1", batch=256, concurrency=4)
async def vectors(songs, ctx):
    made = await ctx.embed([song["words"] for song in songs])
    return [{"embedding": array("f", vector).tobytes()} for vector in made]
"""
BY_ROWS = """
@backfill(table("songs", key="id"), fills="embedding", version="1", concurrency=256)
async def vectors(song, ctx):
    (vector,) = await ctx.embed(song["words"])
    return {"embedding": array("f", vector).tobytes()}
"""


def texts(count):
    """Of ten to sixty words: the length of a listing, the same in every round."""
    dice = random.Random(1)
    return [" ".join(dice.choices(WORDS, k=dice.randint(10, 60))) for _ in range(count)]


def project(root, count, code):
    """A table of texts without vectors."""
    (root / "proctor.toml").write_text(CONFIG)
    (root / "backfills.py").write_text(HEAD + code)
    with closing(sqlite3.connect(root / "shop.db")) as db, db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE songs (id INTEGER PRIMARY KEY, words TEXT, embedding BLOB)")
        db.executemany("INSERT INTO songs (words) VALUES (?)", [(t,) for t in texts(count)])


def bare(count):
    """The loop of a script."""
    import wordllama

    home = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=home, disable_download=True)
    given = texts(count)
    model.embed(given[:1])
    began, cpu = time.perf_counter(), time.process_time()
    for at in range(0, count, TOGETHER):
        model.embed(given[at : at + TOGETHER], norm=True).tolist()
    return time.perf_counter() - began, time.process_time() - cpu


def run(code, count):
    """`proctor run`, from the moment that the model is there to the end of the run."""
    import asyncio

    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        project(root, count, code)
        os.chdir(root)
        return asyncio.run(_run(root, count))


async def _run(root, count):
    from proctor.app import RunOptions
    from proctor.app import open as open_app
    from proctor.config import load

    async with open_app(load(root / "proctor.toml")) as app:
        await app.site.sampling(False)  # this loads the model
        began, cpu = time.perf_counter(), time.process_time()
        ended = await app.run("vectors", RunOptions())
        took = time.perf_counter() - began, time.process_time() - cpu
        assert ended.run.outcome.written == count, ended
        return took


PATHS = {
    "bare loop": bare,
    "run, lists of 256": lambda count: run(BY_LISTS, count),
    "run, row by row": lambda count: run(BY_ROWS, count),
}


def measured(path, count):
    """One path in a process of its own: seconds of wall and of processor."""
    words = [sys.executable, __file__, "--path", path, "--texts", str(count)]
    told = subprocess.run(words, check=False, capture_output=True, text=True)
    if told.returncode:
        raise SystemExit(told.stderr[-4000:])
    return json.loads(told.stdout.strip().splitlines()[-1])


def main():
    """Measure and print the table as Markdown."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--texts", type=int, default=20_000)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--path", choices=PATHS)
    asked = words.parse_args()
    if asked.path:
        print(json.dumps(PATHS[asked.path](asked.texts)))
        return
    found = {path: [] for path in PATHS}
    for number in range(asked.rounds):
        for path in PATHS:
            found[path].append(measured(path, asked.texts))
            wall, cpu = found[path][-1]
            rate = (
                f"{asked.texts / wall:>9,.0f} texts/s, {1e6 * cpu / asked.texts:.0f} us CPU a text"
            )
            print(f"round {number + 1}  {path:<20} {rate}", file=sys.stderr, flush=True)
    print(f"\n{asked.texts:,} texts, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| path | texts/s (median) | x of the bare loop: median (least to most) |\n|---|---|---|")
    for path, took in found.items():
        ratios = sorted(b[0] / t[0] for b, t in zip(found["bare loop"], took, strict=True))
        rate = asked.texts / sorted(t[0] for t in took)[len(took) // 2]
        spread = f"{ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {path} | {rate:,.0f} | {spread} |")


if __name__ == "__main__":
    main()
