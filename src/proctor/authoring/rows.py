"""N rows in one request: `await ctx.llm.rows(…)`; each row's answer is kept by itself.

The message lists rows under an index, and the contract gives each answer under the same. What is
not there, or does not fit, is asked alone: the row's own question, under whose key the row's
part is kept, too.
"""

from __future__ import annotations

import asyncio
import json
import re

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from proctor.authoring.repairing import Question, answered, placed
from proctor.authoring.replies import Bad, Declined, Leaked, Unanswered, Unasked, without_reasoning
from proctor.errors import OutOfQuota, ProviderRefused
from proctor.model import Finish, Reply, canonical
from proctor.ports import Asking

T = TypeVar("T")

RULES: Final = (
    "The message lists `rows`, which have nothing to do with one another. Answer each of them as "
    "if it were the only one. In `answers` each `reply` stands beside the `index` of its row."
)
_AN_ANSWER: Final = re.compile(r'\{\s*"(?:index|reply)"\s*:')
_PARSE: Final = json.JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[T]):
    """Rows as they are asked: what is sent of each, and the question of each alone."""

    rows: Sequence[object]
    """As the author gave them."""
    sent: Sequence[str | Mapping[str, Any]]
    alone: Question[T]
    """Of no row yet: its body has everything but the row."""

    def question(self, asking: Asking, provider: str | None, i: int) -> Question[T]:
        """One row's own question: what it asks is the key of the row's answer."""
        one = self.sent[i]
        content = one if isinstance(one, str) else canonical(one)
        message = {"role": "user", "content": content}
        body = {**self.alone.body, "messages": [message]}
        own = replace(self.alone, body=body, row=self.rows[i])
        return replace(own, place=placed(asking, provider, own))


async def rows(
    asking: Asking, provider: str | None, asked: Asked[T]
) -> list[T | Declined | Unanswered]:
    """One answer for each row, in their order, or what came in its place."""
    questions = [asked.question(asking, provider, i) for i in range(len(asked.sent))]
    if not questions:
        return []
    replies = await _together(asking, provider, asked, questions)
    asked_alone = [_one(asking, provider, q, r) for q, r in zip(questions, replies, strict=True)]
    return list(await asyncio.gather(*asked_alone))


async def _together(
    asking: Asking, provider: str | None, asked: Asked[T], questions: Sequence[Question[T]]
) -> Sequence[Reply | None]:
    """Each row's part of one request, of the first provider that takes it."""

    def fits(reply: Reply) -> bool:
        try:
            asked.alone.read(reply)
        except (Bad, Declined):
            return False
        except Exception:  # noqa: BLE001 - the author's validator; its row raises it again
            # It says nothing of the reply, which is paid: kept, it is read anew for nothing.
            return True
        return True

    names, at = [provider], 0
    bodies = [question.body for question in questions]
    places = [question.place for question in questions]
    while at < len(names):
        name = names[at]
        try:
            return await asking.chat_rows(
                name, asked.alone.body, asked.sent, bodies, fits=fits, places=places
            )
        except (ProviderRefused, OutOfQuota) as error:
            if not error.elsewhere:
                raise
        if at == 0:
            names += await asking.others(provider)
        at += 1
    # Each is asked alone, and says itself what is wrong.
    return [None] * len(questions)


async def _one(
    asking: Asking, provider: str | None, question: Question[Any], reply: Reply | None
) -> Any:
    try:
        if reply is not None:
            try:
                return question.read(reply)
            except Bad:
                pass  # it is kept as the row's own answer, and repaired as that
        return await answered(asking, provider, question)
    except Unasked:
        raise
    except (Declined, Unanswered) as error:
        return error


def together(alone: Mapping[str, Any], sent: Sequence[Any]) -> dict[str, Any]:
    """The request for several rows, made of what each would be asked alone."""
    listed = [{"index": i, "row": one} for i, one in enumerate(sent)]
    schema = dict(alone["schema"])
    shared = schema.pop("$defs", None)
    answer = {
        "type": "object",
        # In this order also when sorted: what is written first decides what follows.
        "properties": {"index": {"type": "integer"}, "reply": schema},
        "required": ["index", "reply"],
    }
    contract: dict[str, Any] = {
        "type": "object",
        "properties": {"answers": {"type": "array", "items": answer}},
        "required": ["answers"],
    }
    return {
        **alone,
        "system": "\n\n".join(part for part in (alone["system"], RULES) if part),
        "messages": [{"role": "user", "content": canonical({"rows": listed})}],
        "schema": contract if shared is None else {**contract, "$defs": shared},
        "schema_name": f"{alone['schema_name']}s",
    }


def parts(reply: Reply) -> dict[int, str]:
    """The answers in a reply to several rows, as JSON text by index.

    What was cut off, or broken in one place, still has the others. An index that stands there
    twice answers nobody: which of the two is meant?
    """
    if reply.finish not in {Finish.STOP, Finish.LENGTH}:
        return {}
    try:
        text = without_reasoning(json.loads(reply.raw)["text"])
    except Leaked:
        return {}
    found: dict[int, str] = {}
    twice: set[int] = set()
    for one in _answers(text):
        index = one["index"]
        if index in found:
            twice.add(index)
        found[index] = canonical(one["reply"])
    return {index: part for index, part in found.items() if index not in twice}


def _answers(text: str) -> Iterator[dict[str, Any]]:
    at = 0
    while begins := _AN_ANSWER.search(text, at):
        try:
            one, at = _PARSE.raw_decode(text, begins.start())
        except (ValueError, RecursionError):
            at = begins.end()
            continue
        if one.keys() == {"index", "reply"} and type(one["index"]) is int:
            yield one


Fits = Callable[[Reply], bool]
"""Whether a row's part is an answer; what is none is not kept as one."""


__all__ = ["RULES", "Asked", "Fits", "parts", "rows", "together"]
