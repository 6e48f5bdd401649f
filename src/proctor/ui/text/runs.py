"""Runs in words: a list, one run, its failures, its verification, its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from proctor.engine.hints import pasteable
from proctor.engine.snapshot import Report, Rollback, Snapshot, Verification
from proctor.model import Bucket, Run, RunState, Tuning
from proctor.ui import bills, units, words
from proctor.ui.live import STATE_COLOURS
from proctor.ui.text import paid
from proctor.ui.text.blocks import Fitting, facts, heading, listing, table

SILENT: Final = timedelta(seconds=5)
"""A heartbeat comes every second: after so long something may be wrong."""
FAILURES: Final = 3
"""Kinds of failures that the end of a run shows."""
LISTED: Final = 20
"""Runs that a list shows; `--json` has all of them."""


def state(run: Run) -> Text:
    """The state in its colour; a run that nobody holds any more is interrupted."""
    if run.interrupted:
        return Text("interrupted", style="red")
    return Text(run.state.value, style=STATE_COLOURS.get(run.state, ""))


def runs(seen: Sequence[Snapshot]) -> list[RenderableType]:
    """Newest first."""
    if not seen:
        return [Text("no run is on record in this environment")]
    rows = (
        (
            Text(s.run.id, style="bold"),
            s.run.backfill,
            state(s.run),
            words.count(s.run.outcome.read),
            words.count(s.run.expected, estimated=s.run.estimated),
            words.buckets(s.run.outcome),
            words.moment(s.run.started or s.run.created),
            words.duration(s.elapsed),
        )
        for s in seen[:LISTED]
    )
    heads = ("run", "backfill", "state", "read", "of", "buckets", "started", "took")
    wide = table(heads, rows, right="read,of")
    drawn: list[RenderableType] = [Fitting(wide, [_narrow(s) for s in seen[:LISTED]])]
    told = [f"  {s.run.id}: {said}" for s in seen[:LISTED] if (said := silence(s))]
    told += [
        f"  {s.run.id}: it waits: {words.visible(s.throttle_reason)}"
        for s in seen[:LISTED]
        if s.throttle_reason
    ]
    told += [
        f"  {s.run.id}: it waits for {words.visible(said)}"
        for s in seen[:LISTED]
        for said in s.paid_waits
    ]
    told += [f"  {s.run.id}: {said}" for s in seen[:LISTED] if (said := _stopped(s.run))]
    drawn += [Text(line, style="yellow") for line in told]
    if len(seen) > LISTED:
        drawn.append(Text(f"  and {len(seen) - LISTED:,} older ones; --json has all", style="dim"))
    return drawn


def _stopped(run: Run) -> str:
    """Why a run is paused, and what it lacks though every row is read."""
    why = words.visible(run.reason) if run.state is RunState.PAUSED else ""
    return "; ".join(said for said in (why, words.unended(run)) if said)


def _narrow(seen: Snapshot) -> RenderableType:
    """A run of the list on lines of its own, for a terminal without room for the columns."""
    run = seen.run
    read = words.among(run.outcome.read, run.expected, estimated=run.estimated)
    began = words.moment(run.started or run.created)
    rest = Text(
        f"read {read}; {words.buckets(run.outcome)}\n"
        f"started {began}, took {words.duration(seen.elapsed)}"
    )
    head = Text.assemble(("  ", ""), (run.id, "bold"), "  ", state(run), f"  {run.backfill}")
    return Group(head, Padding(rest, (0, 0, 0, 6)))


def one(seen: Snapshot) -> list[RenderableType]:
    """Everything known of one run."""
    run = seen.run
    return [
        Text.assemble((f"Run {run.id}  ", "bold"), state(run)),
        facts(
            (
                ("backfill", f"{run.backfill} {run.version} in {run.env}"),
                ("fills", words.filled(run.fills, run.target)),
                ("touched", units.touched(seen.touched)),
                ("covers", words.span(run.span)),
                ("because", words.visible(run.reason)),
                ("rows read", _of(run) + _unended(run)),
                ("buckets", words.buckets(run.outcome)),
                ("still eligible", words.visible(words.still_eligible(run))),
                ("units", units.states(seen.units)),
                ("they counted", units.totals(seen.units)),
                ("undone", _undone(seen)),
                ("parameters", words.visible(run.params if run.params not in ("", "{}") else "")),
                ("knobs", knobs(run.tuning)),
                ("started", words.moment(run.started or run.created)),
                ("ended", words.moment(run.ended) if run.ended else ""),
                ("took", words.worked(seen.elapsed, run, seen.at)),
                ("held by", words.visible(str(run.holder)) if run.holder else "nobody"),
                ("heartbeat", _heartbeat(seen)),
                ("waits", words.visible(seen.throttle_reason)),
                ("waits for", words.visible("; ".join(seen.paid_waits))),
                ("attention", silence(seen)),
            )
        ),
        *paid.accounts(seen.paid, seen.paid_unknown, run.outcome.written),
    ]


def _undone(seen: Snapshot) -> str:
    """How much is taken back of a run whose state does not say so: in part, or by a script."""
    if not seen.chunks_undone or seen.run.state is RunState.ROLLED_BACK:
        return ""
    return f"{seen.chunks_undone:,} of {words.plural(seen.chunks_applied, 'chunk')}"


def _heartbeat(seen: Snapshot) -> str:
    if seen.run.heartbeat is None:
        return ""
    ago = f", {words.duration(seen.silent_for)} ago" if seen.silent_for is not None else ""
    return words.moment(seen.run.heartbeat) + ago


def silence(seen: Snapshot) -> str:
    """Words for an active run of which nothing is heard; empty where all is well."""
    run, silent = seen.run, seen.silent_for
    if silent is None or not (run.interrupted or silent >= SILENT):
        return ""
    takes_over = "rollback" if run.state is RunState.ROLLING_BACK else "resume"
    command = pasteable(f"`proctor {takes_over} {run.id}` takes over", run.env)
    if run.interrupted:
        return f"no process works on it, no heartbeat for {words.duration(silent)}: {command}"
    left = seen.lease_left
    when = f" after {words.duration(left)}" if left is not None and left > timedelta(0) else ""
    return f"no heartbeat for {words.duration(silent)}: its process may be dead; {command}{when}"


def knobs(tuning: Tuning) -> str:
    """What an operator set; empty when Proctor decides everything."""
    said = [
        f"{name}={value}"
        for name, value in (
            ("chunk_rows", tuning.chunk_rows),
            ("workers", tuning.workers),
            ("pause", words.duration(tuning.pause) if tuning.pause is not None else None),
            ("rows_per_second", tuning.rows_per_second),
        )
        if value is not None
    ]
    return ", ".join(said)


def ended(
    report: Report, files: Mapping[str, Path], *, why: str = "", code: int = 1
) -> list[RenderableType]:
    """How a run ended in this process, where its reports are, what to do next.

    `why` says what the exit code is about.
    """
    run = report.run
    worked = words.worked(report.elapsed, run, report.made)
    nothing = report.expected == 0 and not run.estimated and not run.outcome.written
    return [
        Text.assemble((f"Run {run.id}  ", "bold"), state(run)),
        facts(
            (
                ("because", words.visible(run.reason)),
                ("nothing to do", "no row was eligible; nothing was written" if nothing else ""),
                ("rows read", f"{_of(run)} in {worked}{_unended(run)}"),
                ("buckets", words.buckets(run.outcome)),
                ("failed", words.visible(_failures(report))),
                ("paid", bills.all_in_one(report.paid, report.paid_unknown, run.outcome.written)),
                ("foreseen", bills.foreseen(report.planned, report.paid, run.outcome.written)),
                ("keys missed", words.missed(report.missed)),
                ("still eligible", words.visible(words.still_eligible(run))),
                ("units", units.states(report.units)),
                ("they counted", units.totals(report.units)),
                ("touched", units.touched(report.touched)),
                (f"exit code {code}", words.visible(why)),
                ("report", words.place(files["html"]) if "html" in files else ""),
                ("statistics", words.place(files["json"]) if "json" in files else ""),
            )
        ),
        *_next(report.next_steps),
    ]


def _failures(report: Report) -> str:
    """The commonest failures, in the words that they share, with a key to look at where one is."""
    failed = f"{Bucket.FAILED.value}: "
    counts = [
        (name.removeprefix(failed), count)
        for name, count in report.issues_by_reason.items()
        if name.startswith(failed)
    ]
    said = [f"{count:,} times {reason}" for reason, count in counts[:FAILURES]]
    if rest := sum(count for _, count in counts[FAILURES:]):
        said.append(f"{rest:,} for other reasons")
    first = next((i for i in report.issues if i.bucket is Bucket.FAILED), None)
    such = f" (such as key {words.key(first.key)}: {first.reason})" if first is not None else ""
    return "; ".join(said) + such


def _blocked(done: Rollback) -> str:
    """Why rows could not be restored, by who is to blame."""
    refused = done.undone.blocked - done.pruned
    parts = [f"{refused:,} refused by the server"] if refused else []
    parts += [f"{done.pruned:,} whose undo data was pruned"] if done.pruned else []
    return ", ".join(parts)


def _undone_before(done: Rollback) -> str:
    """Rows of chunks that were undone without Proctor, which then knows no more of them."""
    rows = done.run.outcome.written - done.undone.written
    if not done.terms.whole or done.interrupted or rows <= 0:
        return ""
    return f"{words.plural(rows, 'row')} by a script of SQL, which listed what it left alone"


def _keys_missed(done: Rollback) -> str:
    """Keys that were given for nothing: a slip of the hand would else look like success."""
    if not done.keys_missed:
        return ""
    given = words.plural(len(done.terms.span.keys), "key")
    return (
        f"{done.keys_missed:,} of {given} given: this run did not write them, or they were undone "
        "or pruned before"
    )


def verification(seen: Verification) -> list[RenderableType]:
    """The verdict first, then what it rests on."""
    style = {"pass": "bold green", "fail": "bold red"}.get(seen.verdict, "bold yellow")
    drawn: list[RenderableType] = [
        Text.assemble((seen.verdict, style), f"  {words.visible(seen.reason)}"),
        facts(
            (
                ("written", words.count(seen.held.written)),
                ("hold", words.count(seen.held.restored)),
                ("changed since", words.count(seen.held.changed)),
                ("gone", words.count(seen.held.gone)),
                ("recomputed", words.count(seen.recomputed)),
                ("different", words.count(len(seen.different))),
                *_touched_held(seen),
            )
        ),
    ]
    listed = [*seen.held.left, *seen.different]
    if listed:
        rows = ((words.key(i.key), words.visible(i.reason)) for i in listed[:LISTED])
        drawn.append(table(("key", "what differs"), rows))
    if len(listed) > LISTED:
        drawn.append(Text(f"  and {len(listed) - LISTED:,} more; --json has all", style="dim"))
    return drawn


def _touched_held(seen: Verification) -> Iterator[tuple[str, str]]:
    """Rows of called services, where there are any."""
    if seen.touched is not None:
        yield "touched rows", words.count(seen.touched.written)
        yield "as left", words.count(seen.touched.restored)
        yield "not as left", words.count(seen.touched.changed)


def rollback(done: Rollback) -> list[RenderableType]:
    """The books of an undo, and the rows that were left alone."""
    undone = done.undone
    # A part is looked for in every chunk of the run: how many these are says nothing of it.
    chunks = f" in {words.plural(done.chunks, 'chunk')}" if done.terms.whole else ""
    would = "would be " if done.dry_run else ""
    title = "Dry run of the rollback" if done.dry_run else "Rolled back"
    if done.interrupted:
        title = f"Stopped before its end, the same command goes on: {title.lower()}"
    drawn: list[RenderableType] = [
        heading(
            f"{title}: run {done.run.id}",
            "nothing was written" if done.dry_run else f"in {words.duration(done.elapsed)}",
        ),
        facts(
            (
                *(_restored(done, would, chunks) if done.run.fills else ()),
                ("blocked", _blocked(done)),
                ("keys missed", _keys_missed(done)),
                ("undone before", _undone_before(done)),
                *_touched(done, would),
            )
        ),
    ]
    if done.untouched.left:
        some = done.untouched.left[:LISTED]
        listed = ((x.table, ",".join(map(str, x.key)) or words.key(x.unit), x.reason) for x in some)
        lines = (tuple(map(words.visible, line)) for line in listed)
        drawn.append(table(("touched table", "key", "left alone because"), lines))
    if undone.left:
        rows = ((words.key(i.key), words.visible(i.reason)) for i in undone.left[:LISTED])
        drawn.append(table(("key", "left alone because"), rows))
    if len(undone.left) > LISTED:
        drawn.append(Text(f"  and {len(undone.left) - LISTED:,} more; --json has all", style="dim"))
    return drawn


def _restored(done: Rollback, would: str, chunks: str) -> Iterator[tuple[str, str]]:
    """What became of the fields that the run wrote."""
    undone = done.undone
    yield "written", words.count(undone.written) + chunks
    yield f"{would}restored", words.count(undone.restored)
    yield "left alone", f"{undone.changed:,} changed by somebody else since"
    yield "gone", words.count(undone.gone)


def _touched(done: Rollback, would: str) -> Iterator[tuple[str, str]]:
    """What became of the rows that called services wrote, or what becomes of them by which word."""
    if not done.touched.names:
        return
    if not done.terms.touched:
        left = units.touched(done.touched)
        if done.touched.standing:
            left += f" left as they are: undone by `proctor rollback {done.run.id} --touched`"
        yield "touched", left
        return
    yield f"{would}undone", "; ".join(f"{t.table}: {t.told}" for t in done.untouched.tables)
    yield "as before", words.count(done.untouched.back) if done.untouched.back else ""
    yield "left alone", words.plural(len(done.untouched.left), "touched row")


def moved(run: Run, hint: str) -> list[RenderableType]:
    """A run after an operator's word."""
    return [
        Text.assemble((f"Run {run.id}  ", "bold"), state(run)),
        facts(
            (("rows read", _of(run) + _unended(run)), ("knobs", knobs(run.tuning)), ("next", hint))
        ),
    ]


def hint_after(run: Run) -> str:
    """What an operator usually does next."""
    match run.state:
        case RunState.PAUSING | RunState.CANCELLING:
            return f"it settles the chunks in hand; proctor watch {run.id}"
        case RunState.PAUSED:
            return f"proctor resume {run.id}"
        case RunState.CANCELLED:
            return f"proctor rollback {run.id} --dry-run"
        case _:
            return ""


def _of(run: Run) -> str:
    return words.among(run.outcome.read, run.expected, estimated=run.estimated)


def _unended(run: Run) -> str:
    unended = words.unended(run)
    return f", {unended}" if unended else ""


def _next(steps: Sequence[str]) -> list[RenderableType]:
    return [heading("Next"), listing(words.visible(s) for s in steps)] if steps else []
