"""Proctor itself, through its app as the command line uses it, on a project in a folder."""

import asyncio
import json
import resource
import sys
import tempfile
import time

from pathlib import Path

import data

words = json.loads(sys.argv[1])

BACKFILLS = """
import sys
sys.path.insert(0, {bench!r})
import data
from proctor import backfill, table

@backfill(table("items", key="id", columns=("id", "style", "occasion")), fills="normalized",
          missing={missing!r}, version="1")
def normalize(row):
    style = row["style"]
    return {{"normalized": data.transform({style}, row["occasion"])}}

normalize_sql = backfill(table("items", key="id", columns=("id",)), fills="normalized",
                         missing={missing!r}, version="1", sql={sql!r}, name="normalize_sql")
"""


def project(folder):
    """A project as `proctor init` would make one."""
    lite = words["url"].startswith("sqlite")
    sql = words.get("sql") or data.EXPRESSION
    (folder / "bench_backfills.py").write_text(
        BACKFILLS.format(
            bench=str(Path(data.__file__).parent),
            sql=sql,
            missing="normalized LIKE '%\"by\"%'"
            if lite
            else "NOT normalized ? 'occasion' OR normalized ? 'by'",
            style="__import__('json').loads(style)" if lite else "style",
        )
    )
    toml = f'backfills = ["bench_backfills"]\n[env.local]\nstore = "{words["url"]}"\n'
    knobs = "".join(f"{k} = {v}\n" for k, v in words.get("run", {}).items())
    extra = "".join(f"{k} = {v}\n" for k, v in words.get("throttle", {}).items())
    (folder / "proctor.toml").write_text(f"{toml}[run]\n{knobs}[throttle]\n{extra}")
    return folder / "proctor.toml"


async def fill(config):
    from proctor import app
    from proctor.config import load

    async with app.open(load(config)) as here:
        options = app.RunOptions(workers=words.get("workers"), processes=words.get("processes", 1))
        began = time.perf_counter()
        ended = await here.run(words.get("backfill", "normalize"), options)
        seconds = time.perf_counter() - began
        if ended.error is not None:
            raise ended.error
        rows = ended.run.outcome.written
        result = {"rows": rows, "seconds": seconds, "books": ended.run.outcome.as_dict()}
        if words.get("rollback"):
            began = time.perf_counter()
            back = await here.rollback(ended.run.id, app.RollbackOptions(confirmed=True))
            result["rollback_seconds"] = time.perf_counter() - began
            result["restored"] = back.undone.restored
        result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return result


if __name__ == "__main__":  # the processes of a pool import this file again
    with tempfile.TemporaryDirectory() as made:
        print(json.dumps(asyncio.run(fill(project(Path(made))))))
