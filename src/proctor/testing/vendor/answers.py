"""What the vendor answers, computed from the request alone: the right answer is always known."""

from __future__ import annotations

import hashlib
import json
import math
import re

from collections.abc import Mapping
from typing import Any, Final

_WORD: Final = re.compile(r"\w+")
# Copied from a row into its answer, so that a call about many rows can be taken apart again.
_NAMES_OF_ROWS: Final = frozenset({"id", "index", "key", "number", "row"})
_ROW: Final = {"index", "row"}
_FALLBACK: Final = ("plain", "quiet", "words", "about", "little")


def tokens_of(text: str) -> int:
    """Tokens as this vendor counts them: a fourth of the bytes, and a word is at least one."""
    return max(-(-len(text.encode()) // 4), len(text.split()))


def right_text(prompt: str) -> str:
    """The answer to a prompt that asks for plain text: one sentence of the prompt's own words."""
    return f"This is about {_picked(prompt, 'text', 12)}."


def right_answer(schema: Mapping[str, Any], prompt: str) -> Any:
    """The answer to a prompt whose reply must fit a JSON schema.

    A prompt that is JSON is taken apart: where the schema wants a list and the prompt holds one,
    each entry is answered as if it had been asked alone, with its id, key or number copied.
    The schema is the one that arrived: some libraries take bounds out of it, as they do for the
    real vendor.
    """
    try:
        asked: Any = json.loads(prompt)
    except ValueError:
        asked = prompt
    return _filled(schema, asked, "answer", schema)


def parts(prompt: str) -> list[str]:
    """What a prompt asks about: each row of rows that are listed under an index, else all of it.

    A row's text is the same whether it is asked in company or alone.
    """
    try:
        asked: Any = json.loads(prompt)
    except ValueError:
        return [prompt]
    listed = asked.get("rows") if isinstance(asked, dict) and len(asked) == 1 else None
    if isinstance(listed, list) and all(isinstance(r, dict) and r.keys() == _ROW for r in listed):
        about = [row["row"] for row in listed]
    else:
        about = [asked]
    return [one if isinstance(one, str) else json.dumps(one, sort_keys=True) for one in about]


def right_vector(text: str, dimensions: int) -> list[float]:
    """The vector of a text: of length one, and another for every text."""
    raw = hashlib.shake_256(text.encode()).digest(dimensions)
    numbers = [byte - 127.5 for byte in raw]
    norm = math.sqrt(sum(number * number for number in numbers))
    return [number / norm for number in numbers]


def _filled(schema: Mapping[str, Any], asked: Any, name: str, root: Mapping[str, Any]) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema or "enum" in schema:
        given = schema.get("enum") or [schema["const"]]
        return given[_number(asked, name) % len(given)]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(k for k in kind if k != "null")
    if kind == "object" or "properties" in schema:
        copied = set(asked) & _NAMES_OF_ROWS if isinstance(asked, dict) else set()
        about = asked
        if copied == _ROW == set(asked):
            # What only says which row it is has no part in the answer: alone it has none either.
            copied, about = {"index"}, asked["row"]
        return {
            key: asked[key] if key in copied else _filled(part, about, key, root)
            for key, part in schema.get("properties", {}).items()
        }
    if kind == "array":
        return _listed(schema, asked, name, root)
    return _plain(schema, str(kind), asked, name)


def _plain(schema: Mapping[str, Any], kind: str, asked: Any, name: str) -> Any:
    """A value without parts."""
    number = _number(asked, name)
    if kind in {"integer", "number"}:
        low, high = _bounds(schema)
        whole = low + number % (high - low + 1)
        return whole if kind == "integer" else float(whole)
    if kind == "boolean":
        return number % 2 == 0
    return None if kind == "null" else _written(schema, asked, name)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema itself behind references and unions: the first part that is not null."""
    while "$ref" in schema or "anyOf" in schema or "oneOf" in schema or "allOf" in schema:
        if "$ref" in schema:
            found: Any = root
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        else:
            parts = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or [{}]
            schema = next((p for p in parts if p.get("type") != "null"), {"type": "null"})
    return schema


def _listed(schema: Mapping[str, Any], asked: Any, name: str, root: Mapping[str, Any]) -> list[Any]:
    part = schema.get("items", {"type": "string"})
    if isinstance(asked, dict):
        lists = [value for value in asked.values() if isinstance(value, list)]
        asked = lists[0] if len(lists) == 1 else asked
    if isinstance(asked, list):
        return [_filled(part, entry, name, root) for entry in asked]
    least = schema.get("minItems", 1)
    count = min(max(least, 2), schema.get("maxItems", 2))
    return [_filled(part, asked, f"{name}{number}", root) for number in range(count)]


def _bounds(schema: Mapping[str, Any]) -> tuple[int, int]:
    low, high = schema.get("minimum"), schema.get("maximum")
    low = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else low
    high = schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else high
    if low is None:
        low = 0 if high is None else high - 100
    return math.ceil(low), max(math.ceil(low), math.floor(low + 100 if high is None else high))


def _written(schema: Mapping[str, Any], asked: Any, name: str) -> str:
    text = _picked(asked, name, 5)
    while len(text) < schema.get("minLength", 0):
        text = f"{text} {text}"
    return text[: schema.get("maxLength", len(text))]


def _picked(asked: Any, name: str, count: int) -> str:
    """Some of the words that were asked about, in an order that depends on all of them."""
    text = (
        asked if isinstance(asked, str) else json.dumps(asked, sort_keys=True, ensure_ascii=False)
    )
    # Long ones, each once: else an answer would be about "the" and "of", as another.
    words = list(dict.fromkeys(w for w in _WORD.findall(text) if len(w) > 3)) or list(_FALLBACK)
    digest = hashlib.sha256(f"{name}\0{text}".encode()).digest()
    return " ".join(words[digest[place] % len(words)] for place in range(count))


def _number(asked: Any, name: str) -> int:
    text = (
        asked if isinstance(asked, str) else json.dumps(asked, sort_keys=True, ensure_ascii=False)
    )
    return int.from_bytes(hashlib.sha256(f"{name}\0{text}".encode()).digest()[:4], "big")


__all__ = ["parts", "right_answer", "right_text", "right_vector", "tokens_of"]
