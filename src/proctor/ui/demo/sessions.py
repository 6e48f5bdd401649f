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
from proctor.ui.demo.stage import Broken, Stage, latest, record, seen_half_way

GROUPS: Final = ("pilot", "early", "late")
KILLED: Final = "late"
FORGOTTEN: Final = "s-011"
"""Its responses were lost: the application cannot score it."""
KEY: Final = "service-key-of-the-demo"
RPM: Final = 20
FASTER: Final = 1200
"""Calls a minute here, or the demo would take minutes."""
AT_ONCE: Final = 16
"""Calls in flight at most, of both functions: what a kill can cost."""
TABLES: Final = ("fc_scores", "profiles")


def play(stage: Stage) -> dict[str, Any]:
    """The whole story; what it came to, for --json."""
    original = set_up(stage)
    foreseen(stage, original)
    runs = [apply(stage, group) for group in GROUPS if group != KILLED]
    runs.append(kill_and_resume(stage))
    logs = files(stage, runs)
    runs.append(mend(stage))
    scored = done(stage)
    spent = reckon(stage)
    by_hand(stage, runs, original)
    restored = take_back(stage, runs, original)
    stage.end()
    return {
        "folder": stage.folder,
        "runs": [run.id for run in runs],
        "sessions": len(spent["worked"]) // 2,
        "calls": sum(spent["calls"].values()),
        "worked_twice": sum(n > 1 for n in spent["worked"].values()),
        "answered_429": spent["limited"],
        "logs": logs,
        "scored": scored,
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
    """Prechecks, and a plan that calls nobody."""
    stage.scene("What would happen?", "The key is there, and nobody is called before a run.")
    stage.proctor("doctor")
    stage.proctor("plan", "score_pilot")
    if sum(books(stage)["calls"].values()) or fingerprint(stage.folder / "app.db") != original:
        raise Broken("the plan called the application")
    stage.good("the application was not called, and its tables are as they were")


def apply(stage: Stage, group: str) -> Run:
    """One group."""
    stage.scene(
        f"The group {group}", "Each session's rows are looked at before and after its call."
    )
    stage.proctor("run", f"score_{group}")
    return latest(stage, f"score_{group}")


def kill_and_resume(stage: Stage) -> Run:
    """The last group, ended by SIGKILL half-way; the same command goes on."""
    stage.scene(
        f"The group {KILLED}, and a kill", "SIGKILL, with calls in the application's hands."
    )
    with stage.begin("run", f"score_{KILLED}") as process:
        seen = seen_half_way(stage, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    stage.curtain()
    stage.typed(f"kill -9 {process.pid}")
    stage.fact("the target", f"{seen.run.outcome.read} of {seen.run.expected} sessions settled")
    stage.proctor("run", f"score_{KILLED}")
    run = record(stage, seen.run.id)
    stage.books(run.outcome)
    if run.state is not RunState.SUCCEEDED or not run.outcome.balances:
        raise Broken("the books do not balance", found=f"{run.state.value}, {run.outcome}")
    return run


def files(stage: Stage, runs: Sequence[Run]) -> list[str]:
    """A log for each group, the summary, and SQL that takes the group back."""
    stage.scene("The files of a rollout", "A log for each group, a summary, and SQL to undo it.")
    logs = []
    (stage.folder / "logs").mkdir()
    for group, run in zip(GROUPS, runs, strict=True):
        logs.append(f"logs/{group}.json")
        keep(stage, f".proctor/reports/{run.id}/statistics.json", logs[-1])
    keep(stage, f".proctor/reports/{runs[-1].id}/report.md", "backfill_summary.md")
    stage.proctor("rollback", runs[-1].id, "--sql", script_name())
    failed = json.loads((stage.folder / logs[1]).read_text())["units"]["listed"]
    (wrong,) = [unit for unit in failed if unit["state"] != "completed"]
    stage.fact(f"in {logs[1]}", f"{wrong['key'][0]}, {wrong['state']}: {wrong['reason'][:100]}")
    if wrong["key"] != [FORGOTTEN] or "422" not in wrong["reason"]:
        raise Broken("another session failed than the one without responses", found=str(wrong))
    return logs


def keep(stage: Stage, report: str, name: str) -> None:
    """A report that the run has left, under the team's name for it."""
    stage.typed(f"cp {report} {name}")
    shutil.copy(stage.folder / report, stage.folder / name)


def script_name() -> str:
    """As the team calls it."""
    return f"rollback_{datetime.now(UTC):%Y-%m-%d}.sql"


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


def reckon(stage: Stage) -> dict[str, Any]:
    """What the application counted itself."""
    spent = books(stage)
    stage.scene("The application's own books", "They know nothing of Proctor's.")
    for name, count in spent["calls"].items():
        stage.fact(name, f"{count} calls")
    stage.fact("worked", f"{len(spent['worked'])} times, twice for none")
    stage.fact("answered 429", f"{spent['limited']} calls")
    if set(spent["worked"].values()) != {1} or len(spent["worked"]) != 78:
        raise Broken("a session was worked on twice, or never", found=str(spent["worked"]))
    if sum(spent["calls"].values()) - 79 > AT_ONCE:  # and one that failed
        raise Broken("more calls were made again than were in flight", found=str(spent["calls"]))
    first = {what.split()[1]: at for at, what in enumerate(spent["order"]) if "fc" in what}
    if any(first[what.split()[1]] > at for at, what in enumerate(spent["order"])):
        raise Broken("a profile was made before its scores")
    stage.good("each session was scored once, then profiled once")
    return spent


def by_hand(stage: Stage, runs: Sequence[Run], original: str) -> None:
    """The script of SQL takes its group back in a copy of the database, without Proctor."""
    script, copy = stage.folder / script_name(), stage.folder / "copy.db"
    stage.scene("Without Proctor", "The script of the last group, on a copy of the database.")
    with closing(sqlite3.connect(stage.folder / "app.db")) as database:
        database.execute("VACUUM INTO ?", (str(copy),))
    stage.typed(f"sqlite3 {copy.name} < {script.name}")
    with closing(sqlite3.connect(copy)) as database:
        database.executescript(script.read_text())
    left = _of_version(copy)
    stage.fact("the copy", f"{left} scores of version v1.2 are left, of 39")
    if left != 39 - runs[2].outcome.read or fingerprint(copy) == original:
        raise Broken("the script took back other rows than those of its group")
    stage.good(f"{runs[2].outcome.read} sessions went back, and no other")


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
