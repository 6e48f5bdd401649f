"""Proctor on a paid function: chat or embeddings, through its app as the command line uses it."""

import asyncio
import json
import os
import resource
import sys
import tempfile
import time

from pathlib import Path

import songs

words = json.loads(sys.argv[1])

BACKFILLS = """
import sys
sys.path.insert(0, {bench!r})
import json
import songs
from proctor import backfill, table

LYRICS = table("songs", key="id", columns=("id", "lyrics"))

@backfill(LYRICS, fills=("mood", "about", "sure"), version="1", concurrency={concurrency})
async def chat(song, ctx):
    said = await ctx.llm(songs.question(song["lyrics"]), output=songs.Song)
    return {{"mood": said.mood, "about": said.about, "sure": said.sure}}

@backfill(LYRICS, fills="vector", version="1", concurrency={concurrency}, batch=96)
async def embed(group, ctx):
    vectors = await ctx.embed([song["lyrics"] for song in group])
    return [{{"vector": json.dumps(vector)}} for vector in vectors]
"""
TOML = """
backfills = ["paid_backfills"]
[env.local]
store = "sqlite:///{db}"
[providers.writer]
model = "openai:{model}"
base_url = "{url}"
key_env = "BENCH_KEY"
max_tokens = {most_output}
concurrency = {concurrency}
price = {{ input = 0.25, output = 2.0 }}
"""


def project(folder):
    """A project as an author would write it."""
    (folder / "paid_backfills.py").write_text(
        BACKFILLS.format(bench=str(Path(songs.__file__).parent), concurrency=words["concurrency"])
    )
    told = {k: words[k] for k in ("db", "model", "url", "concurrency")}
    limits = "".join(f"{k} = {v}\n" for k, v in words["limits"].items() if v is not None)
    (folder / "proctor.toml").write_text(
        TOML.format(most_output=songs.MOST_OUTPUT, **told) + limits
    )
    return folder / "proctor.toml"


async def fill(config):
    """One run, and what it took; where the processor is measured, after a first small run.

    What is imported and opened once is no part of what a call costs.
    """
    from proctor import app
    from proctor.config import load

    async with app.open(load(config)) as here:
        if words["warm"]:
            few = app.Part(limit=words["warm"])
            await here.run(words["kind"], app.RunOptions(part=few))
        options = app.RunOptions(processes=words.get("processes", 1))
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        ended = await here.run(words["kind"], options)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        if ended.error is not None:
            raise ended.error
        return {
            "rows": ended.run.outcome.written,
            "seconds": seconds,
            "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        }


if __name__ == "__main__":  # the processes of a pool import this file again
    os.environ["BENCH_KEY"] = words["key"]
    if words.get("core") is not None:
        os.sched_setaffinity(0, {words["core"]})
    with tempfile.TemporaryDirectory() as made:
        print(json.dumps(asyncio.run(fill(project(Path(made))))))
