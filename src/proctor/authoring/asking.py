"""What a function asks providers: `await ctx.llm(…)`, `await ctx.embed(…)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args, overload
from weakref import WeakKeyDictionary

from proctor.authoring.repairing import OnCutOff, OnRefusal, Question, answered
from proctor.authoring.replies import Declined, Unanswered, fitting, whole
from proctor.authoring.rows import Asked
from proctor.authoring.rows import rows as ask_rows
from proctor.authoring.voices import OnOutage, each
from proctor.errors import DefinitionError
from proctor.model import Reply
from proctor.ports import Asking, TooLong

if TYPE_CHECKING:
    import pydantic

M = TypeVar("M", bound="pydantic.BaseModel")
R = TypeVar("R")

_SCHEMAS: Final[WeakKeyDictionary[type[pydantic.BaseModel], dict[str, Any]]] = WeakKeyDictionary()


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
        repair: bool = True,
        on_refusal: OnRefusal[M] = "refuse",
        on_cut_off: OnCutOff[M] = "repair",
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
        repair: bool = True,
        on_refusal: OnRefusal[str] = "refuse",
        on_cut_off: OnCutOff[str] = "repair",
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
        repair: bool = True,
        on_refusal: OnRefusal[Any] = "refuse",
        on_cut_off: OnCutOff[Any] = "repair",
    ) -> M | str:
        """Ask, and give the text, or with `output=` an instance of that pydantic model.

        provider: a name of proctor.toml; may be left out where there is only one that is no
        fallback. max_tokens: the cap of the reply, which the budget holds. repair: whether a
        reply that is no use is asked for once more, with what is wrong. on_refusal, on_cut_off:
        "refuse", "fallback" or Instead(value); a cut-off is repaired unless they say otherwise.

        Raises Declined where the model refuses, Unanswered where no reply could be used.
        """
        _check(prompt, output, max_tokens)
        question: Question[Any] = Question(
            body=_body(prompt, output, system, max_tokens, temperature),
            read=_reading(output),
            repair=repair,
            on_refusal=on_refusal,
            on_cut_off=on_cut_off,
        )
        return cast("M | str", await answered(self.asking, provider, question))

    @overload
    async def each(
        self,
        prompt: str,
        *,
        providers: Sequence[str],
        output: type[M],
        system: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        repair: bool = True,
        on_outage: OnOutage = "raise",
    ) -> dict[str, M | Declined | Unanswered]: ...

    @overload
    async def each(
        self,
        prompt: str,
        *,
        providers: Sequence[str],
        output: None = None,
        system: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        repair: bool = True,
        on_outage: OnOutage = "raise",
    ) -> dict[str, str | Declined | Unanswered]: ...

    async def each(
        self,
        prompt: str,
        *,
        providers: Sequence[str],
        output: type[M] | None = None,
        system: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        repair: bool = True,
        on_outage: OnOutage = "raise",
    ) -> dict[str, Any]:
        """Ask several providers at once; by name what each says, or Declined or Unanswered.

        None of them spoils another's answer, and no fallback is asked. on_outage: "go_on" gives
        Unanswered also for a provider that is down or out of quota; else the run stops or pauses.
        """
        _check(prompt, output, max_tokens)
        question: Question[Any] = Question(
            body=_body(prompt, output, system, max_tokens, temperature),
            read=_reading(output),
            repair=repair,
        )
        return await each(self.asking, providers, question, on_outage)

    async def rows(
        self,
        rows: Sequence[R],
        *,
        prompt: str,
        one: Callable[[R], str | Mapping[str, Any]],
        output: type[M],
        system: str | None = None,
        provider: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        repair: bool = True,
        on_refusal: OnRefusal[M] = "refuse",
        on_cut_off: OnCutOff[M] = "repair",
    ) -> list[M | Declined | Unanswered]:
        """Ask for several rows in one request: for each an instance, or what came in its place.

        prompt: what is asked of every row. one: what is sent of a row, text or what JSON can
        hold; it decides which answer is the row's, in whatever company it is asked. max_tokens:
        the cap for each row. A row without an answer in the reply is asked alone.
        """
        _check(prompt, output, max_tokens)
        told = "\n\n".join(part for part in (system, prompt) if part)
        question: Question[M] = Question(
            body=_body("", output, told, max_tokens, temperature),
            read=lambda reply: fitting(reply, output),
            repair=repair,
            on_refusal=on_refusal,
            on_cut_off=on_cut_off,
        )
        return await ask_rows(
            self.asking,
            provider,
            Asked(rows=rows, sent=[one(row) for row in rows], alone=question),
        )


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


def _body(
    prompt: str,
    output: type[pydantic.BaseModel] | None,
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
) -> dict[str, Any]:
    """A question as it is kept and sent; the cap may be the provider's."""
    return {
        "system": system,
        "messages": [{"role": "user", "content": prompt}],
        "schema": None if output is None else _schema_of(output),
        "schema_name": "" if output is None else output.__name__,
        "max_tokens": max_tokens,
        "temperature": temperature,
    }


def _reading(output: type[M] | None) -> Callable[[Reply], M | str]:
    """How a reply becomes what the function gets."""
    if output is None:
        return whole
    return lambda reply: fitting(reply, output)


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
