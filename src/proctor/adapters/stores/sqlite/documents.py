"""One field inside JSON text: found, replaced and taken out, every other byte as it was."""

from __future__ import annotations

import json
import re

from collections.abc import Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined] # C code that json itself uses
from typing import Any, Final

from proctor.adapters.stores.sqlite.values import Unstorable
from proctor.model import ABSENT, Image

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_TOKENS: Final = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\n\r]+')
_HAS_SPACE: Final = re.compile(r"[ \t\n\r]")
_DECODER: Final = json.JSONDecoder()


class NotAnObject(Exception):
    """The text is not JSON, or a step of the path leads through something else."""


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a member stands: from its key's quote to the end of its value."""

    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class _Found:
    """How far a path leads: the innermost object on it, and the member there if it is."""

    depth: int
    opening: int
    last: int
    """End of that object's last value; its opening where it is empty."""
    member: _Member | None


def image_at(stored: Any, path: Sequence[str]) -> Image:
    """The JSON at a path without blanks: None for a null column, ABSENT for no such path."""
    if stored is None:
        return None
    if not isinstance(stored, str):
        return ABSENT
    try:
        found = _find(stored, path)
    except NotAnObject:
        return ABSENT
    if found.member is None:
        return ABSENT
    return compact(stored[found.member.value : found.member.end])


def compact(text: str) -> str:
    """JSON without blanks between its tokens; numbers and strings as they are written."""
    if not _HAS_SPACE.search(text):
        return text
    return _TOKENS.sub(lambda m: m[1] or "", text)


def put(stored: Any, path: Sequence[str], value: str) -> str:
    """The document with JSON text at a path. Unstorable where the path cannot be made."""
    if stored is None:
        return _wrapped(path, value)
    if not isinstance(stored, str):
        raise Unstorable("the column does not hold JSON text")
    try:
        found = _find(stored, path)
    except NotAnObject as error:
        raise Unstorable(str(error)) from None
    rest = path[found.depth + 1 :]
    if found.member is not None:
        return stored[: found.member.value] + _nested(rest, value) + stored[found.member.end :]
    comma = "" if found.last == found.opening else ","
    entry = f"{comma}{_quoted(path[found.depth])}:{_nested(rest, value)}"
    return stored[: found.last] + entry + stored[found.last :]


def take_out(stored: str, path: Sequence[str], original: Any) -> str | None:
    """The document without the member at a path, and without objects made only for it.

    `original` is the column before the member was put there: what it had no room for is
    removed again, and a column that was null is null again when nothing else is left in it.
    """
    depth = len(path)
    text = stored
    while depth:
        text = _removed(text, path[:depth])
        if not _is_empty(text, path[: depth - 1]) or _had_object(original, path[: depth - 1]):
            return text
        depth -= 1
    return None if original is None else text


def _removed(text: str, path: Sequence[str]) -> str:
    found = _find(text, path)
    member = found.member
    if member is None:
        return text
    before = text[: member.start].rstrip(" \t\n\r")
    if before.endswith(","):
        return before[:-1] + text[member.end :]
    after = _SPACE.match(text, member.end)
    at = after.end() if after else member.end
    if text[at : at + 1] == ",":
        follows = _SPACE.match(text, at + 1)
        return text[: member.start] + text[follows.end() if follows else at + 1 :]
    return text[: member.start] + text[member.end :]


def _is_empty(text: str, path: Sequence[str]) -> bool:
    return image_at(text, path) == "{}" if path else compact(text) == "{}"


def _had_object(original: Any, path: Sequence[str]) -> bool:
    if not isinstance(original, str):
        return False
    image = image_at(original, path) if path else compact(original)
    return isinstance(image, str) and image.startswith("{")


def _find(text: str, path: Sequence[str]) -> _Found:
    at = _skip(text, 0)
    end = len(text)
    depth = 0
    while True:
        members, opening, last, close = _members(text, at, path[:depth])
        if depth == 0 and _skip(text, close) != end:
            raise NotAnObject("the column does not hold valid JSON")
        same = [m for name, m in members if name == path[depth]]
        if len(same) > 1:
            raise NotAnObject(f"the document names {'.'.join(path[: depth + 1])} twice")
        if not same:
            return _Found(depth, opening, last, None)
        if depth == len(path) - 1:
            return _Found(depth, opening, last, same[0])
        depth += 1
        at = same[0].value


def _members(
    text: str, at: int, path: Sequence[str]
) -> tuple[list[tuple[str, _Member]], int, int, int]:
    """The members of the object that begins at a position, and where it opens and ends."""
    if text[at : at + 1] != "{":
        where = ".".join(path) or "the document"
        raise NotAnObject(f"{where} is not a JSON object")
    members: list[tuple[str, _Member]] = []
    opening = last = at + 1
    at = _skip(text, opening)
    try:
        while text[at] != "}":
            if members:
                at = _skip(text, _after(text, at, ","))
            name, colon = scanstring(text, _after(text, at, '"'), True)
            colon = _after(text, _skip(text, colon), ":") - 1
            value = _skip(text, colon + 1)
            _, last = _DECODER.raw_decode(text, value)
            members.append((name, _Member(at, value, last)))
            at = _skip(text, last)
    except (ValueError, IndexError, RecursionError):
        raise NotAnObject("the column does not hold valid JSON") from None
    return members, opening, last, at + 1


def _after(text: str, at: int, sign: str) -> int:
    """Behind a sign that must stand there."""
    if text[at] != sign:
        raise ValueError(sign)
    return at + 1


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _nested(path: Sequence[str], value: str) -> str:
    for name in reversed(path):
        value = f"{{{_quoted(name)}:{value}}}"
    return value


def _wrapped(path: Sequence[str], value: str) -> str:
    return _nested(path, value)
