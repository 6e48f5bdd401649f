"""Vectors of texts: what is too long by the author's policy, and nothing that is no vector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

from proctor.authoring import Unanswered
from proctor.core.lengths import fits, pieces, seems
from proctor.core.vectors import fault, mean
from proctor.engine.events import Events
from proctor.ports import TooLong

if TYPE_CHECKING:
    from proctor.engine.desk import Desk

SHORTENED: ContextVar[Counter[tuple[str, str]]] = ContextVar("SHORTENED")
"""Where a page's texts that were too long are counted, by provider and policy."""

Vectors = list[list[float]]


def counting() -> Counter[tuple[str, str]]:
    """Count from now on, in this task and those that it begins, what is too long."""
    counted: Counter[tuple[str, str]] = Counter()
    SHORTENED.set(counted)
    return counted


def note_shortened(events: Events, run: str, chunk: int, counted: Counter[tuple[str, str]]) -> None:
    """Put on record how many texts of a chunk that was written were too long."""
    for (provider, how), texts in counted.items():
        events.emit("text.shortened", run, chunk=chunk, provider=provider, how=how, texts=texts)


async def embed(
    desk: Desk,
    texts: Sequence[str],
    too_long: TooLong,
    ask: Callable[[Sequence[str]], Awaitable[Vectors]],
) -> Vectors:
    """One vector for each text, in their order; Unanswered where one of them can have none."""
    parts = [_parts(desk, text, too_long) for text in texts]
    flat = [piece for own in parts for piece in own]
    # What is computed here is neither held nor kept: it costs time, and less than keeping it.
    told = await (ask(flat) if desk.here is None else desk.here.send(flat))
    at, vectors = 0, []
    for number, own in enumerate(parts, start=1):
        mine = told[at : at + len(own)]
        at += len(own)
        for vector in mine:
            _check(desk, vector, number, len(texts))
        if len(mine) > 1:
            middle = mean(mine, [len(piece.encode()) for piece in own])
            _check(desk, middle, number, len(texts))
            mine = [middle]
        vectors += mine
    return vectors


def _parts(desk: Desk, text: str, too_long: TooLong) -> list[str]:
    """What of a text is sent."""
    if not text:
        raise Unanswered("an empty text has no vector: return Skip(why) for its row")
    most = desk.most_input
    if most is None:
        return [text]
    if too_long == "fail":
        tokens = seems(text)
        if tokens > most:
            raise Unanswered(
                f"the text is too long to embed: about {tokens:,} tokens, and {desk.model} takes "
                f'{most:,}: ctx.embed(…, too_long="cut" or "average"), or [providers.{desk.name}] '
                "max_input, if it takes more"
            )
        return [text]
    if fits(text, most):
        return [text]
    counted = SHORTENED.get(None)
    if counted is not None:
        counted[desk.name, too_long] += 1
    found = pieces(text, most)
    return found[:1] if too_long == "cut" else found


def _check(desk: Desk, vector: Sequence[float], number: int, of: int) -> None:
    wrong = fault(vector, desk.dimensions)
    if wrong:
        which = f" of text {number:,} of {of:,}" if of > 1 else ""
        raise Unanswered(f"the vector{which} from provider {desk.name} is none: {wrong}")


__all__ = ["counting", "embed", "note_shortened"]
