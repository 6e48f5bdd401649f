"""A project with a backfill, a flag and rollouts, and a way to drive them in this process."""

import contextlib
import json
import sqlite3
import stat
import textwrap

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from proctor import app as apps
from proctor.adapters.clock import FastClock, SystemClock
from proctor.adapters.ledger.rollouts import SqlRolloutLog
from proctor.app.approving import approve, reject
from proctor.app.rolling import RolloutOptions, roll_out, runs_told
from proctor.config import load

TOML = """
backfills = ["backfills"]
rollouts = ["rolls"]
ledger = "{ledger}"

[env.local]
store = "sqlite:///shop.db"

[env.production]
store = "sqlite:///shop.db"
protected = true

[flags.NEW]
kind = "flagd"
path = "flags.json"
"""
BACKFILLS = """
from proctor import backfill, checks, table

@backfill(
    table("items", key="id"), fills="low", version="1",
    checks=[checks.length("low", least=1, most=40)],
)
def lower(row):
    return {"low": row["name"].lower()}
"""
HEAD = """
from datetime import timedelta

from proctor import metrics, probes, rollout, stages

def minutes(n):
    return timedelta(minutes=n)

def filled(**words):
    return metrics.sql(
        "filled", "SELECT count(low) AS value FROM items",
        **{"interval": minutes(5), "success_condition": "result.value >= 200"} | words,
    )
"""
FLAGS = {
    "flags": {
        "NEW": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
        }
    }
}


class Rested(FastClock):
    """A rollout's clock that goes while its driver rests: a slow machine misses no look."""

    def __init__(self, real, origin, speed):
        super().__init__(real, origin, speed)
        self.at = origin

    def now(self):
        return self.at

    async def sleep(self, seconds):
        await super().sleep(seconds)
        self.at += timedelta(seconds=max(0.0, seconds))


class Machine(SystemClock):
    """The machine's clock, and those of the rollouts by it: one each, also from drive to drive."""

    def __init__(self):
        self.rollouts = {}

    def faster(self, origin, speed):
        return self.rollouts.setdefault((origin, speed), Rested(self, origin, speed))

    def passes(self, time):
        """Time that nobody drives through."""
        for rollout in self.rollouts.values():
            rollout.at += time


@dataclass(slots=True)
class Project:
    """Where rollouts are driven."""

    root: Path
    ledger: str
    clock: Machine = field(default_factory=Machine)

    def rolls(self, source: str) -> None:
        """Write the module of rollouts."""
        (self.root / "rolls.py").write_text(HEAD + textwrap.dedent(source))

    def sql(self, statement, *values):
        """One statement on the shop, without Proctor."""
        with contextlib.closing(sqlite3.connect(self.root / "shop.db", timeout=30)) as shop, shop:
            return shop.execute(statement, values).fetchall()

    def opened(self, who="ann", env="local"):
        """The app, by the project's own clock."""
        return apps.open(load(self.root / "proctor.toml"), env, who=who, clock=self.clock)

    async def drive(self, name="small", *, who="ann", env="local", on=lambda _rig: None, **words):
        """Drive a rollout as `proctor rollout` does; how it was left."""
        words = {"speed": 3600.0} | words
        async with self.opened(who, env) as app:
            return await roll_out(app, name, RolloutOptions(**words), on)

    async def approve(self, rollout, who, *, reason="looked at it", forced=False):
        """As `proctor approve` does."""
        async with self.opened(who) as app:
            return await approve(app, rollout, reason=reason, forced=forced)

    async def reject(self, rollout, who="bo"):
        """As `proctor reject` does."""
        async with self.opened(who) as app:
            return await reject(app, rollout, reason="no")

    async def roll_back(self, run):
        """As `proctor rollback` does."""
        async with self.opened("bo") as app:
            return await app.rollback(run, apps.RollbackOptions())

    async def runs(self, done):
        """Its runs as a report tells them."""
        async with self.opened() as app:
            return await runs_told(app, done.journal.entries)

    async def entries(self, rollout):
        """The log, read by itself."""
        log = await SqlRolloutLog.open(self.ledger)
        try:
            return await log.entries(rollout)
        finally:
            await log.aclose()

    @property
    def flag(self):
        """What the flag's file says: percent of readers."""
        told = json.loads((self.root / "flags.json").read_text())["flags"]["NEW"]
        shares = told.get("targeting", {}).get("fractional")
        return next((share for name, share in shares if name == "on"), 0) if shares else 0


def make(root, ledger=None):
    """200 rows to fill, in SQLite; the ledger is a file beside them, or where it is said."""
    ledger = ledger or f"sqlite:///{root / 'ledger.db'}"
    (root / "proctor.toml").write_text(TOML.replace("{ledger}", ledger))
    (root / "backfills.py").write_text(BACKFILLS)
    (root / "flags.json").write_text(json.dumps(FLAGS))
    made = Project(root=root, ledger=ledger)
    made.sql("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, low TEXT)")
    with contextlib.closing(sqlite3.connect(root / "shop.db")) as shop, shop:
        rows = [(n, f"Name {n}") for n in range(1, 201)]
        shop.executemany("INSERT INTO items VALUES (?, ?, NULL)", rows)
    return made


def tool(project, *, read, write):
    """A flag whose tool is a pair of scripts."""
    for name, body in (("read", read), ("write", write)):
        path = project.root / f"{name}.sh"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    toml = project.root / "proctor.toml"
    toml.write_text(
        toml.read_text()
        + '\n[flags.TOOL]\nkind = "shell"\nread = ["./read.sh"]\nwrite = ["./write.sh"]\n'
    )


def kinds(entries):
    """What happened, in order."""
    return [entry.kind for entry in entries]


def passed(entries):
    """The names of the stages that were passed, in order."""
    return [entry.data["name"] for entry in entries if entry.kind == "stage.passed"]
