"""The songs' night: watched, audited, gated, its worker killed, and listeners let in, or not.

A rollout does all of it by itself; the story types one command, kills its worker, and in one of
its two endings writes a leaked tag past Proctor. Then it checks the log, the tables, the
application and the files against each other.
"""

from __future__ import annotations

import asyncio
import os
import signal

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from subprocess import Popen
from time import monotonic
from typing import Any, Final

from proctor.engine.snapshot import Snapshot
from proctor.model import LogEntry, RunState
from proctor.ui.demo.pager import Pager, pager
from proctor.ui.demo.songs import AT_ONCE, KEY, OF_A_CALL, SERVED, paid
from proctor.ui.demo.stage import Broken, Stage, configured, latest

ROLLOUT: Final = "overnight"
BACKFILL: Final = "aboutness"
FLAG: Final = "ABOUTNESS_V2_ENABLED"
MONITOR: Final = "overnight-monitor.md"
SPEED: Final = 600
"""Ten minutes a second: a night of seven hours takes three quarters of a minute."""
LATENCY_S: Final = 3.0
"""The vendor answers as slowly as a large model does: else there would be no night to watch."""
KILL_AT: Final = 0.1
"""The share of the rows at which the worker dies."""
PATIENCE: Final = 240.0
LOOK_EVERY: Final = 0.1
COUNTED: Final = {"worker.started": 1, "worker.ended": -1, "step_back.run_paused": -1}
"""What makes a worker more, or one less."""
MILESTONES: Final = ["100 rows", "450 rows", "850 rows"]
GIT: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,  # neither signatures nor hooks of whoever plays it
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_NAME": "demo" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "demo@example.com" for who in ("AUTHOR", "COMMITTER")},
}
NOTIFY: Final = r'\n[notify]\nurls = ["${ALERTS_URL}"]\n'
LEAKED: Final = "[confidence: high]"
LEAK: Final = f"""
    UPDATE song_aboutness SET moments_text = moments_text || ' {LEAKED}'
    WHERE song_id = (
        SELECT max(song_id) FROM song_aboutness WHERE version = 2 AND provider = 'hand'
    )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """How a night ended: the rollout's log, and the exit code of its command."""

    ident: str
    state: str
    code: int
    entries: tuple[LogEntry, ...]

    def told(self, kind: str) -> list[LogEntry]:
        """The entries of a kind, in order."""
        return [entry for entry in self.entries if entry.kind == kind]


def play(stage: Stage, *, leak: bool) -> dict[str, Any]:
    """The whole story; what it came to, for --json."""
    with pager() as duty:
        stage.variables["ALERTS_URL"] = duty.url
        url = set_up(stage)
        look_ahead(stage)
        night = live_through(stage, url, leak=leak)
    kept_alive(stage, night)
    watched(stage, night)
    if leak:
        alerted(stage, duty)
        held_back(stage, night, url)
    else:
        let_in(stage, night, url)
    reports = told_in_the_end(stage, night, leak=leak)
    return {
        "folder": stage.folder,
        "rollout": night.ident,
        "state": night.state,
        "leaked": leak,
        "speed": SPEED,
        "hours": round((night.entries[-1].at - night.entries[0].at).total_seconds() / 3600, 1),
        "workers": [entry.data["pid"] for entry in night.told("worker.started")],
        "snapshots": len(night.told("snapshot.appended")),
        "audits": [entry.data["milestone"] for entry in night.told("audit.made")],
        "flag_percent": flag_of(url)[0],
        "paid_again": paid(stage).paid_again,
        "in_the_air": AT_ONCE * OF_A_CALL,
        "reports": reports,
        "seconds": round(stage.seconds, 1),
    }


def set_up(stage: Stage) -> str:
    """Three servers, the songs, and the files under version control; the database's address."""
    stage.scene(
        "Songs, a model, and listeners",
        "A Postgres with pgvector, a local vendor that answers after "
        f"{LATENCY_S:g} s, and the application that listeners use (radio.py), which asks a row of "
        f"a table who may see the new data. The files are in {stage.folder}",
    )
    served = [{**one, "latency_s": LATENCY_S} for one in SERVED]
    vendor = stage.serve("proctor.testing.vendor", {"served": served, "key": KEY, "port": 0})
    url = stage.serve("proctor.testing.postgres")
    stage.variables |= {"SONGS_URL": url, "WRITER_URL": f"{vendor}/v1", "WRITER_KEY": KEY}
    stage.variables |= GIT
    # What is on this machine is not asked through a proxy that the environment may name.
    stage.variables |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    stage.python("seed.py", url)
    stage.variables["RADIO_URL"] = stage.application("radio.py")
    stage.fact("Postgres", url)
    stage.fact("the vendor", vendor)
    stage.fact("the radio", stage.variables["RADIO_URL"])
    stage.typed(f"printf '{NOTIFY}' >> proctor.toml")
    with (stage.folder / "proctor.toml").open("a", encoding="utf-8") as file:
        file.write(NOTIFY.replace("\\n", "\n"))
    stage.command("git", "init", "--quiet")
    stage.command("git", "add", ".")
    stage.command("git", "commit", "--quiet", "-m", "The rollout as reviewed")
    return url


def look_ahead(stage: Stage) -> None:
    """The stages in order; nothing happens."""
    stage.scene("What will happen tonight?", "The rollout is a file too: rollout.py.")
    stage.proctor("rollout", ROLLOUT, "--show")


def live_through(stage: Stage, url: str, *, leak: bool) -> Night:
    """The night itself, by one command that nobody helps."""
    stage.scene(
        "The night",
        f"The rollout's clock runs {SPEED} times as fast: a quarter of an hour lasts 1.5 s. "
        "Nothing else does: worker, database, vendor and radio are as fast as they are. "
        "SIGKILL ends the worker on the way; nobody starts it again but the rollout.",
    )
    process = stage.begin("rollout", ROLLOUT, "--speed", str(SPEED))
    try:
        asyncio.run(_disturbed(stage, process, url, leak=leak))
        code = process.wait(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            process.terminate()  # it tells its worker to stop, too
            process.wait()
    return asyncio.run(_night(stage, code))


async def _disturbed(stage: Stage, process: Popen[bytes], url: str, *, leak: bool) -> None:
    """Leak a tag, kill the worker when the target shows that it is at work, see the next start."""
    from proctor import app
    from proctor.app.rollouts import opened_log

    async def workers() -> list[int]:
        found = await log.rollouts(opened.env)
        entries = await log.entries(found[0].id) if found else ()
        return [entry.data["pid"] for entry in entries if entry.kind == "worker.started"]

    async with app.open(configured(stage)) as opened, opened_log(opened) as log:
        await _until(process, workers, bool, "no worker was started")
        if leak:  # long before anybody asks the gate
            plant(stage, url)
        seen = await _until(process, opened.status, _under_way, "the worker did not come far")
        (pid,) = await workers()
        os.kill(pid, signal.SIGKILL)
        killed = monotonic()
        stage.typed(f"kill -9 {pid}")
        run = seen[0].run
        stage.fact("the target", f"{run.outcome.read:,} of {run.expected or 0:,} rows settled")
        found = await _until(process, workers, lambda pids: len(pids) > 1, "nobody started it")
        stage.fact("the rollout", f"has started it again after {monotonic() - killed:.1f} s")
        if found[-1] == pid:
            raise Broken("the second worker is the first one", found=f"pid {pid}")


def _under_way(seen: Sequence[Snapshot]) -> bool:
    return any(
        one.run.state is RunState.RUNNING
        and one.run.outcome.read >= KILL_AT * (one.run.expected or 1)
        and one.run.outcome.read > 0
        for one in seen
    )


async def _until(
    process: Popen[bytes], ask: Callable[[], Any], holds: Callable[[Any], bool], wrong: str
) -> Any:
    """Ask as any other process may, until it holds."""
    until = monotonic() + PATIENCE
    while process.poll() is None and monotonic() < until:
        found = await ask()
        if holds(found):
            return found
        await asyncio.sleep(LOOK_EVERY)
    raise Broken(
        wrong,
        found="the rollout has ended" if process.poll() is not None else f"none in {PATIENCE:g} s",
        fix="play the demo again",
    )


def plant(stage: Stage, url: str) -> None:
    """A tag in one sentence of version 2, past Proctor."""
    import psycopg

    stage.typed(f'psql "$SONGS_URL" -c "UPDATE … moments_text || \' {LEAKED}\'"')
    with psycopg.connect(url) as database:
        changed = database.execute(LEAK).rowcount
    if changed != 1:
        raise Broken("no tag was planted", found=f"{changed} rows changed")
    stage.fact(
        "somebody",
        "lets an old script write one sentence with its tag. What the model says with a tag is "
        "refused before it is written; this was written past that.",
    )


async def _night(stage: Stage, code: int) -> Night:
    from proctor import app
    from proctor.app.rollouts import opened_log

    async with app.open(configured(stage)) as opened, opened_log(opened) as log:
        (rollout,) = await log.rollouts(opened.env)
        entries = await log.entries(rollout.id)
    return Night(ident=rollout.id, state=rollout.state.value, code=code, entries=tuple(entries))


def kept_alive(stage: Stage, night: Night) -> None:
    """One worker at a time, the same run, and nothing paid twice but what was in the air."""
    stage.scene("One worker, kept alive", "By the rollout's log and the vendor's own books.")
    alive = 0
    for entry in night.entries:
        alive += COUNTED.get(entry.kind, 0)
        if alive > 1:
            raise Broken("two workers were at it at the same time")
    ended = night.told("worker.ended")
    if not ended or ended[0].data["code"] != -signal.SIGKILL:
        raise Broken("the log does not say that the worker was killed", found=f"{len(ended)} ends")
    if len(set(_runs(night))) != 1:
        raise Broken(
            "the second worker did not resume the run of the first", found=f"{_runs(night)}"
        )
    first, second, *_ = night.told("worker.started")
    stage.fact("workers", f"{first.data['pid']}, killed; then {second.data['pid']}, the same run")
    spent = paid(stage)
    stage.fact(
        "paid again",
        f"{spent.paid_again:,} songs, whose answers were on their way at the kill: at most "
        f"{AT_ONCE:,} calls of {OF_A_CALL:,} songs",
    )
    if spent.paid_again > AT_ONCE * OF_A_CALL:
        raise Broken("answers were paid twice", found=f"{spent.paid_again:,} songs")


def _runs(night: Night) -> list[str]:
    return [entry.data["run"] for entry in night.told("run.found")]


def watched(stage: Stage, night: Night) -> None:
    """The monitor's file has every snapshot of the log; so many audits as milestones came."""
    stage.scene("What was watched", f"A snapshot each quarter of an hour, in {MONITOR}:")
    text = (stage.folder / MONITOR).read_text(encoding="utf-8")
    taken = night.told("snapshot.appended")
    sections = text.split("\n## ")[1:]
    if len(sections) != len(taken) or not all(one.data["text"] in text for one in taken):
        raise Broken("a snapshot is missing", found=f"{len(sections)} of {len(taken)} in {MONITOR}")
    if not taken:
        raise Broken("no snapshot was taken")
    for line in sections[-1].splitlines():
        if line.startswith("- "):
            stage.console.print(f"  {line}", soft_wrap=True, markup=False)
    stage.good(f"{len(taken)} snapshots; {sum(one.data['missed'] for one in taken)} were missed")
    for entry in night.told("audit.made"):
        said = entry.data
        stage.fact(
            "audit",
            f"at {said['milestone']}: {said['verdict']}, {said['rows']} of {said['population']} "
            f"rows drawn, {len(said['shown'])} shown in the report",
        )
        if said["verdict"] != "pass" or len(said["shown"]) != 10:
            raise Broken("an audit did not come out as it must", found=said["why"])


def let_in(stage: Stage, night: Night, url: str) -> None:
    """The gate passed, the flag is set, and the radio answers from the new data."""
    stage.scene("The gate, the flag, the prompts", "What the log says, and what is so.")
    if night.code or night.state != "active":
        raise Broken("the night did not end well", found=f"{night.state}, exit {night.code}")
    audits = [entry.data["milestone"] for entry in night.told("audit.made")]
    if audits != MILESTONES:
        raise Broken("a milestone was not audited", found=", ".join(audits) or "none")
    (judged,) = night.told("stage.judged")
    for told in judged.data["why"].split("; "):
        stage.fact("the gate", told)
    run = latest(stage, BACKFILL)
    stage.books(run.outcome)
    if run.state is not RunState.SUCCEEDED or not run.outcome.balances:
        raise Broken("the run did not end well", found=f"{run.state.value}, {run.outcome}")
    if judged.number > night.told("flag.set")[0].number or judged.data["verdict"] != "pass":
        raise Broken("the flag was set before the gate had passed")
    percent, changes = flag_of(url)
    stage.fact("the flag", f"{FLAG} is at {percent}%, {changes} change by the tool's own record")
    if (percent, changes) != (100, 1):
        raise Broken("the flag is not as it was set", found=f"{percent}%, {changes} changes")
    compared(stage, night)


def compared(stage: Stage, night: Night) -> None:
    """What each prompt was answered before and after, and that the radio says the same now."""
    answers = {
        entry.data["when"]: entry.data["answer"]
        for entry in night.told("probe.answered")
        if entry.data["probe"] == "prompts"
    }
    before, after = answers["before"], answers["after"]
    for prompt, answer in after.items():
        was, now = before[prompt], answer
        stage.fact(
            prompt,
            f"{len(was['songs'])} songs by {was['by']}, then {len(now['songs'])} by {now['by']}",
        )
        if (was["by"], now["by"]) != ("title", "aboutness") or not now["songs"]:
            raise Broken("a prompt is not answered from the new data", found=prompt)
    stage.good("each prompt is answered from the new data, and none is left without a song")


def alerted(stage: Stage, duty: Pager) -> None:
    """Whoever is on duty was told of it, by name."""
    stage.scene("ALERT: a leaked tag", "What arrived at the address of [notify] in proctor.toml.")
    for message in duty.messages:
        stage.fact("told", str(message.get("title")))
    if not duty.heard("leaked_tags 1"):
        raise Broken("nobody was told of the leaked tag", found=f"{len(duty.messages)} messages")
    stage.good("whoever is on duty was told which figure it is")


def held_back(stage: Stage, night: Night, url: str) -> None:
    """The gate failed: nobody was let in, and nothing more is written until a person has looked."""
    stage.scene("The gate, and the flag that stays off", "Nobody is let in by waiting longer.")
    if night.code != 3 or night.state != "held":
        raise Broken("the night should be held", found=f"{night.state}, exit {night.code}")
    (judged,) = night.told("stage.judged")
    stage.fact("the gate", f"{judged.data['verdict']}: {judged.data['why']}")
    if judged.data["verdict"] != "fail" or "leaked_tags 1" not in judged.data["why"]:
        raise Broken("the gate did not see the leaked tag", found=judged.data["why"])
    percent, changes = flag_of(url)
    stage.fact("the flag", f"{FLAG} is at {percent}%, {changes} changes by the tool's own record")
    if (percent, changes) != (0, 0) or night.told("flag.set") or night.told("flag.intended"):
        raise Broken("somebody was let in", found=f"{percent}%, {changes} changes")
    run = latest(stage, BACKFILL)
    stage.fact("the run", f"is {run.state.value}")
    if run.state not in (RunState.PAUSED, RunState.SUCCEEDED):
        raise Broken("the run goes on", found=run.state.value)
    stage.good("nobody was let in, and the run rests until a person has looked")


def told_in_the_end(stage: Stage, night: Night, *, leak: bool) -> list[str]:
    """The report is there in every ending; it says how it ended, and how fast its clock ran."""
    stage.scene(
        "The end", f"It took {stage.seconds:.0f} s. Its servers end here; the reports stay:"
    )
    folder = stage.folder / ".proctor" / "reports" / night.ident
    files = [folder / f"rollout.{form}" for form in ("md", "html", "json")]
    for file in (*files, stage.folder / MONITOR):
        if not file.is_file():
            raise Broken("a report is missing", found=str(file))
        stage.fact("report", str(file))
    text = files[0].read_text(encoding="utf-8")
    wanted = [night.state, f"{SPEED} times as fast", *(["leaked"] if leak else MILESTONES)]
    lacking = [one for one in wanted if one not in text]
    if lacking:
        raise Broken("the report does not say how it ended", found=f"without {lacking[0]}")
    return [str(file) for file in files]


def flag_of(url: str) -> tuple[int, int]:
    """The flag's percent, and how often it was changed; asked without Proctor."""
    import psycopg

    with psycopg.connect(url) as database:
        found = database.execute(
            "SELECT percent, (SELECT count(*) FROM flag_changes WHERE flag = key) FROM flags "
            "WHERE key = %s",
            [FLAG],
        ).fetchone()
    if found is None:
        raise Broken("the flag has no row", found=FLAG)
    return found[0], found[1]
