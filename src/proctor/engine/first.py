"""The first page of a run, a plan or a dry run: judged whole, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

from proctor.core.answer import Answered
from proctor.core.settle import settle
from proctor.model import Page, Settled, Spec
from proctor.ports import Store


async def settle_first(
    store: Store, page: Page, answers: Sequence[Answered], spec: Spec
) -> Settled:
    """Decide a page with what its store could not even send counted among the failed rows.

    Raises AnswerError where that shows that the function is wrong: the same rule wherever rows
    are looked at first.
    """
    unfit = await store.unfit(spec, settle(page, answers, spec))
    return settle(page, answers, spec, strict=True, unfit=unfit)


__all__ = ["settle_first"]
