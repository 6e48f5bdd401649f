"""Values that the engine would hand to a face: a finished run, its snapshot and its report."""

import json
import os
import sqlite3
import subprocess
import sys

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from proctor.engine.snapshot import Estimate, Preview, Report, Snapshot
from proctor.model import (
    Bucket,
    Chunk,
    ChunkRecord,
    ChunkState,
    Holder,
    Issue,
    Outcome,
    Run,
    RunState,
    Signal,
    Span,
    Undone,
)
from proctor.ui.cli import main
from proctor.ui.init import make

BEGUN = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script> | `tick` \x1b[31m \u202e [a](b)"


@pytest.fixture
def run():
    return Run(
        id="261122-0a1b2c3d",
        backfill="normalize_wardrobe",
        version="1.0",
        env="local",
        target="wardrobe",
        fills=("normalized",),
        state=RunState.RUNNING,
        epoch=1,
        span=Span(),
        digest="{}",
        params='{"mood": "calm"}',
        created=BEGUN,
        started=BEGUN,
        expected=3421,
        holder=Holder(host="ops", pid=7, started="x", user="mira"),
        outcome=Outcome(read=1500, written=1480, skipped=15, failed=5),
    )


@pytest.fixture
def seen(run):
    return Snapshot(
        run=run,
        at=BEGUN + timedelta(seconds=2),
        expected=3421,
        elapsed=timedelta(seconds=2),
        rate=812.4,
        eta=Estimate(low=timedelta(seconds=2), high=timedelta(seconds=4)),
        chunks_applied=3,
        chunk_rows=500,
        workers=2,
        throttle=(
            Signal(name="busy time", value=0.2, limit=0.5),
            Signal(name="replication lag", value=None, limit=10, why="no replica"),
        ),
    )


@pytest.fixture
def report(run):
    books = Outcome(read=500, written=489, unchanged=1, skipped=6, refused=1, failed=2, gone=1)
    ended = replace(
        run,
        state=RunState.SUCCEEDED,
        outcome=books,
        still_eligible={"failed": 2, "arrived": 1},
        ended=BEGUN + timedelta(seconds=5),
    )
    chunks = tuple(
        ChunkRecord(
            chunk=Chunk(run=run.id, number=n, after=None, upto=(n * 100,)),
            state=ChunkState.APPLIED,
            fence=1,
            worker="w",
            outcome=Outcome(read=100, written=100),
            code="c",
            applied=BEGUN + timedelta(seconds=n),
            took=timedelta(milliseconds=10 * n),
        )
        for n in range(1, 6)
    )
    return Report(
        run=ended,
        made=BEGUN + timedelta(seconds=6),
        expected=500,
        elapsed=timedelta(seconds=5),
        success_rate=0.98,
        rows_per_second=100.0,
        chunks=chunks,
        issues=(
            Issue(key=(7,), bucket=Bucket.FAILED, reason=HOSTILE),
            Issue(key=("a|b",), bucket=Bucket.REFUSED, reason="not a list"),
        ),
        issues_total=3,
        issues_by_reason={HOSTILE: 2, "not a list": 1},
        rates=tuple((BEGUN + timedelta(seconds=n), 90.0 + n) for n in range(5)),
        throttle=((BEGUN + timedelta(seconds=2), "busy time 0.6 of 0.5"),),
        sample=(
            Preview(
                key=(1,),
                bucket="written",
                before={"normalized": None},
                after={"normalized": HOSTILE},
                inputs={"style": HOSTILE},
            ),
        ),
        actions=((BEGUN, "mira", "run.tuned", "chunk_rows: 1000 → 500"),),
        next_steps=("see that it holds: `proctor verify 261122-0a1b2c3d`",),
        warnings=("2 versions of the code wrote rows",),
        rollback=Undone(
            written=489,
            restored=488,
            changed=1,
            left=(Issue(key=(4711,), bucket=Bucket.CONFLICTED, reason=HOSTILE),),
        ),
    )


class Ended:
    """What a command left behind."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        """Stdout as exactly one document: anything beside it fails here."""
        return json.loads(self.out)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The project of `proctor init`, and this process inside it."""
    folder = tmp_path / "shop"
    make(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PROCTOR_USER", "mira")
    return folder


@pytest.fixture
def proctor(capsys):
    """Run a command line in this process, through the entry point that a shell calls."""

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return call


@pytest.fixture
def table(shop):
    """What the customers' table holds at this moment."""

    def rows():
        with closing(sqlite3.connect(shop / "shop.db")) as connection:
            return connection.execute("SELECT * FROM customers ORDER BY id").fetchall()

    return rows


@pytest.fixture
def spawn(shop):
    """Start a command in a process of its own, whose end the test waits for."""
    started = []

    def start(*words, **options):
        process = subprocess.Popen(
            [sys.executable, "-m", "proctor", *words],
            cwd=shop,
            stdin=options.get("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=options.get("stderr", subprocess.PIPE),
            text=True,
            env={**os.environ, **options.get("env", {})},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
