"""The scenario wardrobe, as its team runs it, on the real kinds of store."""

import importlib
import json
import subprocess
import sys
import tomllib

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor import Context, Refuse, Skip
from proctor.authoring import REGISTRY

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "wardrobe"
NOW = datetime(2026, 11, 22, 19, tzinfo=UTC)


@pytest.fixture(scope="module")
def code():
    """The example's two modules, imported as a person would, and gone afterwards."""
    names = ("backfills", "seed")
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    known, bytecode = dict(REGISTRY), sys.dont_write_bytecode
    REGISTRY.clear()
    sys.path.insert(0, str(EXAMPLE))
    sys.dont_write_bytecode = True
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    sys.dont_write_bytecode = bytecode
    sys.path.remove(str(EXAMPLE))
    for name in names:
        del sys.modules[name]
    sys.modules.update(others)
    REGISTRY.clear()
    REGISTRY.update(known)


@pytest.fixture(scope="module")
def written(code):
    """What backfills.py defines."""
    return code.backfills


def ctx():
    return Context(params=None, now=NOW, key=(1,))


def item(**fields):
    return {"id": 1, "style": None, "occasion": None, "mood": None, "season": None} | fields


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        (["Casual", " BOHO "], ["casual", "boho"]),
        ("Casual", ["casual"]),
        (["a", None, "", "  ", True, ["b"], {"c": 1}], ["a"]),
        (["Summer", 2024, 1.5], ["summer", "2024", "1.5"]),
        (["boho", "BOHO", " Boho\u00a0"], ["boho"]),
        (["Décontracté", "De\u0301contracte\u0301"], ["décontracté"]),
        (None, []),
        ([], []),
    ],
)
def test_dirty_fields_become_clean_lists(written, typed, clean):
    """Lower-case, trimmed, non-empty, each once, in their first order."""
    assert written.lowered(typed) == clean


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_cleaning_twice_is_cleaning_once(written, typed):
    """Whatever people type, the result is clean already."""
    once = written.lowered(typed)
    assert written.lowered(once) == once
    assert all(text == text.lower().strip() and text for text in once)


@pytest.mark.parametrize("text", ['["Casual"]', "Casual", '"Casual"', '["Casual", "casual "]'])
def test_json_as_text_reads_like_json(written, text):
    """SQLite keeps JSON as text: the answer is that of Postgres."""
    answer = written.normalize_wardrobe.function(item(style=text), ctx())
    assert answer["normalized"]["style"] == ["casual"]
    assert answer["normalized"]["normalized_at"] == NOW.isoformat()
    assert answer["normalized"]["normalized_version"] == "1.0"


def test_an_item_without_any_field_is_skipped(written):
    """There is nothing to normalise."""
    assert isinstance(written.normalize_wardrobe.function(item(), ctx()), Skip)


def test_an_object_where_a_list_belongs_is_refused(written):
    """Somebody must look; the reason holds no value of the row."""
    answer = written.normalize_wardrobe.function(item(style={"main": "Secret"}), ctx())
    assert isinstance(answer, Refuse)
    assert "Secret" not in answer.why


def test_a_wheel_carries_the_files_that_the_demo_plays():
    """All of them and nothing that a run left there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    forced = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    junk = {"__pycache__", ".proctor", ".pytest_cache"}
    there = {
        str(p.relative_to(ROOT))
        for p in EXAMPLE.parent.rglob("*")
        if p.is_file() and not junk & set(p.parts) and ".db" not in p.name
    }
    assert set(forced) == there
    assert all(to == f"proctor/ui/{name}" for name, to in forced.items())


def test_its_own_tests_pass(copied):
    """The validation that its team would run before every change."""
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=copied,
        check=False,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout
    assert "5 passed" in told.stdout


def test_the_whole_story(wardrobe):
    """P1, P3, P7, P10: dry run, run, statistics, every row looked at, rollback dry and real."""
    before = wardrobe.rows()
    assert len(before) == 3421
    todo = {key for key, row in before.items() if row[-1] is None}

    shown = wardrobe.proctor("dry-run", "normalize_wardrobe", "--sample", "100")
    assert len(shown["previews"]) == 100
    assert wardrobe.rows() == before

    ended = wardrobe.proctor("run", "normalize_wardrobe")
    assert ended["state"] == "succeeded"
    after = wardrobe.rows()
    wrote = {key for key in todo if after[key][-1] is not None}
    books = ended["buckets"]
    assert (ended["read"], books["written"]) == (len(todo), len(wrote))
    assert (books["skipped"], books["refused"]) == (19, 7)
    assert sum(books.values()) == ended["read"]

    assert {key: row[:-1] for key, row in after.items()} == {
        key: row[:-1] for key, row in before.items()
    }
    assert {key: after[key] for key in before.keys() - todo} == {
        key: before[key] for key in before.keys() - todo
    }
    for key in wrote:
        well_formed(json.loads(after[key][-1]))

    statistics = json.loads(Path(ended["reports"]["json"]).read_text(encoding="utf-8"))
    assert statistics["processed"] == len(todo)
    assert statistics["updated"] == len(wrote)
    assert statistics["success_rate"] == pytest.approx(len(wrote) / len(todo))

    assert wardrobe.proctor("verify", ended["id"])["verdict"] == "pass"
    again = wardrobe.proctor("run", "normalize_wardrobe")
    assert again["buckets"]["written"] == 0
    assert wardrobe.rows() == after

    dry = wardrobe.proctor("rollback", ended["id"], "--dry-run")
    assert dry["undone"]["restored"] == len(wrote)
    assert wardrobe.rows() == after
    real = wardrobe.proctor("rollback", ended["id"], "--yes")
    assert real["undone"]["restored"] == len(wrote)
    assert wardrobe.rows() == before


def well_formed(made):
    """What the team validated over a sample of 100, here over every row."""
    for field in ("style", "occasion", "mood", "season"):
        assert all(isinstance(text, str) for text in made[field])
        assert all(text and text == text.lower().strip() for text in made[field])
        assert len(set(made[field])) == len(made[field])
    assert datetime.fromisoformat(made["normalized_at"]).tzinfo is not None
    assert made["normalized_version"] == "1.0"


def test_both_databases_hold_the_same_to_the_function(code):
    """It does not care how its JSON is kept."""
    rows = list(code.seed.items())
    assert len(rows) == code.seed.ITEMS == 3421
    function = code.backfills.normalize_wardrobe.function
    for row in rows:
        fields = dict(zip(code.seed.COLUMNS, row, strict=True))
        as_jsonb = {k: None if v is code.seed.ABSENT else v for k, v in fields.items()}
        as_text = {k: code.seed.as_text(v) for k, v in fields.items()}
        assert function(as_jsonb, ctx()) == function(as_text, ctx())


def test_production_wants_a_yes_or_a_plan(wardrobe, tmp_path):
    """Nobody at a terminal: refused with exit code 3, and nothing is written; a plan opens it."""
    if wardrobe.env == "local":
        wardrobe.variables["WARDROBE_URL"] = "sqlite:///wardrobe.db"
    wardrobe.env = "production"
    before = wardrobe.rows()
    refused = wardrobe.proctor("run", "normalize_wardrobe", "--yes", expect=3)
    assert refused["error"]["kind"] == "NotConfirmed"
    assert wardrobe.rows() == before
    plan = str(tmp_path / "plan.json")
    wardrobe.proctor("plan", "normalize_wardrobe", "--out", plan)
    assert wardrobe.proctor("run", "normalize_wardrobe", "--plan", plan)["state"] == "succeeded"
