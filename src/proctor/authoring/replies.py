"""What a language model's reply is worth: a whole answer, a refusal, or nothing that can be used.

Free repairs are made here, and none of them may change a word: reasoning tags in front go, fences
and prose around JSON go, and JSON's own punctuation is mended.
"""

from __future__ import annotations

import json
import re

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from proctor.core.answer import Refuse
from proctor.core.checks import says_no
from proctor.model import Finish, Reply

if TYPE_CHECKING:
    import pydantic

M = TypeVar("M", bound="pydantic.BaseModel")

_TAG: Final = r"(?:think|thinking|thought|thoughts|reasoning|reflection)"
_OPEN: Final = re.compile(rf"<{_TAG}>", re.IGNORECASE)
_PART: Final = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")|(?P<open>")|[{}\[\]]', re.DOTALL)
"""A text in JSON, one without its end, or a bracket outside of them."""
_CLOSES: Final = {"}": "{", "]": "["}
_ANY: Final = re.compile(rf"</?{_TAG}>", re.IGNORECASE)
_IN_FRONT: Final = re.compile(rf"\A\s*<({_TAG})>.*?</\1>\s*", re.DOTALL | re.IGNORECASE)
# Some servers put the opening tag into the prompt: then a reply begins inside it.
_BEGUN: Final = re.compile(rf"\A(?:(?!<{_TAG}>).)*?</{_TAG}>\s*", re.DOTALL | re.IGNORECASE)
_FENCE: Final = re.compile(r"```(?:\w+)?\s*(.*?)\s*```", re.DOTALL)
_PUNCTUATION: Final = frozenset("{}[]:,\"'`\\\u201c\u201d\u2018\u2019")
"""What mending JSON may add or take; everything else of a reply must come out as it went in."""


class Unanswered(Exception):
    """A provider's reply is no answer; the row fails with this reason unless it is caught."""


class Unasked(Unanswered):
    """No answer is kept, and nobody may pay for one: in plans and dry runs."""


class Bad(Unanswered):
    """A reply came, was paid for, and cannot be used; `text` is what it said."""

    def __init__(self, why: str, text: str) -> None:
        """Say why without the row's values."""
        super().__init__(why)
        self.text = text


class CutOff(Bad):
    """The reply ended at max_tokens."""


class Misfit(Bad):
    """The reply is empty, or does not fit what `output=` asks for."""


class Leaked(Bad):
    """The model's reasoning stands in its reply, and nobody can say where it ends."""


class Declined(Exception):
    """The model, or its vendor's filter, said no: the row is counted as refused.

    Catch it in the function to ask somebody else, or to fill in something of your own.
    """

    def __init__(self, why: str) -> None:
        """Say why in a few words without the row's values."""
        super().__init__(why)
        self.refuse = Refuse(why)


def whole(reply: Reply) -> str:
    """The text of a reply that is a whole answer. Raises Declined, CutOff, Leaked or Misfit."""
    text: str = json.loads(reply.raw)["text"]
    match reply.finish:
        case Finish.REFUSED:
            raise Declined("the model refused")
        case Finish.FILTERED:
            raise Declined("the vendor's content filter took the reply")
        case Finish.LENGTH:
            raise CutOff(
                f"the model's reply was cut off after {reply.usage.output_tokens:,} tokens: "
                "raise max_tokens, or ask for less",
                text,
            )
    spoken = without_reasoning(text)
    if not spoken.strip():
        raise Misfit("the model's reply is empty", text)
    return spoken


def without_reasoning(text: str) -> str:
    """The text behind reasoning in tags; Leaked where such a tag is not closed, or stands inside.

    In JSON a tag is somebody's text: what fits the contract may say what it likes.
    """
    if _ANY.search(text) is None:
        return text
    rest = text
    while found := _IN_FRONT.match(rest):
        rest = rest[found.end() :]
    if rest.lstrip()[:1] in {"{", "[", "`"}:
        return rest
    rest = _BEGUN.sub("", rest, count=1)
    if _OPEN.search(rest) is not None and rest.lstrip()[:1] not in {"{", "[", "`"}:
        raise Leaked("the model's reasoning stands in its reply, behind a tag that is open", text)
    return rest


def parsed(text: str, output: type[M]) -> M:
    """The reply as an instance of the contract; Misfit says what does not fit."""
    from pydantic import ValidationError  # noqa: PLC0415 - its import is long, and few ask

    told: dict[str, Any] | None = None
    for given in _readings(text):
        try:
            return output.model_validate_json(given)
        except ValidationError as error:
            first: Any = error.errors(include_url=False, include_input=False)[0]
            # What is wrong with the JSON's content says more than that prose is no JSON.
            if told is None or told["type"] == "json_invalid":
                told = first
    assert told is not None  # noqa: S101 - there is at least one reading
    where = ".".join(str(part) for part in told["loc"]) or "the reply"
    why = f"the model's reply does not fit {output.__name__}: {where}: {told['msg']}"
    raise Misfit(why, text)


def fitting(reply: Reply, output: type[M]) -> M:
    """A reply as an instance of the contract; raises as `whole` and `parsed` do.

    One that says no in prose is Declined, too: to be asked again would be paid, and change nothing.
    """
    text = whole(reply)
    try:
        return parsed(text, output)
    except Misfit:
        if says_no(text):
            raise Declined("the model refused, in prose") from None
        raise


def _readings(text: str) -> Iterator[str]:
    """The text as JSON may be found in it, each the next free repair."""
    yield text
    fenced = _FENCE.search(text)
    inner = fenced[1] if fenced else text
    if fenced:
        yield inner
    begins = min((at for at in map(inner.find, "{[") if at >= 0), default=-1)
    if begins < 0:
        return
    ends = max(inner.rfind("}"), inner.rfind("]")) + 1
    span = inner[begins:ends]
    if span != inner and ends > begins:
        yield span
    # A bracket that is missing may have been followed by anything: that is never made up.
    if _balanced(inner):
        mended = _mended(span)
        if mended is not None:
            yield mended


def _balanced(text: str) -> bool:
    """Whether every bracket is closed by its own; those inside of texts are none."""
    begun: list[str] = []
    for part in _PART.finditer(text):
        sign = part[0]
        if part["open"] or (sign in _CLOSES and (not begun or begun.pop() != _CLOSES[sign])):
            return False
        if sign in {"{", "["}:
            begun.append(sign)
    return not begun


def _mended(span: str) -> str | None:
    """The same JSON with its punctuation mended; None where that would change a word."""
    try:
        from json_repair import repair_json  # noqa: PLC0415 - of an extra, and few replies need it
    except ImportError:
        return None
    try:
        mended = repair_json(span, ensure_ascii=False, skip_json_loads=True)
        content = json.loads(mended)
    except (ValueError, RecursionError):
        return None
    # Escapes are letters in the one, and what they stand for in the other.
    same = _words(span) in {_words(mended), _words(_flat(content))}
    return mended if same else None


def _words(text: str) -> str:
    kept = (c for c in text if not c.isspace() and c not in _PUNCTUATION)
    return "".join(kept).casefold()


def _flat(value: Any) -> str:
    """The keys and values of parsed JSON, one after another."""
    if isinstance(value, dict):
        return "".join(f"{key}{_flat(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "".join(map(_flat, value))
    return value if isinstance(value, str) else json.dumps(value)


__all__ = [
    "Bad",
    "CutOff",
    "Declined",
    "Leaked",
    "Misfit",
    "Unanswered",
    "Unasked",
    "fitting",
    "parsed",
    "whole",
    "without_reasoning",
]
