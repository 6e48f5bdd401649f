"""See that units hold: do some of them again, and compare the rows that they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proctor.authoring import Backfill
from proctor.core.same import same
from proctor.core.settle import settle
from proctor.engine.emitted import AT_ONCE, standing
from proctor.engine.guardrail import guarded
from proctor.engine.rehearse import answered
from proctor.engine.show import shown_key
from proctor.engine.site import Site
from proctor.model import Bucket, ChunkRecord, Emitted, Image, Issue, Key, Run, Spec


async def recompute_units(
    site: Site, run: Run, backfill: Backfill, spec: Spec, records: Sequence[ChunkRecord]
) -> tuple[int, tuple[Issue, ...]]:
    """Do the units of these chunks again, in a child that writes nothing, and compare their rows.

    With what each unit wrote, for another one of the run may have written to the same row since.
    """
    chunk = {(r.chunk.keys or (r.chunk.upto,))[0]: r for r in records}
    page = await site.store.read_keys(spec, list(chunk))
    _, params = backfill.bind({n: str(v) for n, v in spec.params if v is not None})
    sampler = await site.sampler(backfill)
    tried = await guarded(
        backfill, page, params=params, now=run.created, root=site.root, sampler=sampler
    )
    page, answers = answered(page, tried)  # an answer that is not kept is not paid for again
    settled = settle(page, answers, spec)
    rows = dict(zip(settled.index, settled.emitted, strict=True))
    found = []
    for i, key in enumerate(page.keys):
        wrote = await _wrote(site, spec, run, chunk[key], rows.get(i, ()))
        if wrong := _wrong(wrote, rows.get(i)):
            found.append(Issue(key=shown_key(key, spec), bucket=Bucket.CONFLICTED, reason=wrong))
    return len(page.keys), tuple(found)


async def _wrote(
    site: Site, spec: Spec, run: Run, record: ChunkRecord, rows: Sequence[Emitted]
) -> dict[Key, tuple[Image, ...]]:
    """What the rows held after the unit; as they stand where it had nothing to change."""
    there = await standing(site, spec, [key for key, _ in rows])
    kept = await site.store.journalled(run, record.chunk.number, record.undo_rows or AT_ONCE)
    after = {row.key: row.after for row in kept if row.after is not None}
    wrote = {}
    for asked, _ in rows:
        stored, image = there.get(asked, (asked, None))
        if (holds := after.get(stored, image)) is not None:
            wrote[asked] = holds
    return wrote


def _wrong(there: Mapping[Key, tuple[Image, ...]], rows: Sequence[Emitted] | None) -> str:
    if rows is None:
        return "the function now gives no rows for this unit"
    differs = [
        key for key, values in rows if key in there and not all(map(same, there[key], values))
    ]
    missing = [key for key, _ in rows if key not in there]
    told = [
        f"{len(keys)} of its {len(rows)} rows {what}"
        for keys, what in ((differs, "would be computed differently now"), (missing, "are new"))
        if keys
    ]
    return "; ".join(told)
