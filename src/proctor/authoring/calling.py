"""How an author's function wants to be called: a row or a list, async or not, with ctx or not."""

from __future__ import annotations

import inspect

from collections.abc import Callable
from dataclasses import dataclass
from dis import get_instructions
from typing import Any

from proctor.authoring.given import short
from proctor.errors import DefinitionError

EMPTY_BODY = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
"""What a function does that has only a docstring."""


@dataclass(frozen=True, slots=True)
class Call:
    """How to call it."""

    is_async: bool
    takes_ctx: bool


def examine(
    function: Any, batch: Any, *, sql: bool, refuse: Callable[[str, str, str], DefinitionError]
) -> Call:
    """Look at a function's signature; raises DefinitionError where it cannot be called."""
    if batch is not None and (type(batch) is not int or batch < 1):
        raise refuse("batch is how many rows a call gets", f"batch={batch!r}", "batch=10")
    if sql:
        _no_body(function, batch, refuse)
        return Call(is_async=False, takes_ctx=False)
    several = batch is not None
    right = "def fill(rows): …" if several else "def fill(row): …"
    if not callable(function):
        raise refuse("it needs a function, or sql=", short(repr(function)), right)
    target = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004 - an object may be callable by an async method
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise refuse(
            "the function returns its answer, it does not yield",
            "yield in its body",
            "return a list of answers, in the order of the rows"
            if several
            else 'return {"normalized": …}',
        )
    return Call(
        is_async=inspect.iscoroutinefunction(target),
        takes_ctx=_takes_ctx(function, right, refuse),
    )


def _takes_ctx(
    function: Any, right: str, refuse: Callable[[str, str, str], DefinitionError]
) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False  # some callables of C have no signature: they take the row
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in places if p.default is p.empty]
    star = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    unmet = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if (not places and not star) or len(needed) > 2 or unmet:
        raise refuse(
            "the function takes one parameter, and a second one if it wants the context",
            f"({', '.join(p.name for p in parameters)})",
            f"{right} or {right.replace('):', ', ctx):')}",
        )
    return len(needed) == 2 or (len(places) > 1 and places[1].name == "ctx")


def _no_body(function: Any, batch: Any, refuse: Callable[[str, str, str], DefinitionError]) -> None:
    if batch is not None:
        raise refuse("sql= has no calls to batch", f"batch={batch!r}", "drop batch=")
    if function is None:
        return
    code = getattr(function, "__code__", None)
    body = list(get_instructions(code)) if code is not None else []
    if not body or {i.opname for i in body} - EMPTY_BODY or _returned(body) is not None:
        raise refuse(
            "with sql= the database computes the fields, so the function has only a docstring",
            "a body",
            "drop sql=, or the body",
        )


def _returned(body: list[Any]) -> Any:
    constants = [i.argval for i in body if i.opname in ("LOAD_CONST", "RETURN_CONST")]
    return constants[-1] if constants else None
