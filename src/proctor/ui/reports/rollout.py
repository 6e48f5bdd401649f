"""The report of a rollout, in Markdown, HTML and JSON: one document in every ending."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from proctor.engine.hints import pasteable
from proctor.engine.rolling.story import MetricTold, RunTold, Story
from proctor.engine.show import cost
from proctor.engine.writing import replace_now
from proctor.model import LogEntry
from proctor.ui import documents, words
from proctor.ui.reports import entries as log
from proctor.ui.reports.markdown import cell, table

NAMES: Final = {"md": "rollout.md", "html": "rollout.html", "json": "rollout.json"}
SHOWN: Final = 300
"""Characters of a reason in a table."""


def keep(story: Story, folder: Path) -> dict[str, Path]:
    """Write every form to the folder; the paths by form. Raises OSError where that fails."""
    from proctor.ui.reports.rollout_page import page

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    texts = {"md": render(story), "html": page(story), "json": dump(story)}
    written = {}
    for form, text in texts.items():
        path = folder / NAMES[form]
        replace_now(path, text)
        written[form] = path
    return written


def dump(story: Story) -> str:
    """All of it, for other programs; the log word for word."""
    rollout = story.rollout
    document = {
        "rollout": rollout.id,
        "name": rollout.name,
        "env": rollout.env,
        "state": rollout.state.value,
        "where": story.where,
        "why": story.why,
        "by": story.by,
        "began": story.began,
        "at": story.at,
        "speed": story.speed,
        "stages": [{**documents.plain(one), "state": one.state} for one in story.stages],
        "metrics": story.metrics,
        "runs": [_run(one) for one in story.runs],
        "log": [
            {"number": e.number, "kind": e.kind, "at": e.at, "who": e.who, "data": e.data}
            for e in story.timeline
        ],
    }
    return documents.dump(document)


def _run(told: RunTold) -> dict[str, Any]:
    """A run with what it cost and what was taken back of it."""
    back = told.undone
    return documents.run(told.seen.run) | {
        "calls": sum(one.bill.calls for one in told.seen.paid),
        "spent_usd": sum((one.bill.usd for one in told.seen.paid), Decimal(0)),
        "held_usd": sum((one.bill.held_usd for one in told.seen.paid), Decimal(0)),
        "taken_back": told.taken_back,
        "rows_restored": back.restored,
        "rows_left_alone": back.changed + back.gone + back.blocked,
    }


def render(story: Story) -> str:
    """The whole as Markdown, a heading for each part that has something to say."""
    parts = [
        _head(story),
        _held(story),
        _part("Stages", _stages(story)),
        _part("Runs", _runs(story)),
        _part("Metrics", _metrics(story.metrics)),
        _part("Audits", _audits(story.audits)),
        _part("Probes", _probes(story)),
        _part("The flag", _flags(story.flags)),
        _part("What people said", _words(story.words)),
        _part("What was taken back", _back(story.back)),
        _part("Workers", _workers(story.workers)),
        _part("Timeline", _timeline(story.timeline)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _part(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _head(story: Story) -> str:
    rollout = story.rollout
    lasted = story.at - story.began if story.began else timedelta(0)
    facts = [
        ("Rollout", f"`{rollout.id}`"),
        ("State", f"**{story.where}**: {cell(story.why, SHOWN)}"),
        ("Environment", cell(rollout.env)),
        ("Started", f"{words.moment(story.began)} by {cell(story.by)}"),
        ("Last entry", f"{words.moment(story.at)}, after {words.duration(lasted)}"),
    ]
    if story.speed != 1:
        said = f"ran {story.speed:g} times as fast as real time: this was a trial, not a soak"
        facts.append(("Clock", said))
    lead = f"\n\n{cell(story.doc, SHOWN)}" if story.doc else ""
    return f"# Rollout {cell(rollout.name)}{lead}\n\n{table(('', ''), facts)}"


def _held(story: Story) -> str:
    held = story.standing.held
    if held is None:
        return ""
    ident, env = story.rollout.id, story.rollout.env
    force = " --force" if held.verdict == "fail" else ""
    lines = [f"It is held ({held.verdict}): {cell(story.standing.why_held, SHOWN)}", ""]
    lines += [f"- Look at: {cell(one, SHOWN)}" for one in held.look]
    if story.standing.stepping_back is not None:  # nothing is to be approved before all is back
        typed = [*held.words, f"proctor rollout {story.rollout.name}"]
        lines += [f"- Type: `{pasteable(one, env)}`" for one in typed]
        return _part("A person must decide", "\n".join(lines))
    if story.standing.rejected is not None:
        ends = pasteable(f"proctor rollout {story.rollout.name}", env)
        return _part("A person must decide", "\n".join([*lines, f"- To end it: `{ends}`"]))
    approve = pasteable(f"proctor approve {ident}{force}", env)
    again = pasteable(f"proctor rollout {story.rollout.name}", env)
    reject = pasteable(f"proctor reject {ident}", env)
    lines += [
        f'- To go on: `{approve} --reason "…"`, then `{again}`',
        f'- To give it up: `{reject} --reason "…"`',
        f"- What would be approved: `{held.digest}`",
    ]
    return _part("A person must decide", "\n".join(lines))


def _stages(story: Story) -> str:
    rows = []
    for number, one in enumerate(story.stages, 1):
        took = words.duration(one.passed - one.entered) if one.passed and one.entered else ""
        said = one.why or (one.verdicts[-1][2] if one.verdicts else "")
        state = one.state + (f" (try {one.tries})" if one.tries > 1 else "")
        rows.append((str(number), cell(one.name), one.what, state, took, cell(said, SHOWN)))
    return table(("", "Stage", "Kind", "State", "Took", "Why"), rows)


def _runs(story: Story) -> str:
    rows = [
        (
            f"`{one.seen.run.id}`",
            cell(one.seen.run.backfill),
            one.seen.run.state.value,
            cell(words.buckets(one.seen.run.outcome), SHOWN),
            _paid(one),
            one.taken_back,
        )
        for one in story.runs
    ]
    return table(("Run", "Backfill", "State", "Rows", "Paid", "Taken back"), rows) if rows else ""


def _paid(told: RunTold) -> str:
    """What it asked of providers; of the money the words that the monitor says, too."""
    if told.seen.paid_unknown:
        return f"unknown: {cell(told.seen.paid_unknown, SHOWN)}"
    return "; ".join(
        f"{cell(one.name)}: {one.bill.calls:,} calls, {cost(one.bill.usd, one.bill.held_usd)}"
        for one in told.seen.paid
    )


def _metrics(metrics: Sequence[MetricTold]) -> str:
    rows = [
        (
            cell(one.stage),
            cell(one.name),
            ", ".join(f"{count:,} {phase}" for phase, count in one.looks.items()),
            cell(one.told, SHOWN),
        )
        for one in metrics
    ]
    return table(("Stage", "Metric", "Looks", "Last"), rows) if rows else ""


def _audits(audits: Sequence[LogEntry]) -> str:
    parts = []
    for entry in audits:
        data = entry.data
        head = (
            f"**{cell(data['backfill'])} at {cell(data['milestone'])}: {data['verdict']}.** "
            f"{data['rows']:,} of {data['population']:,} rows, drawn by the smallest SHA-256 of "
            f"RUN/MILESTONE/KEY (keys: `{data['drawn'][:12]}`). {cell(data['why'], SHOWN)}"
        )
        lines = [head, ""]
        lines += [
            f"- {cell(c['check'])} of {cell(c['of'])}"
            f"{' in ' + cell(c['where']) if c['where'] else ''}: {cell(c['told'], SHOWN)}"
            for c in data["claims"]
        ]
        if data["shown"]:
            rows = [
                (
                    cell(", ".join(map(str, one["key"]))),
                    cell("; ".join(f"{k}: {v}" for k, v in one["row"].items()), SHOWN),
                )
                for one in data["shown"]
            ]
            lines += ["", table(("Key", "Row"), rows)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _probes(story: Story) -> str:
    rows = [
        (cell(name), *(cell(log.answer(one), SHOWN) for one in (before, after)), cell(told, SHOWN))
        for name, before, after, told in story.probes
    ]
    return table(("Probe", "Before", "After", "Said"), rows) if rows else ""


def _flags(entries: Sequence[LogEntry]) -> str:
    rows = [
        (words.moment(one.at), cell(one.data["flag"]), cell(log.flag(one), SHOWN))
        for one in entries
    ]
    return table(("When", "Flag", "What"), rows) if rows else ""


def _words(entries: Sequence[LogEntry]) -> str:
    rows = []
    for entry in entries:
        data = entry.data
        said = data.get("reason") or data.get("why", "")
        about = data.get("digest", "")
        forced = " (forced)" if data.get("forced") else ""
        about = f"`{about[:12]}`" if about else ""
        what = log.kind(entry) + forced
        rows.append((words.moment(entry.at), cell(entry.who), what, cell(said, SHOWN), about))
    return table(("When", "Who", "What", "Reason", "Of"), rows) if rows else ""


def _back(entries: Sequence[LogEntry]) -> str:
    return "\n".join(f"- {words.moment(e.at)} {cell(log.back(e), SHOWN)}" for e in entries)


def _workers(entries: Sequence[LogEntry]) -> str:
    rows = [
        (words.moment(e.at), cell(e.data["backfill"]), cell(log.worker(e), SHOWN)) for e in entries
    ]
    return table(("When", "Backfill", "What"), rows) if rows else ""


def _timeline(entries: Sequence[LogEntry]) -> str:
    return "\n".join(f"- {words.moment(e.at)} `{e.kind}`{_brief(e)}" for e in entries)


def _brief(entry: LogEntry) -> str:
    told = log.brief(entry)
    return f": {cell(told, SHOWN)}" if told else ""


__all__ = ["NAMES", "dump", "keep", "render"]
