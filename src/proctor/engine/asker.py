"""One run that asks: what `ctx.llm`, `ctx.embed` and `ctx.http` come down to."""

from __future__ import annotations

import json

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proctor.engine.answers import Answers
from proctor.engine.desk import FRAME
from proctor.engine.embedding import embed
from proctor.engine.serving import ask_of, value_of
from proctor.errors import ProviderRefused
from proctor.model import Answer, Ask, Kind, Reply, canonical
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

    async def chat(self, provider: str | None, body: Mapping[str, Any]) -> Reply:
        """See the port."""
        desk = self.answers.desk(provider)
        told = body.get("max_tokens")
        cap = desk.most_output if told is None else told
        if cap is None:
            raise ProviderRefused(
                "a call without a cap on its output could cost anything",
                found=f"neither ctx.llm(…, max_tokens=…) nor [providers.{desk.name}] max_tokens",
                fix=f"[providers.{desk.name}] max_tokens = 500",
            )
        sent = canonical({**body, "max_tokens": cap})
        ask = Ask(
            kind=Kind.CHAT,
            provider=desk.name,
            model=desk.model,
            sent=sent,
            most_input=len(sent.encode()) + FRAME,
            most_output=cap,
        )
        (answer,) = await self.answers.ask_all([ask], self)
        self.heard(answer)
        return answer.reply

    async def embed(
        self, provider: str | None, texts: Sequence[str], too_long: TooLong = "fail"
    ) -> list[list[float]]:
        """See the port."""
        desk = self.answers.desk(provider)

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
