r"""Keys as people read and type them: what one command prints, another one understands.

A part stands as it is; a part that holds a comma, a semicolon, a double quote, a character that
cannot be seen, or a space at an end stands in double quotes, with the escapes of a JSON string
(`\"`, `\\`, `\u000a`), and so does an empty one. Parts of one key are apart at commas. Keys of one
column are apart at commas too, keys of several columns at semicolons.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata

from collections.abc import Iterable, Sequence
from typing import Final

from proctor.errors import UsageError
from proctor.model.key import Key

UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Kinds of characters that could move a cursor or reorder what is read."""
_BARE: Final = re.compile(r'[^,;"]+')
_QUOTED: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*")\s*', re.DOTALL)


def key_text(key: Key) -> str:
    """One key as `--keys`, `--from` and `--to` take it."""
    return ",".join(_part_text(str(part)) for part in key)


def keys_text(keys: Iterable[Key]) -> str:
    """Several keys as `--keys` takes them."""
    listed = list(keys)
    mark = ";" if any(len(key) > 1 for key in listed) else ","
    return mark.join(map(key_text, listed))


def escaped(char: str) -> str:
    r"""A character by its code, such as \u000a; two codes above U+FFFF, as in JSON."""
    raw = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[i : i + 2].hex()}" for i in range(0, len(raw), 2))


def _part_text(part: str) -> str:
    plain = _BARE.fullmatch(part) and part == part.strip()
    if plain and not any(unicodedata.category(c) in UNSEEN for c in part):
        return part
    inside = "".join(
        f"\\{c}" if c in '"\\' else escaped(c) if unicodedata.category(c) in UNSEEN else c
        for c in part
    )
    return f'"{inside}"'


def read_keys(text: str, columns: int, option: str = "--keys") -> list[tuple[str, ...]]:
    """The parts of every key in a typed text, for a key of so many columns.

    Raises UsageError for an empty part and for a quote that is not closed.
    """
    keys: list[tuple[str, ...]] = []
    parts: list[str] = []
    at = 0
    while True:
        part, at = _read_part(text, at, "," if columns == 1 else ",;", option)
        parts.append(part)
        mark = text[at : at + 1]
        at += 1
        if columns == 1 or mark != ",":
            keys.append(tuple(parts))
            parts = []
        if not mark:
            return keys


def _read_part(text: str, start: int, marks: str, option: str) -> tuple[str, int]:
    """The part that begins at a place, and where it ends."""
    found = _QUOTED.match(text, start)
    if found and text[found.end() : found.end() + 1] in ("", *marks):
        try:
            return str(json.loads(found[1], strict=False)), found.end()
        except ValueError as error:
            raise _bad(f"{option} holds an escape that is none", found[1]) from error
    ends = [place for mark in marks if (place := text.find(mark, start)) >= 0]
    end = min(ends, default=len(text))
    part = text[start:end].strip()
    if not part:
        raise _bad(f"{option} holds an empty key, or an empty part of one", text)
    if part[0] == '"':
        raise _bad(f"{option} holds a double quote that is not closed where a key ends", text)
    return part, end


def _bad(what: str, found: str) -> UsageError:
    shown = found if len(found) <= 200 else f"{found[:199]}…"
    return UsageError(
        what,
        found=repr(shown),
        fix="write keys as `proctor failures` and the reports show them: a part with a comma, a "
        'semicolon or a double quote stands in double quotes, as "a,b" or "5\\""; an empty one '
        'is ""',
    )


def one_text(parts: Sequence[str]) -> str:
    """The parts of one key as `Store.parse_key` takes them."""
    if len(parts) == 1:
        return parts[0]
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow(parts)
    return line.getvalue()


__all__ = ["UNSEEN", "escaped", "key_text", "keys_text", "one_text", "read_keys"]
