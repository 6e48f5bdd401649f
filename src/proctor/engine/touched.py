"""What called services wrote: as reports show it, and as a rollback leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from proctor.engine.show import MASK, is_hidden, shown_key
from proctor.errors import UsageError
from proctor.model import Run, Spec, Touch, TouchedBooks, Undone, Untouched, touched_books
from proctor.ports import Store, UndoTerms


async def leftovers(store: Store, run: Run, touches: Sequence[Touch]) -> TouchedBooks:
    """What called services wrote in a run, by what the target remembers."""
    if not touches:
        return TouchedBooks()
    return touched_books(await store.touched(run.id), touches)


async def still_held(store: Store, run: Run, touches: Sequence[Touch]) -> Undone:
    """Whether the rows of called services still are as they were seen after the call.

    Rows whose images were pruned, and those of a call of unknown end, are not looked at.
    """
    books = Undone()
    for unit in await store.touched(run.id) if touches else ():
        if unit.undone or unit.seen is None:
            continue
        found = await store.untouch(run, unit.unit, UndoTerms(touched=True, dry_run=True))
        known = [row for row in found.left if row.key]
        holds = found.rows + sum(row.holds for row in known)
        changed = found.back + sum(not row.holds for row in known)
        books += Undone(written=holds + changed, restored=holds, changed=changed)
    return books


def shown_untouched(found: Untouched, spec: Spec) -> Untouched:
    """What was left alone, as a person may see it: without the parts of keys that are sensitive."""
    hidden = set(spec.sensitive)
    keys = {touch.table: touch.key for touch in spec.touches}
    left = (
        replace(
            row,
            unit=shown_key(row.unit, spec),
            key=tuple(
                MASK if part is not None and is_hidden(name, hidden) else part
                for name, part in zip(keys.get(row.table, ()), row.key, strict=False)
            ),
        )
        for row in found.left
    )
    return replace(found, left=tuple(left))


def refuse_nothing(run: Run, spec: Spec, terms: UndoTerms) -> None:
    """A rollback that leaves alone all that there is would look as if it had undone something."""
    if not spec.touches and terms.touched:
        raise UsageError(
            f"{run.backfill} declares no rows that a called service writes",
            found="--touched",
            fix="leave it out",
        )
    if spec.only_touches and not (terms.touched or terms.dry_run):
        raise UsageError(
            f"run {run.id} wrote nothing itself: its rows are those of the service that it called",
            found="no --touched, and others may have written to those rows while it worked",
            fix=f"look at them with `proctor rollback {run.id} --touched --dry-run`, then undo "
            f"them with `proctor rollback {run.id} --touched`",
        )


def may_touch(spec: Spec) -> list[str]:
    """What a plan says of rows that a called service writes."""
    if not spec.touches:
        return []
    where = "; ".join(f"{touch.table} where {touch.where}" for touch in spec.touches)
    said = (
        f"the called service may write to {where}. These rows are looked at before and after each "
        "call. Nobody can tell what others write to them meanwhile, so a rollback leaves them "
        "alone unless it is told --touched"
    )
    return [said]


def refuse_sample(spec: Spec) -> None:
    """A sample belongs to no run: what it wrote would be in no undo journal."""
    if spec.touches:
        raise UsageError(
            f"the service that {spec.backfill} calls writes rows, and a sample is no run that "
            "could be taken back",
            found="--paid-sample with touches=",
            fix="make a small run of it: `proctor run … --limit 2`, which `proctor rollback RUN "
            "--touched` takes back",
        )
