"""See that a run holds: compare every row it wrote, and compute a sample of them again."""

from __future__ import annotations

import random

from collections.abc import Mapping, Sequence
from typing import Any

from proctor.authoring import Backfill
from proctor.core.answer import Failure
from proctor.core.same import same
from proctor.core.settle import settle
from proctor.engine.guardrail import guarded
from proctor.engine.judging import reviewed
from proctor.engine.rehearse import answered
from proctor.engine.reworked import recompute_units
from proctor.engine.show import plural, shown_key, shown_run, shown_undone
from proctor.engine.site import Site
from proctor.engine.snapshot import Verification
from proctor.engine.touched import leftovers, still_held
from proctor.engine.undo import forgotten, undoable, verify_written
from proctor.errors import ConfigError, UsageError
from proctor.model import Bucket, ChunkRecord, Issue, Key, Page, Run, Spec, TouchedBooks, Undone

NONE = Undone()
NONE_AGAIN = "none was computed again"
NO_TOUCHED = TouchedBooks()
NOTHING = "the function now gives no value for this row"


async def verify(
    site: Site, run: Run, backfill: Backfill | None, *, sample: int = 100, seed: int | None = None
) -> Verification:
    """Compare images row by row; then compute `sample` rows again and compare values.

    Without the backfill's code, or for `sql=`, only the first half is done and said so.
    """
    held = await verify_written(site.store, run)
    spec = await site.store.spec_of(run.id)
    different: tuple[Issue, ...] = ()
    recomputed, why = 0, ""
    if backfill is not None and backfill.function is not None and sample:
        try:
            if spec.emits:
                units = await _units(site, run, sample, seed)
                recomputed, different = await recompute_units(site, run, backfill, spec, units)
            else:
                keys = await _sample(site, run, sample, seed)
                recomputed, different = await _recompute(site, run, backfill, spec, keys)
        except (ConfigError, UsageError) as error:
            # What was compared is worth knowing though the code cannot be called as it is now.
            why = f"{error.what} ({error.found})"
    chunks = await site.store.chunks(run.id)
    touched = await still_held(site.store, run, spec.touches)
    left = await leftovers(site.store, run, spec.touches)
    verdict, reason = judge(
        held,
        recomputed,
        len(different),
        unseen=unseen(chunks, left, touched),
        touched=touched,
        uncomputed=why,
    )
    site.events.emit("run.verified", run.id, verdict=verdict, why=reason)
    return Verification(
        run=shown_run(run, spec),
        held=shown_undone(held, spec),
        recomputed=recomputed,
        different=different,
        verdict=verdict,
        reason=reason,
        touched=touched if spec.touches else None,
    )


def unseen(
    chunks: Sequence[ChunkRecord], left: TouchedBooks = NO_TOUCHED, touched: Undone = NONE
) -> str:
    """Words about rows that cannot be looked at; empty if there are none."""
    pruned = forgotten(chunks).written + left.rows - touched.written
    parts = taken_back(chunks)
    if left.undone:
        parts.append(f"{plural(left.undone, 'row')} of called services were taken back")
    if left.unseen:
        calls = "call" if left.unseen == 1 else "calls"
        parts.append(f"{left.unseen:,} {calls} of which nobody knows what they wrote")
    if pruned:
        parts.append(f"{plural(pruned, 'row')} not looked at: images were pruned")
    return "; ".join(parts)


def taken_back(chunks: Sequence[ChunkRecord]) -> list[str]:
    """How the rows of a rollback ended; what it left alone is still looked at until all is done."""
    books = Undone()
    by_script = 0
    for chunk in chunks:
        restored = chunk.taken_back.restored
        if chunk.undone and not chunk.taken_back.written:
            by_script += chunk.outcome.written - chunk.forgotten
        elif chunk.undone:
            books += chunk.taken_back
        else:
            books += Undone(written=restored, restored=restored)
    left = {
        "changed since and left alone": books.changed,
        "gone": books.gone,
        "refused by the server": books.blocked,
    }
    parts = [f"{number:,} {what}" for what, number in left.items() if number]
    words = ", ".join((f"{books.restored:,} rows were rolled back", *parts))
    said = [words] if books.written else []
    if by_script:
        said.append(f"the chunks of {plural(by_script, 'row')} were undone by a script of SQL")
    return said


def judge(
    held: Undone,
    recomputed: int,
    different: int,
    *,
    unseen: str = "",
    touched: Undone = NONE,
    uncomputed: str = "",
) -> tuple[str, str]:
    """No data never passes: neither a run that wrote nothing nor rows that were not looked at."""
    if not held.written and not touched.written:
        return "inconclusive", unseen or "the run wrote no row that could be looked at"
    said = []
    if held.written:
        said.append(f"{held.restored:,} of {held.written:,} rows hold what was written")
        same = f"{recomputed - different:,} of {recomputed:,} recomputed rows are the same"
        none = f"none could be computed again: {uncomputed}" if uncomputed else NONE_AGAIN
        said.append(same if recomputed else none)
    if touched.written:
        rows = plural(touched.written, "row")
        said.append(f"{touched.restored:,} of {rows} of called services are as those left them")
    said += [unseen] if unseen else []
    bad = held.changed + held.blocked + held.gone + different + touched.changed
    vague = uncomputed or any(word in unseen for word in ("pruned", "nobody knows"))
    return ("fail" if bad else "inconclusive" if vague else "pass"), "; ".join(said)


async def _units(site: Site, run: Run, count: int, seed: int | None) -> list[ChunkRecord]:
    """Chunks of units drawn at random: each holds one."""
    pick = random.Random(seed)  # noqa: S311 - a sample, not a secret
    records = [c for c in await site.store.chunks(run.id) if undoable(c)]
    return pick.sample(records, min(count, len(records)))


async def _sample(site: Site, run: Run, count: int, seed: int | None) -> list[Key]:
    """Keys drawn at random over everything that the run wrote."""
    pick = random.Random(seed)  # noqa: S311 - a sample, not a secret
    keys: list[Key] = []
    records = [c for c in await site.store.chunks(run.id) if undoable(c)]
    pick.shuffle(records)
    for record in records[: max(10, count // 10)]:
        keys += await site.store.written_keys(run, record.chunk.number)
    return pick.sample(keys, min(count, len(keys)))


async def _recompute(
    site: Site, run: Run, backfill: Backfill, spec: Spec, keys: list[Key]
) -> tuple[int, tuple[Issue, ...]]:
    page = await site.store.read_keys(spec, keys)
    _, params = backfill.bind({n: str(v) for n, v in spec.params if v is not None})
    sampler = await site.sampler(backfill)
    tried = await guarded(
        backfill, page, params=params, now=run.created, root=site.root, sampler=sampler
    )
    page, answers = answered(page, tried)  # an answer that is not kept is not paid for again
    seen = await reviewed(backfill, page, answers, spec, site.detect)
    settled = settle(page, seen.answers, spec)
    values = dict(zip(settled.index, settled.values, strict=True))
    found = []
    for i, key in enumerate(page.keys):
        wrong = _wrong(page, i, values.get(i), spec, quoted=site.dialect == "sqlite")
        if wrong == NOTHING and isinstance(said := seen.answers[i], Failure) and said.by_check:
            wrong = f"now rejected by {said.reason}"
        if wrong:
            found.append(Issue(key=shown_key(key, spec), bucket=Bucket.CONFLICTED, reason=wrong))
    return len(page.keys), tuple(found)


def _wrong(page: Page, i: int, values: tuple[Any, ...] | None, spec: Spec, *, quoted: bool) -> str:
    if values is None:
        return NOTHING
    row = page.rows[i]
    names = [
        name
        for name, value in zip(spec.writes, values, strict=True)
        if not same(stored(row, name, page, i, spec, quoted=quoted), value)
    ]
    return f"{', '.join(names)} would be computed differently now" if names else ""


def stored(
    row: Mapping[str, Any], name: str, page: Page, i: int, spec: Spec, *, quoted: bool = False
) -> Any:
    """A written field as it stands: its Python value where it was read, else its image.

    quoted: the images of this store put quotes around text that looks like a number.
    """
    head, _, path = name.partition(".")
    if spec.into is None and head in row:
        value = row[head]
        for part in path.split(".") if path else ():
            value = value.get(part) if isinstance(value, Mapping) else None
        return value
    images = page.images[i]
    image = images[spec.writes.index(name)] if images is not None else None
    if quoted and isinstance(image, str) and image[:1] == "'":
        return image[1:-1]
    return image if isinstance(image, str) else None
