"""Several providers asked the same at once: `await ctx.llm.each(…)`; each answers for itself."""

from __future__ import annotations

import asyncio

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias, TypeVar

from proctor.authoring.repairing import Question, answered
from proctor.authoring.replies import Declined, Unanswered, Unasked
from proctor.errors import DefinitionError, OutOfQuota, ProviderRefused
from proctor.ports import Asking

T = TypeVar("T")

OnOutage: TypeAlias = Literal["raise", "go_on"]
"""What a provider that is down or out of quota means: the run stops or pauses; it is left out."""
DECLINED: Final = "declined"
UNANSWERED: Final = "unanswered"


class Out(Unanswered):
    """The provider is down, out of quota or takes no key, and the author goes on without it."""


async def each(
    asking: Asking, providers: Sequence[str], question: Question[T], on_outage: OnOutage
) -> dict[str, T | Declined | Unanswered]:
    """What every provider says, in their order; what came in its place where it says nothing.

    All of them are waited for: what one raises costs no other's answer, which is kept.
    """
    if isinstance(providers, str) or not providers or len(set(providers)) < len(providers):
        raise DefinitionError(
            "providers= of ctx.llm.each names each provider once",
            found=repr(providers),
            fix='providers=("writer", "other"), as they are called in proctor.toml',
        )
    if on_outage not in {"raise", "go_on"}:
        raise DefinitionError(
            'on_outage= of ctx.llm.each is "raise" or "go_on"',
            found=repr(on_outage),
            fix='on_outage="go_on" where rows may be written without a provider that is down',
        )
    # Its fallback may be one of the others, whose voice would count twice.
    alone = replace(question, follow=False)
    asked = [_voice(asking, name, alone, on_outage) for name in providers]
    said: list[T | Declined | Unanswered | BaseException] = list(
        await asyncio.gather(*asked, return_exceptions=True)
    )
    heard: dict[str, T | Declined | Unanswered] = {}
    for name, one in zip(providers, said, strict=True):
        if isinstance(one, Unasked) or (
            isinstance(one, BaseException) and not isinstance(one, Declined | Unanswered)
        ):
            raise one
        heard[name] = one
    return heard


async def _voice(asking: Asking, name: str, question: Question[Any], on_outage: OnOutage) -> Any:
    try:
        return await answered(asking, name, question)
    except Unasked:
        raise
    except Declined as declined:
        asking.note(DECLINED, name)
        return declined
    except Unanswered as unanswered:
        asking.note(UNANSWERED, name)
        return unanswered
    except (ProviderRefused, OutOfQuota) as out:
        if on_outage == "raise" or not out.elsewhere:
            raise
        asking.note(UNANSWERED, name)
        return Out(f"{out.what}: {out.found}" if out.found else out.what)


__all__ = ["OnOutage", "Out", "each"]
