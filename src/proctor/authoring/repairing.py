"""One question until it is answered: the paid repair, other attempts, other providers, policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from proctor.authoring.replies import Bad, CutOff, Declined, Unanswered, Unasked
from proctor.errors import DefinitionError, OutOfQuota, ProviderRefused
from proctor.model import Place, Reply
from proctor.ports import Asking

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)  # with slots, Python 3.11 cannot make an Instead[Song](…)
class Instead(Generic[T_co]):
    """A value of the author's own for a question that is not answered.

    await ctx.llm(prompt, output=Song, on_refusal=Instead(Song(emotions="unknown")))
    """

    value: T_co


OnRefusal: TypeAlias = Literal["refuse", "fallback"] | Instead[T]
"""What a refusal means: the row is refused; the fallback providers are asked; a value stands in."""
OnCutOff: TypeAlias = Literal["repair", "refuse", "fallback"] | Instead[T]
"""The same of a cut-off; `repair` has it asked again like any reply that is no use."""

REPAIRED: Final = "repaired"
ELSEWHERE: Final = "fallback"
STOOD_IN: Final = "instead"
READ_ANEW: Final = "reparsed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[T]):
    """What is asked, how its reply is read, and what is done where it is no answer."""

    body: Mapping[str, Any]
    read: Callable[[Reply], T]
    repair: bool = True
    on_refusal: OnRefusal[T] = "refuse"
    on_cut_off: OnCutOff[T] = "repair"
    follow: bool = True
    """Whether the provider's fallbacks are asked where it cannot answer."""
    row: object = None
    """The one of the function's rows that it is for, where it is for one of several."""
    place: Place | None = None
    """Where it stands among the function's questions, if that is known already."""

    def __post_init__(self) -> None:
        """DefinitionError for a policy that there is not."""
        for name, given, words in (
            ("on_refusal", self.on_refusal, ("refuse", "fallback")),
            ("on_cut_off", self.on_cut_off, ("repair", "refuse", "fallback")),
        ):
            if not isinstance(given, Instead) and given not in words:
                known = ", ".join(f'"{word}"' for word in words)
                raise DefinitionError(
                    f"{name}= of ctx.llm is {known} or Instead(value)",
                    found=repr(given),
                    fix=f'{name}="fallback", or {name}=Instead(…) with what ctx.llm shall give',
                )


async def answered(asking: Asking, provider: str | None, question: Question[T]) -> T:
    """Ask the provider, and then its fallbacks, until one of them answers.

    Raises what came of the first where none does. What only a person can mend at this provider,
    such as an unknown model, is raised at once.
    """
    names, first, at = [provider], None, 0
    place = question.place or placed(asking, provider, question)
    while at < len(names):
        try:
            value = await _asked(asking, names[at], question, place)
        except Unasked:
            raise
        except (Declined, Unanswered, ProviderRefused, OutOfQuota) as error:
            policy = _policy(question, error)
            if isinstance(policy, Instead):
                asking.note(STOOD_IN, names[at])
                return policy.value
            if policy == "refuse":
                raise _declined(error) from None
            first = first or error
            if at == 0 and question.follow:
                names += await asking.others(provider)
        else:
            if at:
                asking.note(ELSEWHERE, names[at])
            return value
        at += 1
    assert first is not None  # noqa: S101 - the first was asked, and did not answer
    raise first


def placed(asking: Asking, provider: str | None, question: Question[Any]) -> Place | None:
    """Where a question stands among those of its function, by provider and contract."""
    return asking.place(provider, question.body["schema_name"], question.row)


async def _asked(
    asking: Asking, provider: str | None, question: Question[T], place: Place | None
) -> T:
    """Ask one provider; where replies of earlier runs are to be read anew, read those first."""
    if kept := await asking.earlier(provider, question.body, place):
        try:
            value = _read_anew(question, kept)
        except Bad as bad:
            if asking.only_kept:
                why = f"a reply that was kept is no use: {bad}; a run without --reparse asks anew"
                raise type(bad)(why, bad.text) from None
        else:
            asking.note(READ_ANEW, provider)
            return value
    return await _answer(asking, provider, question, place)


async def _answer(
    asking: Asking, provider: str | None, question: Question[T], place: Place | None
) -> T:
    """Ask one provider: once, once more with what is wrong, and anew where this run may."""
    attempt = 0
    reply: Reply | None = await asking.chat(provider, question.body, place)
    first: Bad | None = None
    while reply is not None:
        try:
            return question.read(reply)
        except Bad as bad:
            if isinstance(bad, CutOff) and question.on_cut_off != "repair":
                raise
            first = first or bad
            if question.repair:
                try:
                    again = _again(question.body, bad)
                    value = question.read(await asking.chat(provider, again, place))
                except Unasked:
                    raise
                except Unanswered:
                    pass  # what was wrong at first says more
                else:
                    asking.note(REPAIRED, provider)
                    return value
        attempt += 1
        reply = await asking.another(provider, question.body, attempt, place)
    assert first is not None  # noqa: S101 - the loop ends only behind a bad reply
    raise first


def _read_anew(question: Question[T], replies: Sequence[Reply]) -> T:
    """What the first of some replies says that can be used; where there is none, what is wrong."""
    first: Bad | None = None
    for reply in replies:
        try:
            return question.read(reply)
        except Bad as bad:
            first = first or bad
    assert first is not None  # noqa: S101 - there is at least one reply
    raise first


def _again(body: Mapping[str, Any], bad: Bad) -> dict[str, Any]:
    """The same question with the bad reply and what is wrong with it: a question of its own."""
    return {
        **body,
        "messages": [
            *body["messages"],
            # Vendors refuse a message without a text.
            {"role": "assistant", "content": bad.text.strip() or "(nothing)"},
            {"role": "user", "content": complaint(bad)},
        ],
    }


def complaint(bad: Bad) -> str:
    """What the model is told of its reply."""
    return f"That cannot be used: {bad}. Answer again, whole, with the answer and nothing else."


def _policy(question: Question[T], error: Exception) -> OnRefusal[T]:
    """What is done about an error of one provider; raised here where nobody else may help."""
    if isinstance(error, Declined):
        return question.on_refusal
    if isinstance(error, CutOff):
        policy = question.on_cut_off
        return "fallback" if policy == "repair" else policy
    if isinstance(error, ProviderRefused | OutOfQuota) and not error.elsewhere:
        raise error
    return "fallback"


def _declined(error: Exception) -> Declined:
    return error if isinstance(error, Declined) else Declined("the reply was cut off at max_tokens")


__all__ = ["Instead", "OnCutOff", "OnRefusal", "Question", "answered", "complaint", "placed"]
