"""What is wrong with a proctor.toml that is valid TOML, in words: file, line, key, what to do."""

from __future__ import annotations

import difflib

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from proctor.config.document import Document, Place, dotted
from proctor.config.flag import keys_of
from proctor.config.flagdraft import KINDS
from proctor.config.notify import MANY, ONE
from proctor.config.paid import ONLY_OUTSIDE
from proctor.config.schema import known_keys
from proctor.config.secret import looks_private
from proctor.config.service import MODEL, SERVICE
from proctor.errors import ConfigError

# Keys whose values may hold a secret: an error tells their type, never the value.
_HIDDEN: Final = frozenset(
    {"store", "ledger", "http", "sql", "headers", "key_env", "base_url", "url", "urls", "body"}
    | {"token", "client_token", "write", "read", "observe", "subjects"},
)
_NAMES: Final = {str: "a text", bool: "true or false", int: "a number", float: "a number"}
_WANTED: Final = {
    "string_type": "a text in quotes",
    "bool_type": "true or false, without quotes",
    "int_type": "a whole number, without quotes",
    "int_from_float": "a whole number",
    "float_type": "a number, without quotes",
    "tuple_type": "a list in square brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
    "too_short": "at least one text into the square brackets",
}


def explain(document: Document, fault: ValidationError) -> ConfigError:
    """The first fault in the order of the file; the error says how many there are besides."""
    # What is missing comes last: most often a typing error above it is the reason.
    errors = sorted(
        fault.errors(include_url=False),
        key=lambda e: (e["type"] == "missing", document.line(_place(e["loc"]))),
    )
    error = _explain_one(document, errors[0])
    if len(errors) > 1:
        more = f"{len(errors) - 1} more fault{'s' if len(errors) > 2 else ''} in the file"
        error = ConfigError(error.what, found=error.found, fix=f"{error.fix} ({more})")
    return error


def _explain_one(document: Document, error: Mapping[str, Any]) -> ConfigError:
    place = _place(error["loc"])
    where = document.where(place)
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden" and place[-1] == "model" and _is_service(document, [*place[:-1]]):
        return ConfigError(
            f"{where} is wrong",
            found="a model and a url",
            fix="a provider is one of both: take model out, or move it to a section of its own",
        )
    if kind == "extra_forbidden":
        return _unknown(document, place)
    if kind == "missing" and place[0] == "providers" and place[2:] == ("model",):
        return ConfigError(
            f"{document.where(place[:-1])} names nobody to ask",
            found="neither model nor url",
            fix='model = "openai:gpt-5-mini", or for an HTTP service url = "https://…"',
        )
    if kind in {"missing", "union_tag_invalid"}:
        return _missing(document, place, kind)
    found = _seen(place, error["input"])
    if kind == "value_error":
        return ConfigError(f"{where} is wrong", found=found, fix=str(context["error"]))
    bounds = {"greater_than": ("gt", "above"), "greater_than_equal": ("ge", "at least")}
    bounds |= {"less_than": ("lt", "below"), "less_than_equal": ("le", "at most")}
    if kind in bounds:
        key, word = bounds[kind]
        fix = f"use a number {word} {context[key]:g}"
    elif kind == "literal_error":
        fix = f"use {context['expected']}"
    elif kind == "string_pattern_mismatch":
        name = "a name of letters, digits, - and _, which begins with a letter"
        fix = "write " + ('it like "90d", "12h" or "4w"' if place[-1] == "keep_for" else name)
    elif kind == "string_too_short":
        fix = "write something between the quotes"
    else:
        fix = f"write {_WANTED.get(kind, error['msg'])}"
    return ConfigError(f"{where} is wrong", found=found, fix=fix)


def _missing(document: Document, place: Place, kind: str) -> ConfigError:
    if kind == "missing":
        return ConfigError(
            f"{document.path}, line {document.line(place)}: {dotted(place)} is missing",
            fix=f"add {place[-1]} = … to {_table(place[:-1])}",
        )
    section = document.data["flags"][place[1]]
    said = section.get("kind") if isinstance(section, dict) else None
    return ConfigError(
        f"{document.where((*place, 'kind'))} does not say where the flag is kept",
        found=repr(said) if isinstance(said, str) else "no kind",
        fix=f'write kind = "sql", or one of {", ".join(KINDS)}',
    )


def _unknown(document: Document, place: Place) -> ConfigError:
    *table, name = place
    known = known_keys(tuple(table), service=_is_service(document, table))
    if table[:1] == ["flags"] and len(table) > 1:
        inside = tuple(part for part in table[2:] if isinstance(part, str))
        known = keys_of(document.data["flags"][table[1]], inside)
    if table[:1] == ["providers"] and looks_private(str(name)):
        return ConfigError(
            f"{document.where(place)} looks like a key", found="a value", fix=ONLY_OUTSIDE
        )
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return ConfigError(
        f"{document.path}, line {document.line(place)}: unknown key {str(name)!r}"
        f" in {_table(table)}",
        found=f"{_table(table)} knows: {', '.join(known)}" if near else "nothing like it is known",
        fix=f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(known)}",
    )


def _is_service(document: Document, table: list[str | int]) -> bool:
    if table[:1] != ["providers"] or len(table) < 2:
        return False
    section = document.data["providers"].get(table[1])
    return isinstance(section, dict) and "url" in section


def _table(place: Place | list[str | int]) -> str:
    name = dotted(tuple(part for part in place if isinstance(part, str)))
    if place and isinstance(place[-1], int):
        return f"[[{name}]]"
    return f"[{name}]" if name else "the top of the file"


def _seen(place: Place, value: object) -> str:
    """The value as it was written, if it can hold no secret; else what kind it is."""
    kind = _NAMES.get(type(value), "a list" if isinstance(value, list) else "a table")
    if isinstance(value, str | bool | int | float) and not _HIDDEN.intersection(place):
        text = str(value).lower() if isinstance(value, bool) else repr(value)
        return text if len(text) <= 60 else f"{text[:57]}…"
    return kind


def _place(loc: tuple[str | int, ...]) -> Place:
    # Pydantic marks the key of a dict entry, and which of two it took, with parts of their own.
    kinds = {f"<{kind}>" for kind in KINDS}
    return tuple(part for part in loc if part not in {"[key]", MODEL, SERVICE, ONE, MANY, *kinds})


__all__ = ["explain"]
