"""One chunk, from its rows to its settled outcome: read this to know the life of a row."""

from __future__ import annotations

import asyncio
import contextlib

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from proctor.core.answer import Answered
from proctor.core.budget import Verdict, Word, judge_errors
from proctor.core.settle import settle
from proctor.engine.compute import Records, compute
from proctor.engine.embedding import counting, note_shortened
from proctor.engine.first import settle_first
from proctor.engine.judging import note, reviewed
from proctor.engine.kit import Kit
from proctor.engine.pacing import Shut
from proctor.engine.paid import tie
from proctor.engine.quota import spent
from proctor.engine.show import shown_key
from proctor.engine.stopping import AskedToStop, listening
from proctor.engine.touching import imaged
from proctor.engine.turns import Turn
from proctor.errors import AnswerError, OutOfQuota
from proctor.model import Applied, Bucket, Issue, Key, Lease, Outcome, Page, Settled, Spec, UnitNote
from proctor.model.keytext import key_text
from proctor.ports import Asking

WRONG = Verdict(Word.PAUSE, "the function gave wrong answers for the first page")
SHUT = Verdict(Word.PAUSE, "told to stop while nothing may be written")


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """How a chunk ended here: applied, or held back by a verdict."""

    applied: Applied | None
    verdict: Verdict
    page: Page | None = None


async def process(lease: Lease, kit: Kit, turn: Turn) -> Processed:
    """Read, compute, settle, judge and apply one chunk; no transaction is open while computing.

    The lane's turn at the target ends with the read, and is still held after the write.
    """
    if not await kit.pacing.wait():
        return Processed(applied=None, verdict=SHUT)
    if kit.spec.sql:
        return await _inside(lease, kit, turn)
    with contextlib.ExitStack() as held:
        place = Turn(kit.computing)
        held.callback(place.give)
        if kit.store.reads_beside:
            # It reads a row at a time, and would wait for Python's lock at each.
            turn.give()
            await place.take()
            page = await kit.store.read(kit.spec, lease)
        else:
            await turn.take()
            page = await kit.store.read(kit.spec, lease, answered=turn.give)
            await place.take()
        shortened = counting()
        records: Records = {}
        started = kit.clock.now()
        try:
            begun = None if kit.first else place.give
            answers = await imaged(
                kit, lease, page, lambda asking: _answers(page, kit, records, begun, asking)
            )
        # What was answered is kept: the chunk is done anew, and asks only for the rest.
        except (OutOfQuota, AskedToStop) as why:
            if isinstance(why, OutOfQuota):
                spent(kit, why)
            pause = Verdict(Word.PAUSE, str(why))
            return Processed(applied=None, verdict=pause, page=page)
        seen = await reviewed(kit.backfill, page, answers, kit.spec, kit.detect)
        settled = await _settled(page, seen.answers, kit)
        if kit.spec.attempts:
            settled = replace(settled, notes=_notes(page, started, records, kit))
        # What is to be written counts as written, or a few bad rows would be all that were read.
        verdict = judge(kit, settled.outcome.plus(Bucket.WRITTEN, len(settled.index)))
        if not verdict.go:
            told = explained(verdict, settled.issues, kit.spec)
            return Processed(applied=None, verdict=told, page=page)
        settled = await kit.store.prepare(kit.spec, settled)
    await turn.take()
    if not await kit.pacing.before_write() or kit.wrong:
        return Processed(applied=None, verdict=WRONG if kit.wrong else SHUT, page=page)
    applied = await kit.store.apply(kit.spec, lease, settled, kit.terms)
    note(kit.events, kit.run.id, lease.chunk.number, seen)
    note_shortened(kit.events, kit.run.id, lease.chunk.number, shortened)
    _let_go_later(answers, seen, settled)
    verdict = explained(judge(kit, applied.outcome), applied.issues, kit.spec)
    return Processed(applied=applied, verdict=verdict, page=page)


async def _answers(
    page: Page,
    kit: Kit,
    records: Records,
    begun: Callable[[], None] | None,
    asking: Asking | None,
) -> list[Answered]:
    """What the author's function says of each row; `begun` is called when all are begun."""
    stops = listening()
    answers = await compute(
        kit.backfill,
        kit.noting(page),
        params=kit.params,
        now=kit.run.created,
        redact=kit.redact,
        asking=asking,
        seats=kit.seats,
        begun=begun,
        records=records,
    )
    if stops:
        raise stops[0]  # whatever the function made of it
    await tie(kit)
    return answers


def _notes(page: Page, started: datetime, records: Records, kit: Kit) -> dict[Key, UnitNote]:
    """What the attempts at a page's units have to say, without the secrets of a configuration."""
    notes = {}
    for key in page.keys:
        said = records.get(key, {})
        metrics = {n: kit.redact(v) if isinstance(v, str) else v for n, v in said.items()}
        notes[key] = UnitNote(started=started, metrics=metrics)
    return notes


def _let_go_later(*rows: object) -> None:
    """Free a chunk's rows once the lane waits again: by then the target has its next question."""
    asyncio.get_running_loop().call_soon(_let_go, *rows)


def _let_go(*_: object) -> None:
    """What held them is gone when this returns."""


async def _settled(page: Page, answers: list[Answered], kit: Kit) -> Settled:
    """Decide a page; of the run's very first a wrong function is found out before any write."""
    first = kit.first and kit.seen.read == 0
    try:
        if first:
            settled = await settle_first(kit.store, page, answers, kit.spec)
        else:
            settled = settle(page, answers, kit.spec)
    except AnswerError:
        kit.wrong = True
        raise
    kit.settled_first(page)
    return settled


async def _inside(lease: Lease, kit: Kit, turn: Turn) -> Processed:
    """The same for `sql=`: the database reads, computes and writes in one transaction."""

    async def permit() -> None:
        await turn.take()
        if not await kit.pacing.before_write():
            raise Shut

    try:
        applied = await kit.store.apply_sql(kit.spec, lease, kit.terms, permit=permit)
    except Shut:
        return Processed(applied=None, verdict=SHUT)
    verdict = explained(judge(kit, applied.outcome), applied.issues, kit.spec)
    return Processed(applied=applied, verdict=verdict)


def explained(verdict: Verdict, issues: Sequence[Issue], spec: Spec) -> Verdict:
    """A verdict against a chunk with its commonest failures, each with a key to look at.

    The rows of a chunk that is handed back stand in no list: it is computed anew after the mending.
    """
    failed = [i for i in issues if i.bucket is Bucket.FAILED]
    if verdict.go or not failed:
        return verdict
    told = [verdict.reason]
    common = Counter(i.reason for i in failed).most_common(3)
    for reason, count in common:
        key = shown_key(next(i.key for i in failed if i.reason == reason), spec)
        told.append(f"{count:,} times {reason} (such as key {key_text(key)})")
    if rest := len(failed) - sum(count for _, count in common):
        told.append(f"{rest:,} for other reasons")
    return Verdict(verdict.word, "; ".join(told))


def judge(kit: Kit, outcome: Outcome) -> Verdict:
    """The error budget's word on a chunk's books, together with the run's so far."""
    budget, so_far = kit.backfill.budget, kit.seen.since(kit.forgiven)
    return judge_errors(outcome, so_far, share=budget.share, count=budget.count, after=budget.after)
