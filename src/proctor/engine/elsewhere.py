"""Questions that somebody else asks at this moment: answers are waited for, not paid again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from proctor.engine.stopping import AskedToStop
from proctor.model import Answer, Ask, Elsewhere


class Theirs(Exception):
    """Some of the questions of a call are in flight for somebody else, or were until now."""

    def __init__(self, word: Elsewhere) -> None:
        """Take the purse's word on which."""
        super().__init__(word.reason)
        self.word = word


@dataclass(slots=True)
class Tries:
    """The calls of one question that broke here, also before somebody else asked it."""

    broken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewheres:
    """How one process goes on when it may not ask, because somebody else does."""

    pay: Callable[[Sequence[Ask]], Awaitable[list[Answer]]]
    """Asks in one call; raises Theirs."""
    wait: Callable[[float], Awaitable[None]]
    unanswered: Callable[[Sequence[Ask]], Awaitable[list[Ask]]]
    """Looks for answers and ends their flights; the questions that have none."""
    landed: Callable[[Sequence[Ask], Sequence[Answer] | BaseException], None]
    """Ends flights."""

    async def settle(self, asks: Sequence[Ask]) -> None:
        """End the flights of questions that would go in one call, each with an answer or an error.

        Whoever asks them elsewhere may die, or be refused: then they are asked here after all.
        """
        while asks:
            try:
                self.landed(asks, await self.pay(asks))
            except Theirs as theirs:
                word = theirs.word
            except BaseException as error:  # noqa: BLE001 - it is raised where each is awaited
                self._failed(asks, error)
                return
            else:
                return
            asks = await self._heed(asks, word)

    async def _heed(self, asks: Sequence[Ask], word: Elsewhere) -> list[Ask]:
        """Ask what nobody else asks, and look what became of the others; those without answer."""
        mine = [ask for ask in asks if ask.key not in word.keys]
        theirs = [ask for ask in asks if ask.key in word.keys]
        try:
            if mine:
                await self.settle(mine)
            else:
                await self.wait(word.seconds)
            return await self.unanswered(theirs)
        except BaseException as error:  # noqa: BLE001 - it is raised where each is awaited
            self._failed(theirs, error)
            return []

    def _failed(self, asks: Sequence[Ask], error: BaseException) -> None:
        self.landed(asks, error)
        if not isinstance(error, Exception | AskedToStop):
            raise error


__all__ = ["Elsewheres", "Theirs", "Tries"]
