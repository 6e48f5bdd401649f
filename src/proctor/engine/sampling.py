"""Answers for a plan and a dry run: those that are kept for nothing, and paid ones if told to."""

from __future__ import annotations

import math

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from proctor.authoring import Unanswered
from proctor.core.foresee import foresee
from proctor.engine.answers import Answers
from proctor.engine.asker import Asker
from proctor.engine.desk import Desk
from proctor.engine.questions import Unpaid
from proctor.engine.relay import Question, Said
from proctor.errors import ProctorError
from proctor.model import Answer, Asked, Foresight, Kind, Known, Limits, Spending


@dataclass(slots=True, kw_only=True)
class Sampler:
    """Answers the questions of the guard-rail's child, and keeps in mind what they took."""

    answers: Answers
    limits: Mapping[str, Limits]
    run: str
    """What new answers are kept under, beside the runs that asked others."""
    backfill: str = ""
    sensitive: bool = False
    paying: bool = False
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, question: Question) -> Said:
        """What comes of a question; whatever goes wrong is raised in the author's function."""
        heard: list[Answer] = []
        who = Asker(
            answers=self.answers,
            run=self.run,
            backfill=self.backfill,
            sensitive=self.sensitive,
            paying=self.paying,
            heard=heard.append,
        )
        said = Said(number=question.number)
        try:
            said = replace(await _asked(who, question), number=question.number, unasked=False)
            if self.paying:
                self.asked += self._asked(question, heard)
        except Unpaid:
            pass
        except (ProctorError, Unanswered) as error:
            return replace(said, error=error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it may not be able to travel
            return replace(said, error=RuntimeError(str(error)))
        return said

    def _asked(self, question: Question, heard: list[Answer]) -> Iterator[Asked]:
        """What came of one question: of several texts as many go in one call as may.

        A kept answer may be one of another provider of the same model: what counts is who is
        asked in this run.
        """
        desk = self.answers.desk(question.provider, question.kind)
        price = desk.price()
        in_run = desk.batch_price() if self._batched(desk, question) else price
        for answer in heard:
            together = max(desk.together(answer.kind), len(question.bodies))
            calls = math.ceil(len(heard) / together)
            yield Asked(
                key=answer.key,
                unit=question.unit,
                provider=desk.name,
                model=answer.model,
                usage=answer.reply.usage,
                usd=in_run.of(answer.reply.usage),
                spent=price.of(answer.reply.usage),
                paid=answer.run == self.run,
                calls=calls / len(heard),
            )

    @staticmethod
    def _batched(desk: Desk, question: Question) -> bool:
        """Whether a run puts such a question into a batch call."""
        return desk.batch is not None and question.kind is Kind.CHAT

    def spent(self) -> tuple[int, Decimal]:
        """How many answers this sample has paid so far, and what they cost."""
        paid = {one.key: one.spent for one in self.asked if one.paid}
        return len(paid), sum(paid.values(), Decimal(0))

    async def foresight(self, *, rows: int, units: int, eligible: int, at_once: int) -> Foresight:
        """What a run over so many rows will ask, by what was asked for the sample."""
        spent = {one.provider: one for one in await self.answers.purse.spending()}
        return foresee(
            self.asked,
            rows=rows,
            units=units,
            eligible=eligible,
            known={n: self._known(n, spent.get(n, Spending(provider=n))) for n in self.limits},
            at_once=at_once,
        )

    def _batch_of(self, name: str) -> int:
        batch = self.answers.desks[name].batch
        return 0 if batch is None else batch.requests

    def _known(self, name: str, spent: Spending) -> Known:
        limits = self.limits[name]
        used = any(one.provider == name for one in self.asked)
        return Known(
            limits=limits,
            seconds=self.answers.desks[name].gauge.seconds if used else None,
            used_today=spent.today,
            batch=self._batch_of(name) if used else 0,
            left_usd=None if limits.budget_usd is None else limits.budget_usd - spent.usd,
        )


async def _asked(who: Asker, question: Question) -> Said:
    """Put a question of the child's as a run would."""
    name, body = question.provider, question.body
    if question.others:
        return Said(number=0, others=tuple(await who.others(name)))
    if body is not None and question.bodies:
        nowhere = [None] * len(question.bodies)
        told = await who.chat_rows(
            name, body, question.sent, question.bodies, fits=lambda _: True, places=nowhere
        )
        return Said(number=0, replies=tuple(told))
    if body is not None and question.attempt:
        return Said(number=0, reply=await who.another(name, body, question.attempt))
    if body is not None:
        return Said(number=0, reply=await who.chat(name, body))
    if question.values is not None:
        return Said(number=0, value=(await who.http(name, question.values),))
    return Said(number=0, vectors=await who.embed(name, question.texts, question.too_long))


__all__ = ["Sampler"]
