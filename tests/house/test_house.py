"""The shape of the house, checked by machine: floors, purity, size, introductions."""

import ast
import sys

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "proctor"
MODULES = sorted(ROOT.rglob("*.py"))

# A room may import only the rooms listed beside it (and itself).
FLOORS = {
    "errors": set(),
    "model": {"errors"},
    "core": {"model", "errors"},
    "ports": {"model", "errors"},
    "authoring": {"core", "ports", "model", "errors"},
    "engine": {"authoring", "ports", "core", "model", "errors"},
    "adapters": {"core", "ports", "model", "errors"},
    "config": {"model", "errors"},
    "app": {"config", "engine", "adapters", "authoring", "core", "ports", "model", "errors"},
    "ui": {"app", "config", "engine", "authoring", "model", "errors"},
    "testing": {"app", "adapters", "engine", "authoring", "core", "ports", "model", "errors"},
    "__init__": {"app", "authoring", "ports", "model", "errors"},
    "__main__": {"ui"},
}
THIRD_PARTY_ROOMS = {"adapters", "testing", "ui"}
THIRD_PARTY_ALSO = {"config": {"pydantic"}, "authoring": {"pydantic", "json_repair"}}
IMPURE = {"asyncio", "os", "random", "secrets", "socket", "threading", "time", "uuid"}
CLOCK_READS = {"now", "today", "utcnow"}


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """Yield (absolute dotted name, line) for every import, lazy ones included."""
    here = ("proctor", *path.relative_to(ROOT).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((a.name, node.lineno) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else ()
            stem = ".".join((*base, *(node.module or "").split("."))).strip(".")
            yield from ((f"{stem}.{a.name}", node.lineno) for a in node.names)


def each(rooms=None):
    files = [m for m in MODULES if rooms is None or room(m) in rooms]
    return pytest.mark.parametrize("path", files, ids=lambda p: str(p.relative_to(ROOT)))


def test_every_room_has_a_floor():
    """A new room is a decision, not an accident."""
    assert {room(m) for m in MODULES} <= set(FLOORS)


@each()
def test_imports_only_lower_floors(path):
    """A module imports only rooms on the floors below it."""
    allowed = FLOORS[room(path)] | {room(path)}
    bad = [
        f"line {line}: {name}"
        for name, line in imports(path)
        if name.startswith("proctor.") and name.split(".")[1] not in allowed
    ]
    assert bad == []


@each(set(FLOORS) - THIRD_PARTY_ROOMS)
def test_third_party_stays_at_the_edges(path):
    """The engine runs on the standard library alone."""
    roots = {name.split(".")[0] for name, _ in imports(path)} - {"proctor"}
    assert roots - THIRD_PARTY_ALSO.get(room(path), set()) <= sys.stdlib_module_names


@each({"core", "model", "errors"})
def test_core_has_no_clock_dice_or_io(path):
    """Pure rooms are handed time and randomness; they never fetch them."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    # uuid.UUID is a type; the rest of uuid throws dice.
    names = {name for name, _ in imports(path)} - {"uuid.UUID"}
    assert {name.split(".")[0] for name in names} & IMPURE == set()
    assert {n.attr for n in nodes if isinstance(n, ast.Attribute)} & CLOCK_READS == set()
    assert not any(isinstance(n, ast.AsyncFunctionDef) for n in nodes)


@each()
def test_module_is_small_and_introduced(path):
    """At most 400 lines, and the first thing in the file says what it is for."""
    source = path.read_text()
    assert source.count("\n") <= 400
    assert ast.get_docstring(ast.parse(source))


@each()
def test_functions_fit_on_a_screen(path):
    """No function is longer than 60 lines."""
    long = [
        f"{n.name}: {n.end_lineno - n.lineno + 1}"
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.end_lineno - n.lineno >= 60
    ]
    assert long == []
