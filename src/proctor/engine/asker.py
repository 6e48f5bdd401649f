"""One run that asks: what `ctx.llm`, `ctx.embed` and `ctx.http` come down to."""

from __future__ import annotations

import asyncio
import contextlib
import json

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proctor.engine.answers import Answers
from proctor.engine.embedding import embed
from proctor.engine.questions import NoPart, chat_ask
from proctor.engine.rowcalls import Call
from proctor.engine.serving import ask_of, value_of
from proctor.model import Answer, Ask, Kind, Reply
from proctor.ports import TooLong


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
    anew: bool = False
    """Whether what another run got a reply of no use to is asked once more."""
    noted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What came of questions beside plain answers, by kind and provider."""

    async def chat(self, provider: str | None, body: Mapping[str, Any]) -> Reply:
        """See the port."""
        return await self._chat(chat_ask(self.answers.desk(provider), body))

    async def another(
        self, provider: str | None, body: Mapping[str, Any], attempt: int
    ) -> Reply | None:
        """See the port."""
        desk = self.answers.desk(provider)
        before, ask = chat_ask(desk, body, attempt - 1), chat_ask(desk, body, attempt)
        last, kept = await asyncio.gather(*map(self.answers.looks.send, (before.key, ask.key)))
        anew = self.anew and self.paying and last is not None and last.run != self.run
        return await self._chat(ask) if kept is not None or anew else None

    async def _chat(self, ask: Ask) -> Reply:
        while True:
            # It may be in flight with other rows, and get no answer of its own there.
            with contextlib.suppress(NoPart):
                (answer,) = await self.answers.ask_all([ask], self)
                self.heard(answer)
                return answer.reply

    async def chat_rows(
        self,
        provider: str | None,
        alone: Mapping[str, Any],
        sent: Sequence[Any],
        bodies: Sequence[Mapping[str, Any]],
        fits: Callable[[Reply], bool],
    ) -> Sequence[Reply | None]:
        """See the port."""
        call = Call.of(self.answers.desk(provider), alone, sent, bodies, fits)
        return await call.ask(self.answers, self)

    async def others(self, provider: str | None) -> Sequence[str]:
        """See the port."""
        return self.answers.desk(provider).fallback

    def note(self, what: str, provider: str | None) -> None:
        """See the port."""
        name = self.answers.desk(provider).name
        self.noted[what, name] += 1
        if what == "fallback":
            self.answers.notes.add(self.run, name, fallbacks=1)

    async def embed(
        self, provider: str | None, texts: Sequence[str], too_long: TooLong = "fail"
    ) -> list[list[float]]:
        """See the port."""
        desk = self.answers.desk(provider, Kind.EMBED)

        async def ask(texts: Sequence[str]) -> list[list[float]]:
            answers = await self.answers.ask_all([desk.vector_of(t) for t in texts], self)
            for answer in answers:
                self.heard(answer)
            return [json.loads(a.reply.raw) for a in answers]

        return await embed(desk, texts, too_long, ask)

    def waits(self) -> str:
        """See the port."""
        return self.answers.waits.told(self.answers.clock.monotonic())

    async def http(self, provider: str | None, values: Mapping[str, Any]) -> Any:
        """See the port."""
        desk = self.answers.desk(provider, Kind.HTTP)
        (answer,) = await self.answers.ask_all([ask_of(desk, values)], self)
        self.heard(answer)
        return value_of(desk, answer.reply)
