"""Questions of several rows in one call: each row's answer is found, paid and kept by itself."""

from __future__ import annotations

import asyncio

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any, Final

from proctor.authoring import Unanswered
from proctor.authoring.rows import Fits, parts, together
from proctor.engine.desk import Desk
from proctor.engine.elsewhere import Theirs, Tries
from proctor.engine.questions import NoPart, Split, Unpaid, chat_ask
from proctor.engine.stopping import AskedToStop, heard
from proctor.engine.ways import pay
from proctor.model import Answer, Ask, Finish, Hints, Reply, Usage, canonical

if TYPE_CHECKING:
    from proctor.engine.answers import Answers
    from proctor.engine.asker import Asker

AROUND: Final = 16
"""Tokens that an index and its brackets take in a reply, at most."""
CENT_PARTS: Final = Decimal("1e-12")
"""What shares of a price are cut to; the last has the rest, so that they add up exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Rows that go in one call: what is sent of each, and the question of each alone."""

    desk: Desk
    alone: Mapping[str, Any]
    """What their questions share."""
    order: Sequence[str]
    """The key of each row's own question; rows that ask the same have the same."""
    sent: Mapping[str, Any]
    asks: Mapping[str, Ask]
    fits: Fits

    @classmethod
    def of(
        cls,
        desk: Desk,
        alone: Mapping[str, Any],
        sent: Sequence[Any],
        bodies: Sequence[Mapping[str, Any]],
        fits: Fits,
    ) -> Call:
        """See `Asking.chat_rows`."""
        asks = [chat_ask(desk, body) for body in bodies]
        order = [ask.key for ask in asks]
        return cls(
            desk=desk,
            alone=alone,
            order=order,
            sent=dict(zip(order, sent, strict=True)),
            asks=dict(zip(order, asks, strict=True)),
            fits=fits,
        )

    async def ask(self, answers: Answers, who: Asker) -> list[Reply | None]:
        """A reply for each row, in order; None where it must be asked alone."""
        found = await ask_rows(answers, who, self)
        for answer in found.values():
            if answer is not None:
                who.heard(answer)
        return [None if (got := found[key]) is None else got.reply for key in self.order]

    def whole(self, keys: Sequence[str]) -> Ask:
        """The one question for these rows; its cap is that of all of them."""
        body = together(self.alone, [self.sent[key] for key in keys])
        cap = sum((self.asks[key].most_output or 0) + AROUND for key in keys)
        return chat_ask(self.desk, {**body, "max_tokens": cap})

    def split(self, whole: Answer, keys: Sequence[str]) -> dict[str, Answer]:
        """The rows' own answers in a reply, by key: each with its share of what it took."""
        found = {keys[i]: text for i, text in parts(whole.reply).items() if 0 <= i < len(keys)}
        made = {key: _part(whole.reply, text) for key, text in found.items()}
        made = {key: reply for key, reply in made.items() if self.fits(reply)}
        weights = [len(self.asks[key].sent) + len(reply.raw) for key, reply in made.items()]
        told = whole.reply.usage
        inputs = _shares(told.input_tokens, weights)
        outputs = _shares(told.output_tokens, weights)
        cached = _shares(told.cached_tokens, weights)
        costs = _money(whole.cost, weights)
        return {
            key: replace(
                whole,
                key=key,
                cost=costs[i],
                reply=replace(
                    reply,
                    usage=Usage(
                        input_tokens=inputs[i], output_tokens=outputs[i], cached_tokens=cached[i]
                    ),
                ),
            )
            for i, (key, reply) in enumerate(made.items())
        }

    def kept(self, whole: Answer, keys: Sequence[str]) -> list[Answer]:
        """What is kept of a reply: its parts, and itself where a row has none.

        So the same rows are not asked together again in vain. What it cost is counted once.
        """
        split = self.split(whole, keys)
        if len(split) == len(keys):
            return list(split.values())
        rest = replace(whole.reply, usage=Usage()) if split else whole.reply
        cost = Decimal(0) if split else whole.cost
        return [*split.values(), replace(whole, reply=rest, cost=cost)]


async def ask_rows(answers: Answers, who: Asker, call: Call) -> dict[str, Answer | None]:
    """The answers to the rows' questions by key, durable; None where a row must be asked alone.

    One call asks for what is not kept, and is not in flight already, in whatever call.
    """
    fresh = [key for key in call.asks if key not in answers.flying]
    loop = asyncio.get_running_loop()
    answers.flying |= {key: loop.create_future() for key in fresh}
    flights = [answers.flying[key] for key in call.asks]
    if fresh:
        task = loop.create_task(_fly(answers, who, call, fresh))
        answers.tasks.add(task)
        task.add_done_callback(answers.tasks.discard)
    landed = await asyncio.gather(*map(asyncio.shield, flights), return_exceptions=True)
    found: dict[str, Answer | None] = {}
    for key, one in zip(call.asks, landed, strict=True):
        if isinstance(one, BaseException) and not isinstance(one, NoPart | Unanswered):
            if answers.of_another(one, who):
                return await ask_rows(answers, who, call)
            raise heard(one)
        found[key] = None if isinstance(one, BaseException) else one
    return found


async def _fly(answers: Answers, who: Asker, call: Call, fresh: Sequence[str]) -> None:
    """Find each row's answer, or ask for all that are missing; every flight ends here."""
    missing, tries = list(fresh), Tries()
    try:
        while missing:
            await _find(answers, who, call, missing)
            try:
                split = await _paid(answers, who, call, missing, tries) if missing else {}
            except Theirs as theirs:
                # Somebody else asks for some of these rows at this moment: what comes is kept.
                await answers.wait(theirs.word.seconds, who)
                continue
            for key in list(missing):
                missing.remove(key)
                got = split.get(key)
                answers.land([call.asks[key]], NoPart() if got is None else [got])
    except BaseException as error:
        answers.land([call.asks[key] for key in missing], error)
        if not isinstance(error, Exception | AskedToStop):
            raise


async def _find(answers: Answers, who: Asker, call: Call, missing: list[str]) -> None:
    """End the flights of rows whose answers are kept; only the others are left in the list."""
    found = await asyncio.gather(*map(answers.looks.send, missing))
    for key, kept in zip(list(missing), found, strict=True):
        if kept is not None:
            missing.remove(key)
            answers.land([call.asks[key]], [kept])
            answers.note_kept([call.asks[key]], who, 1)


async def _paid(
    answers: Answers, who: Asker, call: Call, missing: Sequence[str], tries: Tries
) -> Mapping[str, Answer]:
    if len(missing) == 1:
        return {}  # alone it is asked in its own words
    whole = call.whole(missing)
    kept = await answers.looks.send(whole.key)
    if kept is None and not who.paying:
        raise Unpaid
    if kept is None:
        split = Split(keys=tuple(missing), kept=lambda answer: call.kept(answer, missing))
        try:
            (kept,) = await pay(answers, [whole], who, tries, split)
        except Unanswered:
            return {}  # together they are too much: that says nothing of any of them
    return call.split(kept, missing)


def _part(whole: Reply, text: str) -> Reply:
    raw = canonical({"text": text})
    return replace(whole, raw=raw, finish=Finish.STOP, hints=Hints())


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """A whole number shared out by weight: cut where the running sums fall, so they add up."""
    done, given, shares = 0, 0, []
    for weight in weights:
        done += weight
        upto = total * done // max(sum(weights), 1)
        shares.append(upto - given)
        given = upto
    return shares


def _money(total: Decimal, weights: Sequence[int]) -> list[Decimal]:
    """The same of money."""
    done, given, shares = 0, Decimal(0), []
    for i, weight in enumerate(weights):
        done += weight
        upto = (total * done / max(sum(weights), 1)).quantize(CENT_PARTS, ROUND_DOWN)
        upto = total if i == len(weights) - 1 else upto
        shares.append(upto - given)
        given = upto
    return shares


__all__ = ["Call", "ask_rows"]
