"""The engine's part in the suite, cut to the bone: open, claim, read, answer, apply, follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from proctor.model import (
    Applied,
    Bucket,
    Holder,
    Issue,
    KeyPart,
    Lease,
    Outcome,
    Page,
    Row,
    Run,
    RunState,
    Settled,
    Source,
    Span,
    Spec,
)
from proctor.ports import Opening, Store, Terms
from proctor.testing.conformance.harness import Harness

LEASE = timedelta(minutes=5)
OVER = timedelta(seconds=-1)
"""A lease that has run out when it is granted: nobody has to wait."""
ALICE = Holder(host="alpha", pid=1, started="2026-01-01T00:00:00+00:00", user="alice")
BOB = Holder(host="beta", pid=2, started="2026-01-02T00:00:00+00:00", user="bob")
TERMS = Terms(code="code-1", lease_for=LEASE)
EVERYTHING = Span()
ITEMS = "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT, note TEXT)"

Answer = Callable[[Row], Any]
"""What to write for a row: a value, or a tuple where several fields are filled; None skips."""


def items_spec(**changes: Any) -> Spec:
    """Fill `items.normal` from `items.style`; any field may be given otherwise."""
    plain = Spec(
        backfill="normalise",
        version="1",
        kind=Source.TABLE,
        source="items",
        key=(KeyPart(column="id"),),
        fills=("normal",),
    )
    return replace(plain, **changes)


async def make_items(harness: Harness, ids: Sequence[int]) -> None:
    """The table `items`, a row for each id with a style and nothing else."""
    await harness.sql(ITEMS)
    await add_items(harness, ids)


async def add_items(harness: Harness, ids: Sequence[int]) -> None:
    """More rows of `items`."""
    if ids:
        rows = ", ".join(f"({i}, 'Style {i}')" for i in ids)
        await harness.sql(f"INSERT INTO items (id, style) VALUES {rows}")


def lower(row: Row) -> str:
    """The author's function of the suite."""
    return str(row["style"]).lower()


async def begin(
    store: Store,
    spec: Spec,
    *,
    run: str = "run-1",
    span: Span = EVERYTHING,
    holder: Holder = ALICE,
    lease_for: timedelta = LEASE,
    digest: str = '{"parts":{"code":"1"}}',
    **more: Any,
) -> Run:
    """Open a run with the bounds and counts of a survey, as the engine does."""
    survey = await store.survey(spec, span)
    opening = Opening(
        spec=spec,
        run=run,
        env="test",
        span=span,
        digest=digest,
        holder=holder,
        lease_for=lease_for,
        last=survey.last,
        expected=survey.eligible,
        **more,
    )
    return await store.open(opening)


async def claim(
    store: Store,
    run: Run,
    spec: Spec,
    *,
    worker: str = "worker-1",
    count: int = 1,
    rows: int = 10,
    lease_for: timedelta = LEASE,
) -> list[Lease]:
    """Claim with the suite's usual terms."""
    return await store.claim(run, spec, worker, count=count, rows=rows, lease_for=lease_for)


async def claim_one(store: Store, run: Run, spec: Spec, **terms: Any) -> Lease:
    """Claim one chunk, which must be there."""
    (lease,) = await claim(store, run, spec, **terms)
    return lease


def answered(page: Page, spec: Spec, answer: Answer = lower) -> Settled:
    """Settle a page as the engine would: values to write, skips counted and listed."""
    index: list[int] = []
    values: list[tuple[Any, ...]] = []
    issues: list[Issue] = []
    for i, row in enumerate(page.rows):
        value = answer(row)
        if value is None:
            issues.append(Issue(key=page.keys[i], bucket=Bucket.SKIPPED, reason="no need"))
            continue
        index.append(i)
        fields = value if isinstance(value, tuple) else (value,)
        values.append((*fields, spec.version) if spec.stamp else fields)
    outcome = Outcome().plus(Bucket.GONE, len(page.gone)).plus(Bucket.SKIPPED, len(issues))
    return Settled(page=page, index=index, values=values, outcome=outcome, issues=tuple(issues))


async def process(
    store: Store, spec: Spec, lease: Lease, answer: Answer = lower, terms: Terms = TERMS
) -> Applied:
    """Read, answer, prepare and apply one chunk."""
    page = await store.read(spec, lease)
    settled = await store.prepare(spec, answered(page, spec, answer))
    return await store.apply(spec, lease, settled, terms)


async def work(
    store: Store, run: Run, spec: Spec, answer: Answer = lower, *, rows: int = 10
) -> Outcome:
    """Claim and process until nothing is left; the run's books, which must balance."""
    while leases := await claim(store, run, spec, rows=rows):
        for lease in leases:
            following: Lease | None = lease
            while following is not None:
                following = (await process(store, spec, following, answer)).retry
    return await books(store, run)


async def books(store: Store, run: Run) -> Outcome:
    """The run's outcome as the target records it, checked to balance."""
    outcome = (await store.run(run.id)).outcome
    assert outcome.balances
    return outcome


async def finish(store: Store, run: Run) -> Run:
    """End a run well."""
    return await store.move(run.id, RunState.SUCCEEDED, among=[RunState.RUNNING])


async def roll_back(store: Store, run: Run) -> Run:
    """Let a finished run be undone."""
    among = [RunState.SUCCEEDED, RunState.CANCELLED, RunState.FAILED, RunState.PAUSED]
    return await store.move(run.id, RunState.ROLLING_BACK, among=among)


async def filled(store: Store, spec: Spec, answer: Answer = lower, **opening: Any) -> Run:
    """Begin a run, work it to its end and finish it."""
    run = await begin(store, spec, **opening)
    await work(store, run, spec, answer)
    return await finish(store, run)


async def every_script(store: Store, run: Run) -> str:
    """The whole script that undoes a run."""
    numbers: Sequence[int] = [c.chunk.number for c in await store.chunks(run.id)]
    return "".join([part async for part in store.undo_script(run, numbers)])
