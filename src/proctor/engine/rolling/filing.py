"""The files that a team keeps of a rollout: written from its log and its runs' own reports."""

from __future__ import annotations

import asyncio

from collections.abc import Sequence
from typing import Final

from proctor.engine.rolling.holding import hold
from proctor.engine.rolling.rig import Rig, Turn, wait
from proctor.engine.rolling.workers import ended_as
from proctor.engine.rolling.writing import listed, replace_file
from proctor.model import Files, LogEntry, Ruling, Run, Soak

STATISTICS: Final = "statistics.json"
"""As a run keeps it in its folder of reports."""
AGAIN: Final = 5.0
"""Seconds before a stage looks again."""
LOOK: Final = 0.2
TOLD: Final = ("name", "what", "backfill", "run", "probe", "verdict", "why", "told", "code", "by")
"""Parts of an entry that are worth a place in a line."""


async def file_away(rig: Rig, stage: Files) -> Turn:
    """The stage: every file is written, or a person is asked.

    All of them come from what is durable, so that a process after us writes the same again.
    """
    runs = [await rig.site.store.run(run) for run in rig.journal.standing.runs.values()]
    if not runs:
        await hold(rig, f"{stage.name}: nothing was applied before it", verdict="inconclusive")
        return wait(rig.clock.now(), AGAIN)
    texts: dict[str, str] = {}
    if stage.log:
        for run in runs:
            found = await _statistics(rig, run)
            if found is None:
                await hold(
                    rig,
                    f"{stage.name}: run {run.id} has no statistics, and they cannot be made",
                    verdict="inconclusive",
                    then="go_on",
                    look=[f"proctor report {run.id}"],
                )
                return wait(rig.clock.now(), AGAIN)
            texts[named(rig, stage.log, run)] = found
    if stage.execution:
        texts[named(rig, stage.execution)] = execution(rig)
    if stage.summary:
        texts[named(rig, stage.summary)] = summary(rig, runs, texts)
    secret = await _undo(rig, stage.undo, runs) if stage.undo else {}
    for path, text in texts.items():
        await replace_file(rig.site.root / path, text)
    for path, text in secret.items():
        await replace_file(rig.site.root / path, text, mode=0o600)
    written = [*texts, *secret]
    said = {"stage": rig.journal.standing.stage, "files": written}
    return Turn(done=f"wrote {', '.join(written)}", about=(("files.written", said),))


def named(rig: Rig, name: str, run: Run | None = None) -> str:
    """The name of a file with its places filled in; the date is that of the rollout's begin."""
    rollout = rig.journal.rollout
    filled = {"rollout": rollout.id, "date": f"{rollout.created:%Y-%m-%d}"}
    filled |= (
        {"backfill": run.backfill, "run": run.id} if run else {"backfill": "all", "run": "all"}
    )
    for place, value in filled.items():
        name = name.replace("{" + place + "}", value)
    return name


async def _statistics(rig: Rig, run: Run) -> str | None:
    """What the run kept of itself; made by the command that a person would type if it is gone."""
    kept = rig.folder.parent / run.id / STATISTICS
    if not kept.exists():
        words = ["report", run.id, "--format", "json", "--out", str(kept)]
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        hand = rig.crew.start(words, log=f"report-{run.id}.log")
        while hand.ended() is None:
            await rig.site.clock.sleep(LOOK)
        if hand.ended():
            return None
    return await asyncio.to_thread(kept.read_text, encoding="utf-8")


async def _undo(rig: Rig, name: str, runs: Sequence[Run]) -> dict[str, str]:
    """SQL for each file, newest run first: only so two runs over one row are taken back."""
    texts: dict[str, str] = {}
    for run in reversed(runs):
        path = named(rig, name, run)
        head = f"-- Takes back run {run.id} of {run.backfill}.\n"
        lines = [line if line.endswith("\n") else f"{line}\n" async for line in rig.undo(run.id)]
        texts[path] = texts.get(path, "") + head + "".join(lines) + "\n"
    return texts


def execution(rig: Rig) -> str:
    """A line for each thing that happened until this stage was entered."""
    entered = rig.journal.standing.here[0].number
    return "".join(_line(e) for e in rig.journal.entries if e.number <= entered)


def _line(entry: LogEntry) -> str:
    told = [f"{k}={entry.data[k]}" for k in TOLD if entry.data.get(k) not in (None, "", [])]
    flat = " ".join(" ".join(told).split())
    return f"{entry.at:%Y-%m-%dT%H:%M:%SZ} {entry.who} {entry.kind} {flat}".rstrip() + "\n"


def summary(rig: Rig, runs: Sequence[Run], files: Sequence[str] | dict[str, str]) -> str:
    """All that was applied, in one page."""
    rollout = rig.journal.rollout
    rows = [
        (
            run.backfill,
            run.id,
            run.state.value,
            f"{run.outcome.read:,}",
            ", ".join(f"{n:,} {name}" for name, n in ended_as(run)),
        )
        for run in runs
    ]
    began = (
        f"Rollout `{rollout.id}` in {rollout.env}, begun {rollout.created:%Y-%m-%d %H:%M:%S} UTC "
        f"by {rig.journal.standing.by}.{_fast(rig)}"
    )
    failed = sum(run.outcome.failed for run in runs)
    parts = [
        f"# {rig.plan.name}: what was applied",
        began,
        listed(("Backfill", "Run", "State", "Read", "Ended as"), rows),
        f"{failed:,} failed: `proctor failures RUN` says why." if failed else "None failed.",
    ]
    if files:
        parts.append("Beside this page: " + ", ".join(f"`{name}`" for name in files) + ".")
    deaths = [e for e in rig.journal.entries if e.kind == "worker.ended"]
    if deaths:
        said = [(f"{e.at:%H:%M:%S}", e.data["backfill"], e.data["code"]) for e in deaths]
        parts += [
            "## Workers that died, and were started again",
            listed(("When", "Backfill", "Exit code"), said),
        ]
    return "\n\n".join(parts) + "\n"


def _fast(rig: Rig) -> str:
    speed = rig.journal.standing.speed
    said = f" The clock ran {speed:g} times as fast as real time: this was a trial, not a soak."
    return said if speed != 1 else ""


async def of_soak(rig: Rig, stage: Soak, ruling: Ruling, reason: str) -> None:
    """The report of a soak: what it came to, each metric, and every look."""
    if not stage.report:
        return
    standing, now = rig.journal.standing, rig.clock.now()
    begun = standing.entered or now
    measured = standing.measured()
    rows, looks = [], []
    for metric in stage.metrics:
        seen = measured.get(metric.name, [])
        counts: dict[str, int] = {}
        for one in seen:
            counts[one.phase.value] = counts.get(one.phase.value, 0) + 1
            looks.append((one.at, metric.name, one.phase.value, one.told))
        told = ", ".join(f"{n:,} {phase}" for phase, n in counts.items()) or "never looked at"
        aside = " (dry run)" if metric.dry_run else ""
        rows.append((f"{metric.name}{aside}", told, seen[-1].told if seen else ""))
    extended = ", extended once" if standing.told("soak.extended") else ""
    looked = (
        f"Looked at from {begun:%Y-%m-%d %H:%M} to {now:%Y-%m-%d %H:%M} UTC{extended}, read-only, "
        f"by rollout `{rig.journal.rollout.id}` in {rig.site.env}.{_fast(rig)}"
    )
    parts = [
        f"# {rig.plan.name}: {stage.name}",
        f"**{ruling.value}**: {reason}",
        looked,
        listed(("Metric", "Looks", "Last"), rows),
        "## Every look",
        listed(
            ("When", "Metric", "Came to", "Why"),
            [(f"{at:%m-%d %H:%M}", *rest) for at, *rest in sorted(looks)],
        ),
    ]
    await replace_file(rig.site.root / named(rig, stage.report), "\n\n".join(parts) + "\n")


__all__ = ["execution", "file_away", "named", "of_soak", "summary"]
