"""From a service's templates and a function's values to the request: each value by its place."""

from __future__ import annotations

import html
import json
import math

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, quote_plus
from uuid import UUID

from proctor.model import HOLE, ServiceSettings, address_of

FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What goes over the wire; it holds secrets, so nobody prints it."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers stay numbers, moments and decimals become text.

    Raises TypeError for what cannot be sent.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(part) for key, part in value.items()}
    raise TypeError(f"{type(value).__name__} cannot be sent to a service: give text or a number")


def rendered(
    service: ServiceSettings, values: Mapping[str, Any], secrets: Mapping[str, str]
) -> Request:
    """The request for these values, which are as `plain` gives them.

    Templates are filled in one pass, so that a value that looks like a hole is none. Raises
    ValueError where a value cannot stand in its place of the address.
    """
    address, rest = address_of(service.url)
    path, mark, query = rest.partition("?")
    url = _filled(address, values, secrets, lambda _name, text: text)
    url += _filled(path, values, secrets, _in_path)
    url += mark + _filled(query, values, secrets, lambda _name, text: quote(text, safe=""))
    headers = {
        name.lower(): HOLE.sub(lambda hole: _secret(hole, secrets), text)
        for name, text in service.headers.items()
    }
    content = None
    if isinstance(service.body, str):
        kind = headers.setdefault("content-type", "text/plain; charset=utf-8")
        content = _filled(service.body, values, secrets, _encoder(kind.lower())).encode()
    elif service.body is not None:
        headers.setdefault("content-type", "application/json")
        content = json.dumps(_json(service.body, values, secrets), ensure_ascii=False).encode()
    headers.setdefault("accept", "application/json")
    return Request(method=service.method, url=url, headers=headers, content=content)


def _filled(text: str, values: Mapping[str, Any], secrets: Mapping[str, str], encode: Any) -> str:
    def one(hole: Any) -> str:
        if hole["value"]:
            name = hole["value"]
            return str(encode(name, _text(name, values[name])))
        if hole["secret"]:
            return str(encode(hole["secret"], _secret(hole, secrets)))
        return _literal(hole[0])

    return HOLE.sub(one, text)


def _secret(hole: Any, secrets: Mapping[str, str]) -> str:
    name = hole["secret"]
    if not name:
        return _literal(hole[0]) if hole[0] == "$${" else str(hole[0])
    return secrets.get(name, hole[0])


def _literal(text: str) -> str:
    return {"$${": "${", "{{": "{", "}}": "}"}[text]


def _text(name: str, value: Any) -> str:
    """A value inside a text; what has no single text has no place there."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    kind = "None" if value is None else type(value).__name__
    raise ValueError(
        f"ctx.http cannot put {kind} in the place of {{{name}}}: give text or a number"
    )


def _in_path(name: str, text: str) -> str:
    # An empty part, or dots, would lead to another resource than the template's.
    if text in {"", ".", ".."}:
        raise ValueError(f"ctx.http cannot put {text!r} into the path in the place of {{{name}}}")
    return quote(text, safe="")


def _encoder(kind: str) -> Any:
    """How a value stands in a text of that media type."""
    if kind.startswith(FORM):
        return lambda _name, text: quote_plus(text)
    if "xml" in kind:
        return lambda _name, text: html.escape(text)
    return lambda _name, text: text


def _json(body: Any, values: Mapping[str, Any], secrets: Mapping[str, str]) -> Any:
    """A body of JSON: a text that is one hole becomes the value itself, whatever its type."""
    if isinstance(body, Mapping):
        return {key: _json(part, values, secrets) for key, part in body.items()}
    if isinstance(body, list | tuple):
        return [_json(part, values, secrets) for part in body]
    if not isinstance(body, str):
        return body
    whole = HOLE.fullmatch(body)
    if whole and whole["value"]:
        return values[whole["value"]]
    return _filled(body, values, secrets, lambda _name, text: text)


__all__ = ["FORM", "Request", "plain", "rendered"]
