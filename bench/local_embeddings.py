"""Local embeddings side by side: a run of Proctor, and a bare loop that encodes the same texts.

    python bench/local_embeddings.py [--texts 20000] [--rounds 3]

The bare loop is what a script would do: `embed` for 256 texts at a time, nothing read and nothing
written. `ctx.embed` is the same through Proctor, alone: the promise is 0.9 x. The runs read rows
from SQLite besides, and write vectors under guard, with undo; the loop that writes has neither.
Each in a process of its own, interleaved; ratios inside a round only. All load the model first:
what is measured is the encoding.
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


def packaged():
    """The model, ready."""
    import wordllama

    home = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=home, disable_download=True)
    model.embed(["ready"])
    return model


def bare(count):
    """The loop of a script."""
    given, model = texts(count), packaged()
    began, cpu = time.perf_counter(), time.process_time()
    for at in range(0, count, TOGETHER):
        model.embed(given[at : at + TOGETHER], norm=True).tolist()
    return time.perf_counter() - began, time.process_time() - cpu


def writing(count):
    """The loop of a script that fills the column, too."""
    from array import array

    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        project(root, count, BY_LISTS)
        model = packaged()
        began, cpu = time.perf_counter(), time.process_time()
        with closing(sqlite3.connect(root / "shop.db")) as db:
            rows = db.execute("SELECT id, words FROM songs").fetchall()
            for at in range(0, count, TOGETHER):
                some = rows[at : at + TOGETHER]
                made = model.embed([words for _, words in some], norm=True).tolist()
                pairs = zip(made, some, strict=True)
                values = [(array("f", vector).tobytes(), number) for vector, (number, _) in pairs]
                with db:
                    db.executemany("UPDATE songs SET embedding = ? WHERE id = ?", values)
        return time.perf_counter() - began, time.process_time() - cpu


def through(code, count, path):
    """A project of its own, and a path through it once the model is there."""
    import asyncio

    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        project(root, count, code)
        os.chdir(root)
        return asyncio.run(_opened(root, count, path))


async def _opened(root, count, path):
    from proctor.app import open as open_app
    from proctor.config import load

    async with open_app(load(root / "proctor.toml")) as app:
        await app.site.sampling(False)  # this loads the model
        began, cpu = time.perf_counter(), time.process_time()
        await path(app, count)
        return time.perf_counter() - began, time.process_time() - cpu


async def asked(app, count):
    """`ctx.embed` alone, as a function is given it."""
    asking = await app.site.asking("bench", lambda: 0)
    given = texts(count)
    for at in range(0, count, TOGETHER):
        await asking.embed(None, given[at : at + TOGETHER])


async def ran(app, count):
    """`proctor run`: read, embed, write under guard, with undo."""
    from proctor.app import RunOptions

    ended = await app.run("vectors", RunOptions())
    assert ended.run.outcome.written == count, ended


PATHS = {
    "bare loop": bare,
    "bare loop that writes": writing,
    "ctx.embed, lists of 256": lambda count: through(BY_LISTS, count, asked),
    "run, lists of 256": lambda count: through(BY_LISTS, count, ran),
    "run, row by row": lambda count: through(BY_ROWS, count, ran),
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
    told = words.parse_args()
    if told.path:
        print(json.dumps(PATHS[told.path](told.texts)))
        return
    found = {path: [] for path in PATHS}
    for number in range(told.rounds):
        for path in PATHS:
            found[path].append(measured(path, told.texts))
            wall, cpu = found[path][-1]
            rate = f"{told.texts / wall:>9,.0f} texts/s, {1e6 * cpu / told.texts:.0f} us CPU a text"
            print(f"round {number + 1}  {path:<24} {rate}", file=sys.stderr, flush=True)
    print(f"\n{told.texts:,} texts, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| path | texts/s (median) | x of the bare loop: median (least to most) |\n|---|---|---|")
    for path, took in found.items():
        ratios = sorted(b[0] / t[0] for b, t in zip(found["bare loop"], took, strict=True))
        rate = told.texts / sorted(t[0] for t in took)[len(took) // 2]
        spread = f"{ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {path} | {rate:,.0f} | {spread} |")


if __name__ == "__main__":
    main()
