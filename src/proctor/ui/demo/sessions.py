"""The sessions' demo: an application scores them itself, in two calls, and all of it goes back.

A server that plays the application runs beside it, and writes to the same database: neither its
tables nor its books are Proctor's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import urllib.request

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from proctor.model import Run, RunState
from proctor.ui.demo import phases
from proctor.ui.demo.phases import HELD, said_of
from proctor.ui.demo.stage import Broken, Stage, latest, record, seen_half_way

GROUPS: Final = ("pilot", "early", "late")
KILLED: Final = "late"
FORGOTTEN: Final = "s-011"
"""Its responses were lost: the application cannot score it."""
PLANNED: Final = 39
NEW: Final = 4
"""Sessions that came after the plan was written."""
KEY: Final = "service-key-of-the-demo"
RPM: Final = 20
FASTER: Final = 1200
"""Calls a minute here, or the demo would take minutes."""
SPEED: Final = "3600"
"""How many times as fast the clock of a rollout runs here: six hours are 1.5 seconds."""
AT_ONCE: Final = 16
"""Calls in flight at most, of both functions: what a kill can cost."""
TABLES: Final = ("fc_scores", "profiles")


def play(stage: Stage) -> dict[str, Any]:
    """The whole story; what it came to, for --json."""
    original = set_up(stage)
    foreseen(stage, original)
    phases.too_short(stage)
    rollout = kill_and_resume(stage)
    runs, logs = files(stage)
    by_hand(stage, runs, original)
    runs.append(mend(stage))
    scored = done(stage)
    phases.review(stage, rollout)
    was = phases.type_of(stage.folder / "app.db")
    phases.go_or_no_go(stage, rollout, stage.folder / "app.db")
    runs.append(what_is_left(stage, rollout))
    verdicts = phases.soaks(stage, SPEED)
    spent = reckon(stage)
    phases.put_back(stage, stage.folder / "app.db", was)
    restored = take_back(stage, runs, original)
    stage.end()
    return {
        "folder": stage.folder,
        "rollout": rollout,
        "runs": [run.id for run in runs],
        "sessions": len(spent["worked"]) // 2,
        "calls": sum(spent["calls"].values()),
        "worked_twice": sum(n > 1 for n in spent["worked"].values()),
        "answered_429": spent["limited"],
        "logs": logs,
        "scored": scored,
        "soaks": verdicts,
        "identical": restored == original,
        "seconds": round(stage.seconds, 1),
    }


def set_up(stage: Stage) -> str:
    """The application, its database, and the plan of 39 sessions in three groups."""
    stage.scene(
        "Thirty-nine sessions, and an application that scores them",
        "Two HTTP functions of the application write its tables fc_scores and profiles. "
        f"Proctor calls them, session by session. The files are in {stage.folder}",
    )
    stage.python("seed.py")
    told = {"database": str(stage.folder / "app.db"), "key": KEY, "rpm": FASTER}
    address = stage.serve("proctor.ui.demo.scoring", told)
    stage.variables |= {"APP_URL": address, "SERVICE_KEY": KEY, "APP_DATABASE_URL": ""}
    stage.fact("application", address)
    config = stage.folder / "proctor.toml"
    config.write_text(config.read_text().replace(f"rpm = {RPM}", f"rpm = {FASTER}"))
    stage.fact(
        "faster",
        f"rpm = {FASTER} in this copy of proctor.toml, in place of {RPM}: else the calls alone "
        "would take two minutes",
    )
    original = fingerprint(stage.folder / "app.db")
    stage.fact("SHA-256", f"{original} over every row of {' and '.join(TABLES)}")
    return original


def foreseen(stage: Stage, original: str) -> None:
    """A plan that calls nobody, and what the rollout says before it begins."""
    stage.scene("What would happen?", "Nobody is called, and nothing is written, before a run.")
    stage.proctor("plan", "score_pilot")
    stage.proctor("rollout", "sessions", "--show")
    if sum(books(stage)["calls"].values()) or fingerprint(stage.folder / "app.db") != original:
        raise Broken("the plan called the application")
    stage.good("the application was not called, and its tables are as they were")


def kill_and_resume(stage: Stage) -> str:
    """Phase 1: three groups, and the worker of the last ended by SIGKILL half-way."""
    stage.scene(
        "Phase 1: apply, and a kill",
        f"Three groups, one worker each; that of {KILLED} gets a SIGKILL with calls in the "
        "application's hands. The rollout starts it again with the same words, then halts. Its "
        f"clock runs {SPEED} times as fast as ours.",
    )
    stage.variables["PROCTOR_USER"] = "ann"
    with stage.begin("rollout", "sessions", "--speed", SPEED) as process:
        seen = seen_half_way(stage, process, f"score_{KILLED}")
        holder = seen.run.holder
        if holder is None or holder.pid == process.pid:
            raise Broken("the run has no worker of its own")
        os.kill(holder.pid, signal.SIGKILL)
        stage.typed(f"kill -9 {holder.pid}   # the worker of score_{KILLED}")
        code = process.wait()
    stage.curtain()
    if code != HELD:
        raise Broken("the rollout did not halt for review", found=f"exit {code}")
    run = record(stage, seen.run.id)
    stage.books(run.outcome)
    if run.state is not RunState.SUCCEEDED or not run.outcome.balances:
        raise Broken("the books do not balance", found=f"{run.state.value}, {run.outcome}")
    told = said_of(stage)
    stage.good(f"it halts for {told['why'].removeprefix('halt for ')}: nothing goes on by itself")
    return str(told["rollout"])


def files(stage: Stage) -> tuple[list[Run], list[str]]:
    """A log for each group, an execution log, the summary, and SQL that takes it all back."""
    stage.scene("Its files", "What the rollout wrote for those who review it.")
    logs = [f"logs/score_{group}.json" for group in GROUPS]
    for name in (*logs, "logs/execution.log", "backfill_summary.md", script_name()):
        stage.fact(f"{(stage.folder / name).stat().st_size:,} bytes", name)
    stage.typed("cat backfill_summary.md")
    stage.console.print((stage.folder / "backfill_summary.md").read_text(), soft_wrap=True)
    failed = json.loads((stage.folder / logs[1]).read_text())["units"]["listed"]
    (wrong,) = [unit for unit in failed if unit["state"] != "completed"]
    stage.fact(f"in {logs[1]}", f"{wrong['key'][0]}, {wrong['state']}: {wrong['reason'][:100]}")
    if wrong["key"] != [FORGOTTEN] or "422" not in wrong["reason"]:
        raise Broken("another session failed than the one without responses", found=str(wrong))
    return [latest(stage, f"score_{group}") for group in GROUPS], logs


def script_name() -> str:
    """As the team calls it, with the day on which the rollout began."""
    return f"rollback_{datetime.now(UTC):%Y-%m-%d}.sql"


def by_hand(stage: Stage, runs: Sequence[Run], original: str) -> None:
    """The script of SQL takes all three groups back in a copy, without Proctor."""
    script, copy = stage.folder / script_name(), stage.folder / "copy.db"
    stage.scene("Without Proctor", "The script of the rollout, on a copy of the database.")
    with closing(sqlite3.connect(stage.folder / "app.db")) as database:
        database.execute("VACUUM INTO ?", (str(copy),))
    there = _of_version(copy)
    stage.typed(f"sqlite3 {copy.name} < {script.name}")
    with closing(sqlite3.connect(copy)) as database:
        database.executescript(script.read_text())
    stage.fact("the copy", f"had {there} scores of version v1.2, and has {_of_version(copy)}")
    if _of_version(copy) or fingerprint(copy) != original:
        raise Broken("the script did not take back what the rollout had applied")
    copy.unlink()
    stage.good(f"{len(runs)} runs went back, row for row")


def mend(stage: Stage) -> Run:
    """Somebody finds the responses: a second run calls for that session alone."""
    stage.scene("The session that failed", "Its responses are found, and the group is run again.")
    before = books(stage)["calls"]
    with closing(sqlite3.connect(stage.folder / "app.db")) as open_, open_ as database:
        answers = [(FORGOTTEN, question, 4) for question in range(12)]
        database.executemany("INSERT INTO responses VALUES (?, ?, ?)", answers)
    stage.proctor("run", "score_early")
    now = books(stage)["calls"]
    more = {name: count - before[name] for name, count in now.items()}
    if set(more.values()) != {1}:
        raise Broken("another session was called for", found=str(more))
    stage.good(f"one call of each function, for {FORGOTTEN} alone")
    return latest(stage, "score_early")


def done(stage: Stage) -> int:
    """Everything can be run again: what is done is found done."""
    stage.scene("Once more", "What is done is found done.")
    before = books(stage)["calls"]
    stage.proctor("ensure", f"score_{KILLED}")
    if books(stage)["calls"] != before:
        raise Broken("the application was called again")
    with closing(sqlite3.connect(stage.folder / "app.db")) as database:
        ((scores, profiles),) = database.execute(
            "SELECT (SELECT count(*) FROM fc_scores WHERE version = 'v1.2' "
            "AND fc_kind = 'functions'), "
            "(SELECT count(*) FROM profiles WHERE results_version = 'v1.2.1')"
        )
    stage.fact("fc_scores", f"{scores} of version v1.2, kind functions")
    stage.fact("profiles", f"{profiles} of version v1.2.1")
    if (scores, profiles) != (39, 39):
        raise Broken("not every session is scored")
    return int(scores)


def what_is_left(stage: Stage, rollout: str) -> Run:
    """Phase 3: sessions with responses and no profile; the mini plan scores them, and once."""
    phases.look_for_more(stage, rollout, NEW)
    stage.scene("The mini plan", "It names those sessions, and can be run again.")
    stage.proctor("run", "score_new", "--plan", "mini_plan.json")
    run, before = latest(stage, "score_new"), books(stage)["calls"]
    stage.proctor("run", "score_new", "--plan", "mini_plan.json")
    if run.outcome.read != NEW or books(stage)["calls"] != before:
        raise Broken("the mini plan did not do its sessions, or did them twice")
    stage.good(f"{NEW} sessions are scored, and the second time nobody is called")
    return run


def reckon(stage: Stage) -> dict[str, Any]:
    """What the application counted itself."""
    spent = books(stage)
    stage.scene("The application's own books", "They know nothing of Proctor's.")
    for name, count in spent["calls"].items():
        stage.fact(name, f"{count} calls")
    stage.fact("worked", f"{len(spent['worked'])} times, none twice")
    stage.fact("answered 429", f"{spent['limited']} calls")
    if set(spent["worked"].values()) != {1} or len(spent["worked"]) != 2 * (PLANNED + NEW):
        raise Broken("a session was worked on twice, or never", found=str(spent["worked"]))
    if sum(spent["calls"].values()) - 2 * (PLANNED + NEW) - 1 > AT_ONCE:  # one failed
        raise Broken("more calls were made again than were in flight", found=str(spent["calls"]))
    first = {what.split()[1]: at for at, what in enumerate(spent["order"]) if "fc" in what}
    if any(first[what.split()[1]] > at for at, what in enumerate(spent["order"])):
        raise Broken("a profile was made before its scores")
    stage.good("each session was scored once, then profiled once")
    return spent


def take_back(stage: Stage, runs: Sequence[Run], original: str) -> str:
    """The rollback, newest first; rows of the application are undone by a word of their own."""
    stage.scene(
        "Take it back",
        "Nobody can tell the application's writes from those of others, so they are undone only "
        "where somebody says --touched. First as a dry run, then really, newest first.",
    )
    stage.proctor("rollback", runs[-1].id, "--dry-run")
    for run in reversed(runs):
        stage.proctor("rollback", run.id, "--touched", "--yes")
    restored = fingerprint(stage.folder / "app.db")
    stage.fact("before", original)
    stage.fact("rolled back", restored)
    if restored != original:
        raise Broken("the rollback did not restore the original rows")
    stage.good("row for row what the application had before")
    shutil.rmtree(stage.folder / "__pycache__", ignore_errors=True)
    return restored


def fingerprint(database: Path) -> str:
    """SHA-256 over both tables, read without Proctor."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        for name in TABLES:
            for row in connection.execute(f"SELECT * FROM {name} ORDER BY id"):
                digest.update(repr(row).encode())
    return digest.hexdigest()


def _of_version(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM fc_scores WHERE version = 'v1.2'")
    return int(count)


def books(stage: Stage) -> dict[str, Any]:
    """What the application counted until now."""
    request = urllib.request.Request(f"{stage.variables['APP_URL']}/_books", b"{}")  # noqa: S310 - on this machine
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as reply:
        found: dict[str, Any] = json.load(reply)
    return found
