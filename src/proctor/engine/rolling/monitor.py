"""The monitor: a snapshot at every interval, appended to a Markdown file whatever stage it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from proctor.engine.rolling.rig import Rig
from proctor.engine.rolling.writing import replace_file
from proctor.engine.show import cost, plural
from proctor.errors import Unmeasured
from proctor.model import Apply, CheckedRows, Coverage, Figures, LogEntry, Metric, RunFigures

NEVER: Final = timedelta(hours=1)
"""How far away the next snapshot is where there is no monitor."""
LINES: Final = 5
"""Progress lines of a worker that are shown."""
MONEY: Final = ("usd", "spent_usd", "held_usd")
ERRORS: Final = ("limited", "fallbacks", "failed")
"""What may go wrong with a row's calls and with the row, as a run's figures call it."""


async def monitor(rig: Rig) -> datetime:
    """Take the snapshot that is due, if any; when the next is.

    Its text stands in the log, and the file is written from there: a crash between the two
    neither loses a snapshot nor writes one twice.
    """
    wanted, began, now = rig.plan.monitor, rig.journal.standing.began, rig.clock.now()
    if wanted is None or began is None:
        return now + NEVER
    taken = [e for e in rig.journal.entries if e.kind == "snapshot.appended"]
    last = taken[-1].data["slot"] if taken else -1
    slot = int((now - began) / wanted.every)
    if slot > last:
        figures = taken[-1].data["figures"] if taken else {}
        told, seen = await _snapshot(rig, before=figures)
        await rig.journal.add(
            "snapshot.appended",
            slot=slot,
            missed=slot - last - 1,
            figures=seen,
            text=told,
            file=wanted.file,
        )
        try:
            await write(rig, Path(wanted.file))
        except OSError as error:
            # The snapshot stands in the log; the next one writes all of them again.
            why = f"{wanted.file}: {error.strerror}"
            rig.site.events.emit(
                "rollout.stumbled",
                rollout=rig.journal.rollout.id,
                of=rig.plan.name,
                why=why,
                times=1,
            )
        last = slot
    return began + (last + 1) * wanted.every


async def write(rig: Rig, name: Path) -> None:
    """The whole file as the log has it: what was there before stays word for word."""
    taken = [e for e in rig.journal.entries if e.kind == "snapshot.appended"]
    parts = [f"# {rig.plan.name}: rollout {rig.journal.rollout.id}\n", *map(_section, taken)]
    await replace_file(rig.site.root / name, "\n".join(parts))


def _section(entry: LogEntry) -> str:
    missed = entry.data["missed"]
    gap = f"\n*{missed} snapshots before it were missed: nobody was there.*\n" if missed else ""
    return f"{gap}\n## {entry.at:%Y-%m-%d %H:%M:%S} UTC\n\n{entry.data['text']}\n"


async def _snapshot(
    rig: Rig, *, before: Mapping[str, Figures]
) -> tuple[str, dict[str, dict[str, float]]]:
    """What there is to say now; a question that fails is said, and asked again next time."""
    wanted = rig.plan.monitor
    assert wanted is not None  # noqa: S101 - the caller has looked
    standing = rig.journal.standing
    stages = rig.plan.stages
    held = f" (held: {standing.held.why})" if standing.held else ""
    where = f"All stages are through: {rig.journal.rollout.state.value}"
    if standing.stage < len(stages):
        number = f"{standing.stage + 1} of {len(stages)}"
        where = f"Stage {number}: {stages[standing.stage].name}"
    lines = [f"- {where}{held}"]
    seen: dict[str, dict[str, float]] = {}
    for metric in (*_usual(rig, wanted.latest), *wanted.metrics):
        since = rig.clock.now() - wanted.every
        try:
            found = await rig.measure(metric, since, rig.clock.now(), before.get(metric.name))
        except Unmeasured as error:
            lines.append(f"- {metric.name}: not measured ({error}); tried again at the next")
            continue
        seen[metric.name] = dict(found)
        lines.append(f"- {metric.name}: {_told(metric, found)}")
    for name, hand in rig.hands.items():
        if said := hand.said().splitlines()[-LINES:]:
            lines += [f"- The last lines of the worker of {name}:", "", "```", *said, "```"]
    return "\n".join(lines), seen


def _usual(rig: Rig, latest: int) -> list[Metric]:
    """What every monitor shows of the backfills that have begun."""
    metrics = []
    begun = rig.journal.standing.runs
    for stage in rig.plan.stages:
        if not isinstance(stage, Apply) or stage.backfill not in begun:
            continue
        name = stage.backfill
        metrics.append(Metric(name=f"Coverage of {name}", source=Coverage(backfill=name)))
        metrics.append(Metric(name=f"Run of {name}", source=RunFigures(backfill=name)))
        if rig.of(name).ready:
            source = CheckedRows(backfill=name, latest=latest)
            metrics.append(Metric(name=f"Quality of the latest rows of {name}", source=source))
    return metrics


def _told(metric: Metric, figures: Figures) -> str:
    """Figures as one reads them."""
    if isinstance(metric.source, Coverage):
        about = "" if figures.get("exact") else "about "
        share = (
            f", {figures['share']:.1%}" if "share" in figures else ""
        )  # of no rows there is none
        return f"{about}{figures['done']:,.0f} of {figures['total']:,.0f} done{share}"
    if isinstance(metric.source, RunFigures):
        return _told_of_run(figures)
    if isinstance(metric.source, CheckedRows):
        wrong = [f"{_number(figures[n])} {n}" for n in ("failures", "warnings", "unsure")]
        found = ", ".join(one for one in wrong if not one.startswith("0 ")) or "nothing wrong"
        return f"{plural(int(figures['rows']), 'row')}, {found}"
    return ", ".join(f"{name} {_number(value)}" for name, value in figures.items() if value)


def _told_of_run(figures: Figures) -> str:
    """The books so far, and what went wrong since the last snapshot: no errors are said, too."""
    so_far = [
        f"{name} {_number(value)}"
        for name, value in figures.items()
        if value and not name.endswith("_new") and name not in ("rate", "seconds", *MONEY)
    ]
    if figures["calls"] or figures["usd"]:
        so_far.append(cost(*(Decimal(str(figures[name])) for name in MONEY[1:])))
    rate = figures["rate"]
    new = {name: _number(figures[f"{name}_new"]) for name in ("read", *ERRORS)}
    return (
        f"{', '.join(so_far) or 'nothing yet'}; since the last: {new['read']} rows read "
        f"({f'{rate:,.0f}' if rate >= 10 else f'{rate:.2g}'} a second at work), "
        f"{new['limited']} 429s, "
        f"{new['fallbacks']} fallbacks, {new['failed']} failed"
    )


def _number(value: Any) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


__all__ = ["monitor", "write"]
