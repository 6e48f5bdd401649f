"""What an author writes: read as meant, or refused at import with the right code."""

import re
import subprocess
import sys

from datetime import date, timedelta

import pydantic
import pytest

from proctor.authoring import REGISTRY, ErrorBudget, Watch, backfill, load, query, table
from proctor.authoring.placeholders import placeholders
from proctor.errors import ConfigError, DefinitionError, UsageError
from proctor.model import Guard, KeyPart, Source
from projects import project

T = table("wardrobe", key="id")
GUARDED = query("SELECT id, title FROM songs", key="id", guard="target")


@pytest.fixture(autouse=True)
def registry():
    """What a test here defines is not in the way of other tests' projects, nor theirs in its."""
    kept = dict(REGISTRY)
    REGISTRY.clear()
    yield
    REGISTRY.clear()
    REGISTRY.update(kept)


class Params(pydantic.BaseModel):
    since: date
    limit: int = 5
    fast: bool = False
    tags: list[str] = []
    note: str | None = None


def fill(row):
    """Fill it.

    With care.
    """
    return {"style": row["style"].lower()}


def test_a_decorated_function_stays_usable():
    """A test can call the backfill as if it had never been decorated."""
    made = backfill(T, fills="style")(fill)
    assert made({"style": "RED"}) == {"style": "red"}
    assert (made.name, made.version, made.doc) == ("fill", "1", "Fill it.\n\nWith care.")
    assert (made.takes_ctx, made.is_async, made.batch) == (False, False, None)
    assert made.module == __name__


def test_everything_reaches_the_spec():
    """The store's part is names and SQL, in plain tuples."""
    made = backfill(
        table("a.songs", key=("year", "-month"), columns=["year", "title"], where="NOT hidden"),
        fills=["doc.mood", "style"],
        version="2",
        missing="style = ''",
        stamp="v",
        preserve="updated_at",
        sensitive=["email"],
    )(fill)
    spec = made.spec
    assert (spec.kind, spec.source, spec.target) == (Source.TABLE, "a.songs", "a.songs")
    assert spec.key == (KeyPart(column="year"), KeyPart(column="month", descending=True))
    assert (spec.columns, spec.where, spec.missing) == (
        ("year", "title"), "NOT hidden", "style = ''",
    )  # fmt: skip
    assert spec.writes == ("doc.mood", "style", "v")
    assert (spec.preserve, spec.sensitive, spec.version) == (("updated_at",), ("email",), "2")


def test_a_query_fills_another_table():
    """Its rows have no place to be written to but `into=`."""
    made = backfill(GUARDED, fills="mood", into=table("moods", key="song_id"))(fill)
    assert (made.spec.kind, made.spec.guard) == (Source.QUERY, Guard.TARGET)
    assert (made.spec.target, made.spec.into_key) == ("moods", ("song_id",))
    versioned = query("SELECT 1 AS id, now() AS t", key="id", row_version="t")
    assert (versioned.guard, versioned.row_version) == (Guard.ROWS, "t")


def test_sql_needs_no_function():
    """By name at once, or on a function that has only a docstring."""
    direct = backfill(T, fills="style", sql="lower(style)", name="lower_style")
    assert direct.spec.sql == (("style", "lower(style)"),)
    assert direct.function is None

    @backfill(T, sql={"style": "lower(style)", "mood": "trim(mood)"})
    def decorated():
        """Lower both."""

    assert decorated.spec.fills == ("style", "mood")
    assert decorated.doc == "Lower both."
    with pytest.raises(DefinitionError, match="has no function"):
        direct({"style": "RED"})


def test_functions_are_called_as_they_want():
    """Asynchronous or not, with the context or without, a row or a list."""

    async def asks(rows, ctx):
        return rows

    made = backfill(T, fills="style", batch=10)(asks)
    assert (made.is_async, made.takes_ctx, made.batch) == (True, True, 10)

    class Callable:
        async def __call__(self, row): ...

    assert backfill(T, fills="style", name="callable")(Callable()).is_async
    assert not backfill(T, fills="style", name="d")(lambda row, table="x": row).takes_ctx
    assert backfill(T, fills="style", name="e")(lambda row, ctx=None: row).takes_ctx


def two(a, b, c): ...


def gen(row):
    yield row


def keyword(row, *, must): ...


def none(): ...


def has_body(row):
    return {"style": 1}


@pytest.mark.parametrize(
    ("define", "what", "right"),
    [
        (lambda: backfill(fill), "where the rows come from", "table("),
        (lambda: backfill("wardrobe", fills="style")(fill), "where the rows come", "table("),
        (lambda: backfill(T)(fill), "which fields it fills", "fills="),
        (lambda: backfill(T, fills=())(fill), "fills names nothing", "fills="),
        (lambda: backfill(T, fills=("a", "a"))(fill), "filled once", "each field once"),
        (lambda: backfill(T, fills=("a", "a.b"))(fill), "filled once", "inside another"),
        (lambda: backfill(T, fills="a", stamp="a")(fill), "filled once", "each field once"),
        (lambda: backfill(T, fills="a..b")(fill), "path of names", "doc.normalized"),
        (lambda: backfill(T, fills=3)(fill), "fills must be text", "fills="),
        (lambda: backfill(T, fills="id")(fill), "its own key", "another column"),
        (lambda: backfill(T, fills="id.x")(fill), "its own key", "another column"),
        (lambda: backfill(T, fills="a", stamp="id")(fill), "its own key", "another column"),
        (lambda: backfill(T, fills="a", preserve="a")(fill), "filled and preserved", "preserve"),
        (lambda: backfill(T, fills="a", version="")(fill), "version is a text", 'version="1.0"'),
        (lambda: backfill(T, fills="a", version=2)(fill), "version is a text", 'version="1.0"'),
        (lambda: backfill(T, fills="a", batch=0)(fill), "how many rows a call gets", "batch=10"),
        (lambda: backfill(T, fills="a", batch=True)(fill), "how many rows a call", "batch=10"),
        (
            lambda: backfill(T, fills="a", name="q")(None),
            "needs a function, or sql=",
            "def fill(row)",
        ),
        (lambda: backfill(T, fills="a")(two), "takes one parameter", "def fill(row, ctx)"),
        (lambda: backfill(T, fills="a", batch=2)(two), "takes one para", "def fill(rows, ctx)"),
        (lambda: backfill(T, fills="a")(none), "takes one parameter", "def fill(row)"),
        (lambda: backfill(T, fills="a")(keyword), "takes one parameter", "def fill(row)"),
        (lambda: backfill(T, fills="a")(gen), "does not yield", "return {"),
        (lambda: backfill(T, fills="a")(lambda row: row), "needs a name", 'name="lower_style"'),
        (lambda: backfill(T, fills="a", name="a b")(fill), "needs a name", "name="),
        (lambda: backfill(T, fills=("a", "b"), sql="x", name="q"), "one expression", "sql={"),
        (lambda: backfill(T, fills="a", sql={"b": "x"}, name="q"), "for every fill", "sql={"),
        (lambda: backfill(T, fills="a", sql="x;", name="q"), "not a statement", "sql="),
        (lambda: backfill(T, fills="a", sql="x")(has_body), "only a docstring", "drop sql="),
        (lambda: backfill(T, fills="a", sql="x", batch=2)(none), "no calls", "drop batch="),
        (lambda: backfill(T, fills="a", missing="b;")(fill), "not a statement", "semicolon"),
        (lambda: backfill(T, fills="a", missing="b > :n")(fill), ":n in its SQL", "Params"),
        (lambda: backfill(T, fills="a", params=dict)(fill), "pydantic model", "params=Params"),
        (
            lambda: backfill(T, fills="a", checks=["x"])(fill),
            "checks are of proctor.checks",
            "lambda",
        ),
        (lambda: backfill(T, fills="a", undo_for=30)(fill), "undo_for is a time", "timedelta"),
        (lambda: backfill(T, fills="a", budget=0.1)(fill), "ErrorBudget", "ErrorBudget(share"),
        (lambda: backfill(T, fills="a", concurrency=0)(fill), "in flight", "concurrency=8"),
        (lambda: backfill(T, fills="a", bisect=False)(fill), "in halves", "batch=10"),
        (lambda: backfill(T, fills="a", batch=2, bisect=0)(fill), "in halves", "bisect=False"),
        (lambda: backfill(T, fills="a", watch=["x"])(fill), "watch= takes", "Watch("),
        (lambda: backfill(T, fills="a", depends="no.txt")(fill), "beside the module", "depends="),
        (lambda: backfill(GUARDED, fills="a")(fill), "another table to write", "into=table("),
        (lambda: backfill(T, fills="a", into="b")(fill), "into= is a table", "into=table("),
        (
            lambda: backfill(T, fills="a", into=table("b", key="x", where="y"))(fill),
            "without where=",
            "into=table(",
        ),
        (
            lambda: backfill(T, fills="a", into=table("b", key=("x", "y")))(fill),
            "column by column",
            "as many columns",
        ),
        (
            lambda: backfill(T, fills="x", into=table("b", key="x"))(fill),
            "its own key",
            "another column",
        ),
        (lambda: table("", key="id"), "table's name must be text", "table("),
        (lambda: table("t", key=()), "key names nothing", "table("),
        (lambda: table("t"), "key names nothing", "table("),
        (lambda: query("SELECT 1", guard="target"), "key names nothing", "query("),
        (lambda: backfill(T, fills="a", where="x")(fill), "does not know where=", "table("),
        (lambda: backfill(T, fill="a")(fill), "does not know fill=", "did you mean fills=?"),
        (lambda: backfill(T, zzz=1)(fill), "does not know zzz=", "it takes batch"),
        (lambda: table("t", key="-"), "each of its columns once", "-id"),
        (lambda: table("t", key=("a", "-a")), "each of its columns once", "-id"),
        (lambda: table("t", key=7), "key must be text", "table("),
        (lambda: table("t\x00", key="id"), "must be text", "table("),
        (lambda: query("SELECT 1", key="id"), "carry no version", 'guard="target"'),
        (lambda: query("DELETE FROM t", key="id", guard="target"), "one SELECT", "query("),
        (lambda: query("SELECT 1;", key="id", guard="target"), "one SELECT", "query("),
        (lambda: query("SELECT 1", key="id", guard="x"), "'rows' or 'target'", "query("),
        (lambda: ErrorBudget(share=5), "part of one", "share=0.05"),
        (lambda: ErrorBudget(count=-1), "counts of an error budget", "count=20"),
        (lambda: Watch(name="q", limit=1), "exactly one of", "Watch("),
        (lambda: Watch(name="q", limit=1, sql="x", http="y"), "exactly one of", "Watch("),
        (lambda: Watch(name="q", limit=1, http="y"), "json= is the path", "json="),
        (lambda: Watch(name="q", limit=0, sql="x"), "limit above zero", "number at which"),
    ],
)
def test_definition_errors_teach(define, what, right):
    """Each says what is wrong, what was found, and shows the right code."""
    with pytest.raises(DefinitionError, match=re.escape(what)) as caught:
        define()
    assert what in caught.value.what
    assert caught.value.found
    assert right in caught.value.fix
    assert caught.value.exit_code == 2


def test_a_definition_error_names_the_backfill_and_its_line():
    """Whoever reads it can go there."""
    with pytest.raises(DefinitionError, match=r"^fill \(test_authoring\.py:\d+\): "):
        backfill(T, fills="id")(fill)


class TestParams:
    """Parameters as a person types them."""

    made = backfill(
        table("wardrobe", key="id", where="seen > :since AND n < :limit"),
        fills="style",
        params=Params,
        name="with_params",
    )(fill)

    def test_values_are_validated_and_reach_the_spec(self):
        """Scalars as they are, dates as ISO text, the rest as JSON; the function gets the model."""
        spec, bound = self.made.bind({"since": "2026-01-02", "fast": "yes", "tags": '["a", "b"]'})
        assert bound == Params(since=date(2026, 1, 2), fast=True, tags=["a", "b"])
        assert dict(spec.params) == {
            "since": "2026-01-02", "limit": 5, "fast": True, "tags": '["a","b"]', "note": None,
        }  # fmt: skip
        assert self.made.spec.params == ()

    def test_what_was_bound_can_be_bound_again(self):
        """A resumed run and `verify` start from the spec that the target keeps."""
        spec, bound = self.made.bind({"since": "2026-01-02", "tags": '["a"]', "limit": "7"})
        again = self.made.bind({n: str(v) for n, v in spec.params if v is not None})
        assert again == (spec, bound)

    @pytest.mark.parametrize(
        ("values", "what", "hint"),
        [
            ({}, "parameter since of with_params is needed", "since="),
            ({"since": "soon"}, "parameter since of with_params is not right", "since="),
            ({"since": "2026-01-02", "limit": "many"}, "parameter limit", "int"),
            ({"sinse": "2026-01-02"}, "no parameter sinse", "did you mean since"),
        ],
    )
    def test_wrong_parameters_are_named(self, values, what, hint):
        """UsageError names the parameter and never repeats its value."""
        with pytest.raises(UsageError) as caught:
            self.made.bind(values)
        assert what in caught.value.what
        assert hint in caught.value.fix
        assert "many" not in str(caught.value)
        assert "soon" not in str(caught.value)

    def test_a_backfill_without_parameters_takes_none(self):
        """Neither silently nor otherwise."""
        plain = backfill(T, fills="style")(fill)
        assert plain.bind({}) == (plain.spec, None)
        with pytest.raises(UsageError, match="no parameter x"):
            plain.bind({"x": "1"})


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("a > :since AND b = :b_1", {"since", "b_1"}),
        ("a::text = ':no' AND \":no\" = $$:no$$ -- :no\n/* :no */", set()),
        ("tags[1:n] = tags[:m]", set()),
        ("(:a)", {"a"}),
        ("$q$ :no $$ $q$ || :yes", {"yes"}),
    ],
)
def test_placeholders_are_told_from_casts_and_quotes(sql, names):
    """A colon means a parameter only where SQL would not read it otherwise."""
    assert placeholders(sql) == names


SOURCE = """
from proctor import backfill, table

@backfill(table("t", key="id"), fills="x", version="{version}")
def fill_x(row):
    return {{"x": 1}}
"""


class TestLoad:
    """Modules of proctor.toml."""

    def test_backfills_are_found_by_name(self, tmp_path):
        """Also those that the module imports from its neighbours."""
        made = project(
            tmp_path,
            backfills="from pkg.more import fill_x\n",
            **{"pkg/more": SOURCE.format(version="1")},
        )
        assert list(made) == ["fill_x"]

    def test_other_projects_and_edited_files_are_imported_afresh(self, tmp_path):
        """One process, two projects with a module of the same name, and an edit within a second."""
        for root in ("a", "b"):
            made = project(tmp_path / root, backfills=SOURCE.format(version=root))
            assert made["fill_x"].version == root
        made = project(tmp_path / "b", backfills=SOURCE.format(version="c"))
        assert made["fill_x"].version == "c"
        same = load(["backfills"], tmp_path / "b")
        assert same["fill_x"] is made["fill_x"]
        assert not list(tmp_path.rglob("*.pyc"))

    def test_two_backfills_of_one_name_are_refused(self, tmp_path):
        """Naming both files and lines."""
        with pytest.raises(DefinitionError, match="two backfills are named fill_x") as caught:
            project(
                tmp_path,
                backfills="import other\n" + SOURCE.format(version="1"),
                other=SOURCE.format(version="2"),
            )
        assert "other.py:4 and backfills.py:5" in caught.value.found
        assert 'name="…"' in caught.value.fix

    def test_a_missing_module_is_the_operators_error(self, tmp_path):
        """The module that proctor.toml names is not there."""
        with pytest.raises(ConfigError, match="names the module nowhere"):
            load(["nowhere"], tmp_path)

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("import does_not_exist\n", "ModuleNotFoundError at backfills.py:1"),
            ("x = 1\n1 / 0\n", "ZeroDivisionError at backfills.py:2"),
            ("x = 1\ndef\n", "SyntaxError at backfills.py:2"),
        ],
    )
    def test_a_module_that_breaks_says_where(self, tmp_path, source, words):
        """The author's exception, its file and its line."""
        with pytest.raises(DefinitionError, match="cannot be imported") as caught:
            project(tmp_path, backfills=source)
        assert words in caught.value.found

    def test_an_error_in_a_source_says_where(self, tmp_path):
        """table() does not know for whom it is called; loading adds the line."""
        with pytest.raises(DefinitionError, match=r"\(backfills\.py:2\)"):
            project(tmp_path, backfills="from proctor import table\ntable('', key='id')\n")

    def test_a_module_without_backfills_is_a_mistake(self, tmp_path):
        """A package that imports none is told to name its modules."""
        with pytest.raises(ConfigError, match="defines no backfill"):
            project(tmp_path, backfills="")
        with pytest.raises(ConfigError, match="defines no backfill") as caught:
            project(tmp_path / "p", **{"backfills/__init__": ""})
        assert "backfills.…" in caught.value.fix


def test_a_nameless_backfill_inside_a_function_is_not_registered():
    """Two tests may define the same name; neither can be found by importing a module."""

    def local(row): ...

    backfill(T, fills="style")(local)
    assert "local" not in REGISTRY


def test_importing_proctor_is_light():
    """The public names are there, and nothing heavy is imported for them."""
    script = (
        "import proctor, sys; assert not {'pydantic', 'asyncio', 'proctor.authoring'} & "
        "set(sys.modules); assert all(getattr(proctor, n) for n in proctor.__all__); "
        "assert proctor.__all__ == sorted(proctor.__all__); "
        "assert 'pydantic' not in sys.modules; print(dir(proctor))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "backfill" in done.stdout


def test_undo_is_kept_for_a_month_unless_said_otherwise():
    """The default that prune follows."""
    assert backfill(T, fills="style")(fill).undo_for == timedelta(days=30)
