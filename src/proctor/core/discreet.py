"""Keeps the values of sensitive fields out of sentences that an author's code makes."""

from __future__ import annotations

import html
import re

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

GRAM = 4
"""So many characters in a row in common are taken for a quotation."""
WITHHELD = "(message withheld: it may quote a sensitive field)"
_ESCAPED: Final = re.compile(r"(?:\\u[0-9A-Fa-f]{4})+")


def discreet(message: str, sensitive: tuple[str, ...], *sources: Mapping[str, Any]) -> str:
    """The message, or a notice in its place where it shares text with a sensitive value.

    sensitive: names of fields, `column` or `column.path`. sources: the row, and the answer.
    Compares without regard to case, by runs of four characters: a value that was cut, quoted
    or changed in case is still found, also as addresses, JSON and HTML spell it; one that was
    hashed or reversed is not.
    """
    spelled = (message, unquote_plus(message), html.unescape(message), _unescaped(message))
    folded = {text.casefold() for text in spelled}
    for source in sources:
        for name in sensitive:
            for text in _texts(_find(source, name)):
                if any(_shares(one, text.casefold()) for one in folded):
                    return WITHHELD
    return message


def _find(source: Mapping[str, Any], name: str) -> Any:
    """The value of a field; where its path cannot be followed, of all that holds it."""
    if name in source:
        return source[name]
    head, _, path = name.partition(".")
    value = source.get(head, source.get(name.rpartition(".")[2]))
    for part in path.split(".") if path else ():
        if not isinstance(value, Mapping) or part not in value:
            return value
        value = value[part]
    return value


def _texts(value: Any) -> Iterator[str]:
    """Every text and number in a value, as text."""
    match value:
        case None | bool():
            return
        case str():
            yield value
        case bytes():
            yield value.decode("utf-8", "replace")
        case Mapping():
            for part in value.values():
                yield from _texts(part)
        case list() | tuple() | set() | frozenset():
            for part in value:
                yield from _texts(part)
        case _:
            yield str(value)


def _unescaped(message: str) -> str:
    """The message as who reads its JSON reads it: a service answers in escapes of its own."""
    return _ESCAPED.sub(
        lambda found: bytes.fromhex(found[0].replace("\\u", "")).decode("utf-16-be", "replace"),
        message,
    )


def _shares(message: str, value: str) -> bool:
    value = value.strip()
    if not value:
        return False
    if len(value) < GRAM:
        return value in message
    return any(message[i : i + GRAM] in value for i in range(len(message) - GRAM + 1))
