"""One run that asks: what `ctx.llm`, `ctx.embed` and `ctx.http` come down to."""

from __future__ import annotations

import asyncio
import contextlib
import json

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proctor.authoring import Unanswered
from proctor.engine.answers import Answers
from proctor.engine.embedding import embed
from proctor.engine.links import Links
from proctor.engine.questions import NoPart, Unpaid, chat_ask
from proctor.engine.rowcalls import Call
from proctor.engine.serving import ask_of, value_of
from proctor.engine.whose import CALLED
from proctor.errors import ProctorError
from proctor.model import Answer, Ask, Kind, Place, Reparse, Reply
from proctor.ports import TooLong

KEPT_ALONE = "with --reparse nobody is asked, and no answer to this question is kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """One run that asks; implements ports.Asking for its functions."""

    answers: Answers
    run: str = ""
    backfill: str = ""
    sensitive: bool = False
    """Its rows have sensitive fields: what is answered may repeat them."""
    stopped: Callable[[], int] = lambda: 0
    """1 where the run was told to stop: nothing new is asked. 2: nobody waits for replies."""
    paying: bool = True
    """Whether calls may be made; else only answers that are kept are given, or Unpaid raised."""
    heard: Callable[[Answer], None] = lambda _answer: None
    """Told of every answer, kept or new."""
    batching: bool = False
    """Whether its questions may wait in batch calls, where their provider has them."""
    anew: bool = False
    """Whether what another run got a reply of no use to is asked once more."""
    again: int = 0
    """How often what services wrote for this row was taken back: they are called anew then."""
    noted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What came of questions beside plain answers, by kind and provider."""

    links: Links | None = None
    """Ties answers to rows; None for whoever is no run."""

    @property
    def mode(self) -> Reparse:
        """Whether replies of earlier runs are read anew."""
        return Reparse.NO if self.links is None else self.links.mode

    @property
    def only_kept(self) -> bool:
        """See the port."""
        return self.mode is Reparse.ONLY

    @property
    def counts(self) -> bool:
        """Whether it is a run: of a look without money nothing is left behind."""
        return self.paying or self.only_kept

    def place(self, provider: str | None, contract: str, row: object = None) -> Place | None:
        """See the port."""
        called = CALLED.get(None)
        if self.links is None or called is None:
            return None
        label = f"{self.answers.desk(provider).name} {contract}"
        return called.place(label, row, whole=self.mode is not Reparse.NO)

    async def earlier(
        self, provider: str | None, body: Mapping[str, Any], place: Place | None
    ) -> Sequence[Reply]:
        """See the port."""
        if self.links is None or self.mode is Reparse.NO:
            return ()
        desk = self.answers.desk(provider)
        if await self.answers.looks.send(chat_ask(desk, body).key) is not None:
            return ()
        try:
            return await self.links.earlier(place, desk.name, desk.model)
        except Unanswered as none:
            if not self.only_kept:
                return ()
            raise Unanswered(f"{none}; a run without --reparse asks") from None

    async def chat(
        self, provider: str | None, body: Mapping[str, Any], place: Place | None = None
    ) -> Reply:
        """See the port."""
        return await self._chat(chat_ask(self.answers.desk(provider), body), place)

    async def another(
        self,
        provider: str | None,
        body: Mapping[str, Any],
        attempt: int,
        place: Place | None = None,
    ) -> Reply | None:
        """See the port."""
        desk = self.answers.desk(provider)
        before, ask = chat_ask(desk, body, attempt - 1), chat_ask(desk, body, attempt)
        last, kept = await asyncio.gather(*map(self.answers.looks.send, (before.key, ask.key)))
        anew = self.anew and self.paying and last is not None and last.run != self.run
        return await self._chat(ask, place) if kept is not None or anew else None

    async def _chat(self, ask: Ask, place: Place | None) -> Reply:
        while True:
            # It may be in flight with other rows, and get no answer of its own there.
            with contextlib.suppress(NoPart):
                (answer,) = await self._all([ask])
                self._tie(place, ask.provider, ask.key)
                return answer.reply

    async def _all(self, asks: Sequence[Ask]) -> list[Answer]:
        try:
            answers = await self.answers.ask_all(asks, self)
        except Unpaid:
            if not self.only_kept:
                raise
            raise Unanswered(KEPT_ALONE) from None
        for answer in answers:
            self.heard(answer)
        return answers

    def _tie(self, place: Place | None, provider: str, key: str) -> None:
        if self.links is not None:
            self.links.add(place, provider, key)

    async def chat_rows(
        self,
        provider: str | None,
        alone: Mapping[str, Any],
        sent: Sequence[Any],
        bodies: Sequence[Mapping[str, Any]],
        *,
        fits: Callable[[Reply], bool],
        places: Sequence[Place | None],
    ) -> Sequence[Reply | None]:
        """See the port. Where earlier replies are read, each row looks for its own by itself."""
        if self.only_kept:
            return [None] * len(bodies)
        desk = self.answers.desk(provider)
        asked = list(range(len(bodies)))
        if self.mode is Reparse.OR_ASK:
            found = [self.earlier(provider, bodies[i], places[i]) for i in asked]
            asked = [
                i for i, had in zip(asked, await asyncio.gather(*found), strict=True) if not had
            ]
        call = Call.of(desk, alone, [sent[i] for i in asked], [bodies[i] for i in asked], fits)
        replies: list[Reply | None] = [None] * len(bodies)
        for i, key, reply in zip(
            asked, call.order, await call.ask(self.answers, self), strict=True
        ):
            replies[i] = reply
            if reply is not None:
                self._tie(places[i], desk.name, key)
        return replies

    async def others(self, provider: str | None) -> Sequence[str]:
        """See the port."""
        return self.answers.desk(provider).fallback

    def note(self, what: str, provider: str | None) -> None:
        """See the port."""
        name = self.answers.desk(provider).name
        self.noted[what, name] += 1
        if what == "fallback":
            self.answers.notes.add(self.run, name, fallbacks=1)
        if what == "reparsed":
            self.answers.notes.add(self.run, name, kept=1)

    async def embed(
        self, provider: str | None, texts: Sequence[str], too_long: TooLong = "fail"
    ) -> list[list[float]]:
        """See the port."""
        desk = self.answers.desk(provider, Kind.EMBED)

        async def ask(texts: Sequence[str]) -> list[list[float]]:
            answers = await self._all([desk.vector_of(t) for t in texts])
            return [json.loads(a.reply.raw) for a in answers]

        return await embed(desk, texts, too_long, ask)

    def waits(self) -> str:
        """See the port."""
        waits = self.answers.waits.told(self.answers.clock.monotonic())
        batches = [one.batched.said() for one in self.answers.batchings.values() if one.busy]
        return waits or "; ".join(filter(None, batches))

    def in_batch(self) -> bool:
        """Whether somebody waits for answers out of a batch call."""
        return any(one.busy for one in self.answers.batchings.values())

    async def batch_open(self) -> bool:
        """Whether a vendor works on a batch call of this run, whichever process made it."""
        return bool(await self.answers.purse.batches(runs=[self.run]))

    def together(self) -> int:
        """Questions that may wait at once in a batch call, by whichever provider takes the most."""
        found = [0]
        for name in self.answers.desks:
            with contextlib.suppress(ProctorError):  # said where it is asked
                batch = self.answers.desks[name].batch
                found.append(batch.requests if batch is not None else 0)
        return max(found)

    async def http(self, provider: str | None, values: Mapping[str, Any]) -> Any:
        """See the port."""
        desk = self.answers.desk(provider, Kind.HTTP)
        (answer,) = await self._all([ask_of(desk, values, self.again)])
        return value_of(desk, answer.reply)
