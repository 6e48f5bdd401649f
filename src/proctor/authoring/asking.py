"""What a function asks providers: `await ctx.llm(…)`, `await ctx.embed(…)`."""

from __future__ import annotations

import json
import re

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, overload
from weakref import WeakKeyDictionary

from proctor.core.answer import Refuse
from proctor.errors import DefinitionError
from proctor.model import Finish, Reply
from proctor.ports import Asking, TooLong

if TYPE_CHECKING:
    import pydantic

M = TypeVar("M", bound="pydantic.BaseModel")

_FENCE: Final = re.compile(r"\A\s*```(?:json)?\s*(.*?)\s*```\s*\Z", re.DOTALL)
"""A model that was asked for JSON and put it in a block of Markdown: the free repair."""
_SCHEMAS: Final[WeakKeyDictionary[type[pydantic.BaseModel], dict[str, Any]]] = WeakKeyDictionary()


class Unanswered(Exception):
    """A provider's reply is no answer; the row fails with this reason unless it is caught."""


class Declined(Exception):
    """The model, or its vendor's filter, said no: the row is counted as refused.

    Catch it in the function to ask somebody else, or to fill in something of your own.
    """

    def __init__(self, why: str) -> None:
        """Say why in a few words without the row's values."""
        super().__init__(why)
        self.refuse = Refuse(why)


@dataclass(frozen=True, slots=True)
class Llm:
    """`ctx.llm`: one question to a language model, paid for at most once."""

    asking: Asking

    @overload
    async def __call__(
        self,
        prompt: str,
        *,
        output: type[M],
        system: str | None = None,
        provider: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> M: ...

    @overload
    async def __call__(
        self,
        prompt: str,
        *,
        output: None = None,
        system: str | None = None,
        provider: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> str: ...

    async def __call__(
        self,
        prompt: str,
        *,
        output: type[M] | None = None,
        system: str | None = None,
        provider: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> M | str:
        """Ask, and give the text, or with `output=` an instance of that pydantic model.

        provider: a name of proctor.toml; may be left out where there is only one. max_tokens:
        the cap of the reply, which the budget holds. Raises Declined where the model refuses,
        Unanswered where its reply was cut off or does not fit `output`.
        """
        _check(prompt, output, max_tokens)
        body: dict[str, Any] = {
            "system": system,
            "messages": [{"role": "user", "content": prompt}],
            "schema": None if output is None else _schema_of(output),
            "schema_name": "" if output is None else output.__name__,
            "max_tokens": max_tokens,
            "temperature": temperature,
        }
        text = _whole(await self.asking.chat(provider, body))
        return text if output is None else parsed(text, output)


@dataclass(frozen=True, slots=True)
class Embed:
    """`ctx.embed`: vectors of texts, each paid for at most once."""

    asking: Asking

    async def __call__(
        self,
        texts: Sequence[str] | str,
        *,
        provider: str | None = None,
        too_long: TooLong = "fail",
    ) -> list[list[float]]:
        """One vector for each text, in their order; for a single text a list of one.

        too_long: what becomes of a text that is longer than the model takes: "fail" raises
        Unanswered, "cut" embeds its beginning, "average" its pieces and gives their mean. Raises
        Unanswered also where a text is empty, or a vector is none: of another dimension than
        proctor.toml says, with NaN or Infinity, or all zero.
        """
        given = [texts] if isinstance(texts, str) else list(texts)
        _check_texts(given, too_long)
        return await self.asking.embed(provider, given, too_long) if given else []


def _schema_of(output: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The contract's schema, made once: making it takes as long as much of a call does."""
    kept = _SCHEMAS.get(output)
    if kept is None:
        kept = _SCHEMAS[output] = output.model_json_schema()
    return kept


def _whole(reply: Reply) -> str:
    """The text of a reply that is a whole answer."""
    text: str = json.loads(reply.raw)["text"]
    match reply.finish:
        case Finish.REFUSED:
            raise Declined("the model refused")
        case Finish.FILTERED:
            raise Declined("the vendor's content filter took the reply")
        case Finish.LENGTH:
            raise Unanswered(
                f"the model's reply was cut off after {reply.usage.output_tokens:,} tokens: "
                "raise max_tokens, or ask for less"
            )
    return text


def parsed(text: str, output: type[M]) -> M:
    """The reply as an instance of the contract; free repairs first."""
    from pydantic import ValidationError  # noqa: PLC0415 - its import is long, and few ask

    fenced = _FENCE.match(text)
    try:
        return output.model_validate_json(fenced[1] if fenced else text)
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in told["loc"]) or "the reply"
        why = f"the model's reply does not fit {output.__name__}: {where}: {told['msg']}"
        raise Unanswered(why) from None


def must_be_async(name: str) -> DefinitionError:
    """The error for a function that asks and cannot wait for the answer."""
    return DefinitionError(
        f"a function that asks ctx.{name} must be asynchronous",
        found=f"ctx.{name} in a function that begins with def",
        fix=f"write async def, and await ctx.{name}(…)",
    )


def _check(prompt: object, output: object, max_tokens: object) -> None:
    """A wrong question is the row's, a wrong way to ask it the author's."""
    if not isinstance(prompt, str):
        raise TypeError(f"ctx.llm asks a text, and was given {type(prompt).__name__}")
    if max_tokens is not None and (type(max_tokens) is not int or max_tokens < 1):
        raise DefinitionError(
            "max_tokens of ctx.llm is the most that the reply may be long",
            found=f"max_tokens={max_tokens!r}",
            fix="max_tokens=500, or leave it to proctor.toml",
        )
    if output is not None and not hasattr(output, "model_json_schema"):
        raise DefinitionError(
            "output= of ctx.llm is a pydantic model",
            found=repr(output),
            fix="class Song(BaseModel): emotions: str; then output=Song",
        )


def _check_texts(texts: Sequence[object], too_long: object) -> None:
    """As `_check` does."""
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"ctx.embed takes texts, and was given {type(text).__name__}")
    if too_long not in get_args(TooLong):
        raise DefinitionError(
            "too_long of ctx.embed says what becomes of a text that the model cannot take whole",
            found=f"too_long={too_long!r}",
            fix=f"one of {', '.join(map(repr, get_args(TooLong)))}",
        )


def no_provider(name: str) -> DefinitionError:
    """The error for a function that asks where nobody can be asked."""
    return DefinitionError(
        f"ctx.{name} needs a provider",
        found="no [providers.NAME] in proctor.toml, or a function tried without one",
        fix='[providers.resolver] url = "https://host/isbn?title={title}"'
        if name == "http"
        else '[providers.writer] model = "openai:gpt-5-mini", and its key in the environment',
    )
