"""Rows that a called service writes: not with progress away from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from proctor.errors import TargetError
from proctor.model import Key, Lease, Page, Run, Spec, TouchedUnit, Untouched
from proctor.ports import UndoTerms


def refused(backfill: str) -> TargetError:
    """Before- and after-images of such rows need a table beside them."""
    return TargetError(
        f"{backfill} has touches=: the images of those rows are kept beside them, or a restore "
        "would take one back and not the other",
        found='progress = "ledger", with which no table of Proctor\'s is made there',
        fix="let Proctor keep its tables beside the data, or drop touches= and undo what the "
        "service writes by a means of its own",
    )


class NoTouching:
    """What a store answers of such rows that has no place to keep their images."""

    async def note_before(self, spec: Spec, _lease: Lease, _page: Page, /) -> int:
        """See the port: never, for `inspect` refuses the backfill."""
        raise refused(spec.backfill)

    async def note_after(self, spec: Spec, _lease: Lease, _page: Page, /) -> int:
        """As above."""
        raise refused(spec.backfill)

    async def touched(self, _run: str, /) -> list[TouchedUnit]:
        """See the port: none."""
        return []

    async def untouch(self, run: Run, _unit: Key, _terms: UndoTerms, /) -> Untouched:
        """As above."""
        raise refused(run.backfill)

    async def forget_touched(
        self,
        _run: str,
        /,
        *,
        units: Sequence[Key] = (),  # noqa: ARG002 - the port's names
        table: str | None = None,  # noqa: ARG002
        keys: Sequence[tuple[str, ...]] = (),  # noqa: ARG002
    ) -> int:
        """See the port: there are none."""
        return 0

    async def untouch_script(self, _run: Run, /) -> AsyncIterator[str]:
        """See the port: nothing."""
        lines: tuple[str, ...] = ()
        for line in lines:
            yield line
