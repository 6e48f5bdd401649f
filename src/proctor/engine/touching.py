"""Rows that a called service writes: looked at before and after its call, and taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from proctor.engine.kit import Kit
from proctor.engine.paid import as_asker
from proctor.engine.stopping import AskedToStop
from proctor.errors import ProctorError
from proctor.model import Lease, Page
from proctor.ports import Asking

T = TypeVar("T")


async def imaged(
    kit: Kit, lease: Lease, page: Page, answer: Callable[[Asking | None], Awaitable[T]]
) -> T:
    """Have a page answered, between two looks at the rows that its services write.

    The first look is durable before anybody is called. Whatever the function comes to, the rows
    are looked at again: a call that failed may have written, too.
    """
    if not kit.spec.touches or not page.keys:
        return await answer(kit.asking)
    again = await kit.store.note_before(kit.spec, lease, page)
    asking = kit.asking
    if again and (asker := as_asker(asking)) is not None:
        asking = replace(asker, again=again)
    try:
        answers = await answer(asking)
    except (ProctorError, AskedToStop):
        await kit.store.note_after(kit.spec, lease, page)
        raise
    await kit.store.note_after(kit.spec, lease, page)
    return answers
