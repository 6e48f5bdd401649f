"""What a function asks, as one question to one provider: with its cap, and how much it can take."""

from __future__ import annotations

import json

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proctor.engine.desk import FRAME, Desk
from proctor.errors import ProviderRefused
from proctor.model import Answer, Ask, Kind


class Unpaid(Exception):
    """A question whose answer is not kept, asked by somebody who may not pay for it."""


class NoPart(Exception):
    """A call for several rows has brought no answer to this one: it is to be asked alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What a question of several rows is about: the rows' own questions, and their answers."""

    keys: tuple[str, ...]
    kept: Callable[[Answer], Sequence[Answer]]
    """What is kept of an answer in its place."""


def chat_ask(desk: Desk, body: Mapping[str, Any], attempt: int = 0) -> Ask:
    """A question to a language model; ProviderRefused where nothing caps its reply."""
    told = body.get("max_tokens")
    cap = desk.most_output if told is None else told
    if cap is None:
        raise ProviderRefused(
            "a call without a cap on its output could cost anything",
            found=f"neither ctx.llm(…, max_tokens=…) nor [providers.{desk.name}] max_tokens",
            fix=f"[providers.{desk.name}] max_tokens = 500",
        )
    # As it is written, not sorted: a model fills a contract's fields in the order of its schema,
    # and "reasons first, then the verdict" is another question than the other way round.
    sent = json.dumps({**body, "max_tokens": cap}, ensure_ascii=False, separators=(",", ":"))
    return Ask(
        kind=Kind.CHAT,
        provider=desk.name,
        model=desk.model,
        sent=sent,
        most_input=len(sent.encode()) + FRAME,
        most_output=cap,
        attempt=attempt,
    )


__all__ = ["NoPart", "Split", "Unpaid", "chat_ask"]
