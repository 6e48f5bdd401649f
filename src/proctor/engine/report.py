"""The report of a run: one value, from the target and the ledger, that every format renders."""

from __future__ import annotations

import contextlib

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from proctor.core.budget import is_spent
from proctor.core.same import text_of
from proctor.engine import noted
from proctor.engine.accounts import Books, planned
from proctor.engine.columns import named_in_sql, on_record
from proctor.engine.groups import grouped
from proctor.engine.hints import pasteable, with_params
from proctor.engine.judging import noted as checked
from proctor.engine.part import missed
from proctor.engine.show import (
    images,
    in_key_order,
    inputs,
    plural,
    rates,
    shown_key,
    shown_run,
    shown_undone,
)
from proctor.engine.site import Site
from proctor.engine.snapshot import Preview, Report
from proctor.engine.touched import leftovers
from proctor.engine.undo import IN_PART, NOT_ALL, forgotten
from proctor.engine.units import units_seen
from proctor.engine.worked import worked
from proctor.errors import ProctorError, TooSlow
from proctor.model import (
    Bucket,
    ChunkRecord,
    Event,
    Issue,
    Journalled,
    Row,
    Run,
    RunState,
    Span,
    Spec,
    Undone,
)

SHOWN_ISSUES = 200
SHOWN_SAMPLE = 10
OPERATOR = ("run.", "rollback.", "images.", "script.", "plan.")


async def make_report(site: Site, run: Run) -> Report:
    """Everything known of a run, from the target first: it needs no ledger to be true."""
    store = site.store
    spec = await store.spec_of(run.id)
    chunks = await store.chunks(run.id)
    issues = in_key_order(await store.issues(run.id), spec)
    told = await site.events.ledger.events(run=run.id)
    now = site.clock.now()
    elapsed = worked(run, now, told, [c.applied for c in chunks if c.applied is not None])
    ended = run.outcome
    good = ended.written + ended.unchanged
    books = Books(site=site, run=run.id)
    await books.look()
    seconds = elapsed.total_seconds()
    return Report(
        run=shown_run(run, spec),
        made=now,
        expected=run.expected,
        elapsed=elapsed,
        success_rate=good / ended.read if ended.read else None,
        rows_per_second=ended.read / seconds if seconds > 0 and ended.read else None,
        chunks=tuple(_chunk(c, spec) for c in chunks),
        issues=tuple(replace(i, key=shown_key(i.key, spec)) for i in issues[:SHOWN_ISSUES]),
        issues_total=len(issues),
        issues_by_reason=_by_reason(issues),
        rates=tuple(rates(chunks)),
        throttle=_throttled(told),
        sample=await _sample(site, spec, run, chunks, told),
        actions=tuple(_action(e) for e in told if e.name.startswith(OPERATOR)),
        next_steps=tuple(pasteable(s, site.env) for s in await _next_steps(site, spec, run)),
        warnings=(
            *(*_warnings(run, chunks, told), *_not_watched(told)),
            *(*checked(told), *_shortened(told)),
        ),
        rollback=await _rollback(site, spec, run, chunks),
        missed=await missed(site, spec, run, issues),
        paid=books.accounts,
        paid_unknown=books.unknown,
        planned=await planned(site, run, told) if books.accounts else None,
        units=await units_seen(site, run, spec),
        touched=await leftovers(store, run, spec.touches),
        noted=noted.noted(told),
    )


def _chunk(record: ChunkRecord, spec: Spec) -> ChunkRecord:
    """A chunk whose bounds may be seen."""
    after, upto = record.chunk.after, shown_key(record.chunk.upto, spec)
    after = after if after is None else shown_key(after, spec)
    return replace(record, chunk=replace(record.chunk, after=after, upto=upto, keys=None))


def _by_reason(issues: Sequence[Issue]) -> dict[str, int]:
    return {
        f"{group.bucket.value}: {group.what}" if group.what else group.bucket.value: group.count
        for group in grouped(issues)[:50]
    }


def _throttled(told: Sequence[Event]) -> tuple[tuple[datetime, str], ...]:
    return tuple((e.at, str(e.data.get("why", ""))) for e in told if e.name == "run.throttled")


def _not_watched(told: Sequence[Event]) -> list[str]:
    """Signals that the run went on without, each once however many processes missed it."""
    missed = {e.data.get("signal"): e.data.get("why") for e in told if e.name == "signal.missed"}
    return [f"the throttle signal {name} was not watched: {why}" for name, why in missed.items()]


def _shortened(told: Sequence[Event]) -> list[str]:
    """Texts that were too long to be embedded, by what was done about them."""
    counts: Counter[tuple[str, str]] = Counter()
    for event in told:
        if event.name == "text.shortened":
            counts[str(event.data["provider"]), str(event.data["how"])] += int(event.data["texts"])
    words = {"cut": "only the beginning of each", "average": "the mean of the pieces of each"}
    return [
        f"{plural(texts, 'text')} too long for provider {provider}: {words[how]} was embedded"
        for (provider, how), texts in sorted(counts.items())
    ]


def _action(event: Event) -> tuple[datetime, str, str, str]:
    shown = ", ".join(f"{k}={text_of(v)}" for k, v in event.data.items() if v not in (None, "", []))
    return (event.at, event.who, event.name, shown)


async def _rollback(
    site: Site, spec: Spec, run: Run, chunks: Sequence[ChunkRecord]
) -> Undone | None:
    """What undoing the run has come to, in whole and in parts, and the rows that it left alone."""
    if not any(c.taken_back.written for c in chunks):
        return None
    books = sum((c.taken_back for c in chunks), forgotten(chunks))
    alone = await site.store.left_alone(run.id) if books.written > books.restored else {}
    left = [issue for issues in alone.values() for issue in issues][:SHOWN_ISSUES]
    return shown_undone(replace(books, left=tuple(left)), spec)


async def _sample(
    site: Site, spec: Spec, run: Run, chunks: Sequence[ChunkRecord], told: Sequence[Event]
) -> tuple[Preview, ...]:
    """A few rows that the run wrote, from its undo journal: what they held before and after.

    From its first chunk, one in the middle and its last: no more journals than these are read.
    Of what they were made from only the columns that are known to have been used.
    """
    kept = {c.chunk.number: c.outcome.written for c in chunks if c.has_undo and c.outcome.written}
    every = list(kept)
    few = sorted(
        {every[i] for i in (0, len(every) // 2, -1)} if every else (), key=kept.__getitem__
    )
    found: dict[int, list[Journalled]] = {}
    for n, number in enumerate(few):
        # The smallest first: what it cannot give, the others do.
        share = (SHOWN_SAMPLE - sum(map(len, found.values()))) // (len(few) - n)
        found[number] = await site.store.journalled(run, number, share)
    rows = [row for number in sorted(found) for row in found[number]]
    if not rows:
        return ()
    if spec.emits:
        return tuple(_preview(row, {}, spec.written, frozenset()) for row in rows)
    page = await site.store.read_keys(spec, [row.key for row in rows])
    made_from = dict(zip(page.keys, page.rows, strict=True))
    names = {name for source in page.rows for name in source}
    columns = named_in_sql(spec, names) if spec.sql else on_record(told)
    return tuple(_preview(row, made_from.get(row.key, {}), spec, columns) for row in rows)


def _preview(row: Journalled, made_from: Row, spec: Spec, columns: frozenset[str]) -> Preview:
    note = "" if row.before else "inserted by the run"
    if row.after is None:
        note = "changed since; only a digest of what was written is kept"
    return Preview(
        key=shown_key(row.key, spec),
        bucket="written",
        before=images(row.before, spec),
        after=images(row.after, spec),
        inputs=inputs(made_from, spec, columns),
        reason=note,
    )


async def _next_steps(site: Site, spec: Spec, run: Run) -> tuple[str, ...]:
    """What to do next, measured at this moment rather than remembered."""
    if run.state is not RunState.SUCCEEDED:
        return _unfinished(run)
    survey = await site.store.survey(spec, Span())
    steps = []
    left = {r: n for r, n in (run.still_eligible or {}).items() if n and r != "arrived"}
    known = sum(left.values())
    if survey.estimated:
        steps.append(
            "the rows that are still eligible cannot be counted within statement_timeout_s: the "
            f"server guesses about {survey.eligible:,}"
        )
    elif survey.eligible > known and run.reason.startswith(IN_PART):
        steps.append(
            f"{survey.eligible - known:,} eligible rows were rolled back, or never read by this run"
        )
    elif survey.eligible > known and not run.span.whole:
        steps.append(
            f"{survey.eligible - known:,} eligible rows were not read by this run, which covered "
            f"a part of them: fill the others with `proctor run {run.backfill}"
            f"{with_params(run.params)}`"
        )
    elif survey.eligible > known:
        steps.append(
            f"{survey.eligible - known:,} eligible rows were never read by this run: see that "
            "the application writes these fields, or run it again"
        )
    if emptied := left.pop(Bucket.WRITTEN.value, 0):
        steps.append(
            f"{plural(emptied, 'row')} that this run wrote are eligible again: somebody has "
            f"emptied them since, which `proctor verify {run.id}` lists, or missing= is true of "
            "what was written"
            if spec.missing
            else f"{plural(emptied, 'row')} that this run wrote lack the fill again: somebody has "
            f"emptied them since; `proctor verify {run.id}` lists them"
        )
    if left:
        steps.append(_left(run, spec, left))
    if not survey.eligible and not survey.estimated:
        steps += await _constrain(site, spec)
    if run.outcome.failed:
        steps.append(
            f"{plural(run.outcome.failed, 'row')} failed: `proctor failures {run.id}`, mend the "
            f"cause, `proctor failures {run.id} --retry`"
        )
    steps.append(f"see that it holds: `proctor verify {run.id}`")
    return tuple(steps)


def _left(run: Run, spec: Spec, left: Mapping[str, int]) -> str:
    """What was read and is still to be done, by what became of it."""
    told, count = ", ".join(f"{n:,} {reason}" for reason, n in left.items()), sum(left.values())
    if spec.attempts:
        return (
            f"{plural(count, 'unit')} still to be done ({told}): the next run tries again; "
            f"`proctor failures {run.id}` lists them"
        )
    return (
        f"{plural(count, 'row')} without the fill ({told}): `proctor failures "
        f"{run.id}` lists them, and `missing=` or `where=` can leave them out for good"
    )


async def _constrain(site: Site, spec: Spec) -> list[str]:
    """The safe way to make the fields mandatory, where the store has one and nothing forbids it."""
    columns = [f for f in spec.fills if "." not in f]
    if spec.emits:  # of its rows nothing need be filled
        return ["no unit is left to be done"]
    try:
        lacking = await site.store.lacking(spec) if _leaves_rows_out(spec) else ()
    except TooSlow:
        unseen = "whether the fields are null in others cannot be seen within statement_timeout_s"
        return [f"no eligible row is left; {unseen}: look before they are made mandatory"]
    steps = []
    if lacking:
        are = "is" if len(lacking) == 1 else "are"
        steps.append(
            f"no eligible row is left, but {', '.join(lacking)} {are} null in rows that this "
            f"backfill leaves out: they stand in the way of making {', '.join(lacking)} mandatory"
        )
    table, free = "", [c for c in columns if c not in lacking]
    if site.dialect == "postgres":
        with contextlib.suppress(ProctorError):  # the table is another than it was
            shape = await site.store.inspect(spec)
            table = shape.target_sql
            free = [c.name for c in shape.target_columns if c.nullable and c.name in free]
    if table and free:
        return [*steps, _constraint(table, spec.target, free)]
    may = free or not (columns or _leaves_rows_out(spec))
    mandatory = ": the fields may be made mandatory" if may else ""
    return steps or [f"no eligible row is left{mandatory}"]


def _leaves_rows_out(spec: Spec) -> bool:
    """Whether a row of the target may want a value and yet not be eligible."""
    return bool(spec.where or spec.missing or spec.into)


def _constraint(table: str, named: str, columns: Sequence[str]) -> str:
    """Four statements that never scan the table under a lock that stops writers."""
    own = named.rpartition(".")[2]
    name = _quoted(f"{own}_{columns[0] if len(columns) == 1 else 'fills'}_present")
    fields = [_quoted(column) for column in columns]
    alter = f"ALTER TABLE {table}"
    filled = " AND ".join(f"{field} IS NOT NULL" for field in fields)
    mandatory = ", ".join(f"ALTER COLUMN {field} SET NOT NULL" for field in fields)
    return "; ".join(
        (
            f"{alter} ADD CONSTRAINT {name} CHECK ({filled}) NOT VALID",
            f"{alter} VALIDATE CONSTRAINT {name}",
            f"{alter} {mandatory}",
            f"{alter} DROP CONSTRAINT {name};",
        )
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _unfinished(run: Run) -> tuple[str, ...]:
    match run.state:
        case RunState.PAUSED | RunState.FAILED:
            back = f"`proctor {'rollback' if run.outcome.written else 'cancel'} {run.id}`"
            return (
                *_going_on(run),
                f"or {'take it back' if run.outcome.written else 'give it up'}: {back}",
            )
        case RunState.CANCELLED if run.outcome.written:
            return (f"undo what it wrote: `proctor rollback {run.id}`",)
        case RunState.ROLLED_BACK:
            if run.reason.startswith(NOT_ALL):
                return ("see to the rows that the rollback left alone: it lists them",)
            return ("nothing: what it wrote is undone",)
        case _:
            return ()


def _going_on(run: Run) -> tuple[str, ...]:
    if "--accept-changes providers" in run.reason:  # the reason says which limit is to be raised
        return (f"once that is raised: `proctor resume {run.id} --accept-changes providers`",)
    if not is_spent(run.reason):
        said = f"mend the cause ({run.reason}), then " if run.outcome.failed else ""
        return (f"{said}go on with `proctor resume {run.id}`",)
    # The same code would fail again at once.
    seen = f"`proctor failures {run.id}` lists the rows that failed: " if run.outcome.failed else ""
    return (
        f"{seen}mend the function and try it with `proctor dry-run {run.backfill}`",
        f"go on with the mended function: `proctor resume {run.id} --accept-changes code`",
        "or, where so many may fail, raise `budget=` in the backfill and say the same",
    )


def _warnings(run: Run, chunks: Sequence[ChunkRecord], told: Sequence[Event]) -> tuple[str, ...]:
    drifts = (e.data.get("drift") for e in told if e.name == "run.opened")
    found = [
        f"whether there were as many rows as in the plan was {drift}" for drift in drifts if drift
    ]
    if not run.outcome.balances:
        found.append(f"the books do not balance: {run.outcome.as_dict()}")
    codes = {c.code for c in chunks if c.code}
    if len(codes) > 1:
        found.append(f"{len(codes)} versions of the code wrote rows: changes were accepted")
    if pruned := forgotten(chunks).written:
        found.append(
            f"{plural(pruned, 'row')} can no longer be undone or verified: their images were pruned"
        )
    if run.outcome.conflicted:
        found.append(
            f"{plural(run.outcome.conflicted, 'row')} kept changing while they were computed"
        )
    return tuple(found)
