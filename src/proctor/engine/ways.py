"""Which way a question goes: into a batch call where it may wait, or by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proctor.engine.batching import AskDirectly, Batching
from proctor.engine.desk import Desk
from proctor.engine.elsewhere import Theirs, Tries
from proctor.engine.questions import Split
from proctor.errors import OutOfQuota
from proctor.model import Answer, Ask, Kind

if TYPE_CHECKING:
    from proctor.engine.answers import Answers
    from proctor.engine.asker import Asker


async def pay(
    answers: Answers, asks: Sequence[Ask], who: Asker, tries: Tries, split: Split | None = None
) -> list[Answer]:
    """Ask for questions that go in one call: in a batch call where they may wait, else directly."""
    desk = answers.desks[asks[0].provider]
    if who.batching and desk.batch is not None and asks[0].kind is Kind.CHAT:
        try:
            return [await batching(answers, desk).ask(asks[0], who, split)]
        except AskDirectly:
            pass
    while True:
        try:
            return await answers.pay(asks, who, tries, split)
        except Theirs as theirs:
            if theirs.word.batched:
                await batching(answers, desk).batched.glance()
            raise
        except OutOfQuota as error:
            if error.until is not None or not await batching(answers, desk).batched.frees_money():
                raise
            # A batch call holds what is left of the budget, and gives most of it back.
            await answers.wait(desk.batch_terms.poll_s, who)


def batching(answers: Answers, desk: Desk) -> Batching:
    """The one of a provider in this process."""
    if desk.name not in answers.batchings:
        answers.batchings[desk.name] = Batching(answers, desk)
    return answers.batchings[desk.name]


__all__ = ["batching", "pay"]
