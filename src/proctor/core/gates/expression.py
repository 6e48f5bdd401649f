"""What a condition may say: arithmetic and comparisons over `result`, and nothing that acts.

    result.rate > 0.02 and result["total"] >= 500

It is read here and computed elsewhere; what is wrong in it is told with its place.
"""

from __future__ import annotations

import ast
import warnings

from functools import lru_cache

LONGEST = 500
"""Characters: longer ones are programs."""
DEEPEST = 40
FUNCTIONS = {"asInt": 1, "asFloat": 1, "isNaN": 1, "isInf": 1, "isNil": 1, "default": 2}
"""Those of Argo Rollouts, and how many values each takes."""

_BINARY = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_COMPARED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_ELSEWHERE = {"&&": "write and in place of &&", "||": "write or in place of ||"}
_ELSEWHERE |= {"#": "a condition holds no comment", "\\": "a condition holds no \\"}


def fault(expression: str) -> str:
    """What is wrong in a condition and where, as one says it; empty where nothing is."""
    if len(expression) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    for theirs, why in _ELSEWHERE.items():
        if theirs in expression:
            return f"{why} (character {expression.index(theirs) + 1})"
    try:
        tree = _parsed(expression)
    except (SyntaxError, Warning) as error:
        place = getattr(error, "offset", None) or 1
        return f"{getattr(error, 'msg', error)} (character {place})"
    except (ValueError, MemoryError, RecursionError) as error:
        return str(error) or "it is too deep"
    found = _fault_of(tree, 1)
    if found is None and not named(expression):
        return 'it asks nothing of result: write result.NAME or result["NAME"]'
    if found is None and not _answers(tree):
        return "its value is no yes or no: compare it with something"
    if found is None:
        return ""
    node, why = found
    return f"{why} (character {getattr(node, 'col_offset', 0) + 1})"


def one_line(expression: str) -> str:
    """A condition that was written over several lines, as one; places in it stay the same."""
    return "".join(" " if letter in "\r\n\f\t" else letter for letter in expression).rstrip()


@lru_cache(maxsize=512)
def named(expression: str) -> frozenset[str]:
    """The figures that a sound condition asks for."""
    return frozenset(
        name for node in ast.walk(_parsed(expression)) if (name := _figure(node)) is not None
    )


def _parsed(expression: str) -> ast.expr:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what Python only doubts is refused here
        return ast.parse(one_line(expression).lstrip(), mode="eval").body


def _figure(node: ast.AST) -> str | None:
    """The name in result.NAME or result["NAME"]."""
    if isinstance(node, ast.Attribute) and _is_result(node.value):
        return None if node.attr.startswith("_") else node.attr
    if isinstance(node, ast.Subscript) and _is_result(node.value):
        key = node.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return key.value
    return None


def _is_result(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "result"


def _fault_of(node: ast.expr, depth: int) -> tuple[ast.AST, str] | None:
    """The first part that may not stand there, and why."""
    if depth > DEEPEST:
        return node, "it is too deep"
    parts = _parts(node)
    if isinstance(parts, str):
        return node, parts
    found = (_fault_of(part, depth + 1) for part in parts)
    return next((one for one in found if one is not None), None)


def _parts(node: ast.expr) -> list[ast.expr] | str:
    """What a part is made of; or why it may not stand there."""
    if _figure(node) is not None:
        return []
    match node:
        case ast.Constant(value=bool() | int() | float() | None):
            return []
        case ast.BoolOp(values=parts):
            return parts
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=part):
            return [part]
        case ast.BinOp(left=left, right=right, op=op) if isinstance(op, _BINARY):
            return [left, right]
        case ast.Compare(left=left, comparators=others, ops=ops):
            sound = all(isinstance(op, _COMPARED) for op in ops)
            return [left, *others] if sound else "figures are compared with < <= > >= == !="
        case ast.Call():
            return _values(node)
    return _stranger(node)


def _values(call: ast.Call) -> list[ast.expr] | str:
    match call:
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in FUNCTIONS:
            takes = FUNCTIONS[name]
            return parts if len(parts) == takes else f"{name} takes {takes}, not {len(parts)}"
    return f"the functions are {', '.join(FUNCTIONS)}"


def _stranger(node: ast.expr) -> str:
    match node:
        case ast.Name(id="result") | ast.Subscript(value=ast.Name(id="result")):
            return "result holds numbers by name: write result.value, or result.NAME"
        case ast.Name(id=name):
            return f"it knows no {name}; figures are result.NAME"
    return "a condition holds figures, numbers, comparisons, and, or, not"


def _answers(node: ast.expr) -> bool:
    """Whether its value is yes or no whatever the figures are."""
    match node:
        case ast.BoolOp(values=parts):
            return all(map(_answers, parts))
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return _answers(part)
        case ast.Call(func=ast.Name(id=name)):
            return name in {"isNaN", "isInf", "isNil"}
        case ast.Constant(value=value):
            return isinstance(value, bool)
        case _:
            return isinstance(node, ast.Compare)


__all__ = ["DEEPEST", "FUNCTIONS", "LONGEST", "fault", "named", "one_line"]
