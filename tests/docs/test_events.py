"""docs/events.md tells what the engine emits: the same names, fields and what is kept."""

import ast
import functools
import re

from pathlib import Path

import pytest

from proctor.engine import undo
from proctor.engine.events import EVENTS
from proctor.model import OUTCOME_FIELDS, Span
from proctor.ports import UndoTerms

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| `(?P<name>[a-z_.]+)` \| .+? \| (?P<fields>.*) \| (?P<kept>yes|no) \|$", re.MULTILINE
)


def told():
    """What the page says: event to (fields, kept)."""
    found = {}
    for row in ROW.finditer(PAGE):
        plain = re.sub(r"\([^)]*\)", "", row["fields"])
        fields = set(re.findall(r"`([a-z_]+)`", plain))
        fields |= set(OUTCOME_FIELDS) if "the books" in plain else set()
        found[row["name"]] = (fields, row["kept"] == "yes")
    return found


@functools.cache
def emitted():
    """What the code emits: event to the union of fields over all places that emit it."""
    found = {}
    for module in sorted((ROOT / "src" / "proctor").rglob("*.py")):
        for call in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "emit"):
                continue
            for name in names_of(call.args[0]):
                found.setdefault(name, set()).update(fields_of(call))
    return found


def names_of(argument):
    """The event, or both of `one if … else other`."""
    if isinstance(argument, ast.IfExp):
        return [*names_of(argument.body), *names_of(argument.orelse)]
    return [ast.literal_eval(argument)]


def fields_of(call):
    """The keywords of one call; what is spread into it is looked up."""
    fields = {k.arg for k in call.keywords if k.arg is not None}
    for spread in (ast.unparse(k.value) for k in call.keywords if k.arg is None):
        if spread.endswith("outcome.as_dict()"):
            fields |= set(OUTCOME_FIELDS)
        elif spread.startswith("_terms("):
            fields |= set(undo._terms(UndoTerms(), Span()))
        else:
            pytest.fail(f"say in this test which fields **{spread} stands for")
    return fields


def test_the_page_lists_every_event_and_no_other():
    """A new event is documented in the change that adds it."""
    assert sorted(told()) == sorted(EVENTS)


def test_every_event_is_emitted_somewhere():
    """An event that nothing emits is a promise that nobody keeps."""
    assert sorted(emitted()) == sorted(EVENTS)


@pytest.mark.parametrize("name", EVENTS)
def test_the_page_tells_its_fields_and_whether_it_is_kept(name):
    """Whoever reads the ledger finds in it what the page says."""
    assert told()[name] == (emitted()[name], EVENTS[name])
