"""P9: what was approved is what runs; layout never voids an approval, meaning always does."""

from dataclasses import replace

import pytest

from proctor.authoring import backfill, table
from proctor.engine.digest import digest_code, digest_parts, digest_source, identity
from proctor.errors import DefinitionError
from proctor.model import Shape
from projects import project

BACKFILLS = '''
"""What we fill."""
import json

from helpers import lowered
from proctor import backfill, table

@backfill(table("t", key="id"), fills="x", depends=("prompt.txt",))
def fill_x(row):
    """Lower it."""
    import late.deep  # only now
    return {"x": lowered(row["x"])}
'''
HELPERS = '''
"""Helps."""
from inner.words import SEPARATOR

LIMIT = 10

def lowered(text):
    """Small letters."""
    return text.lower()[:LIMIT] + SEPARATOR
'''


@pytest.fixture
def code(tmp_path):
    """Digest the project as it stands after overwriting some of its modules."""
    (tmp_path / "prompt.txt").write_text("Say it.")

    def digested(**changed):
        files = {
            "backfills": BACKFILLS,
            "helpers": HELPERS,
            "inner/__init__": "",
            "inner/words": "SEPARATOR = '-'\n",
            "late/__init__": "",
            "late/deep": "from . import side\n",
            "late/side": "X = 1\n",
            "unrelated": "X = 1\n",
        }
        made = project(tmp_path, **(files | changed))
        return digest_code(made["fill_x"], tmp_path)

    return digested


def test_every_file_behind_the_function_is_named(code):
    """Imports of imports, imports inside functions, packages on the way, files it depends on."""
    assert sorted(code().files) == [
        "backfills.py", "helpers.py", "inner/__init__.py", "inner/words.py", "late/__init__.py",
        "late/deep.py", "late/side.py", "prompt.txt", "python",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("helpers", '"""Helps."""', '"""Helps a lot,\nand more."""'),
        ("helpers", "    return text", "    # the reason\n\n    return text"),
        ("helpers", '    """Small letters."""\n', ""),
        ("helpers", "LIMIT = 10", "LIMIT = (\n    10\n)"),
        ("backfills", 'row["x"]', "row['x']"),
        ("backfills", '"""Lower it."""', '"""Lower it well."""'),
    ],
)
def test_layout_comments_and_docstrings_do_not_count(code, module, old, new):
    """Formatting never voids an approval."""
    sources = {"helpers": HELPERS, "backfills": BACKFILLS}
    assert old in sources[module]
    assert code(**{module: sources[module].replace(old, new)}).digest == code().digest


@pytest.mark.parametrize(
    ("module", "source", "named"),
    [
        ("helpers", HELPERS.replace("LIMIT = 10", "LIMIT = 11"), "helpers.py"),
        ("inner/words", "SEPARATOR = '+'\n", "inner/words.py"),
        ("late/side", "X = 2\n", "late/side.py"),
        ("backfills", BACKFILLS.replace('fills="x"', 'fills="y"'), "backfills.py"),
        ("helpers", HELPERS.replace(".lower()", ".upper()"), "helpers.py"),
        ("inner/__init__", "import os\n", "inner/__init__.py"),
    ],
)
def test_a_change_of_meaning_is_named_by_its_file(code, module, source, named):
    """A helper's constant is code as much as the function is."""
    then, now = code(), code(**{module: source})
    assert then.digest != now.digest
    assert [n for n in now.files if now.files[n] != then.files.get(n)] == [named]


def test_a_file_that_it_depends_on_counts_by_content(code, tmp_path):
    """A prompt is code too."""
    then = code()
    (tmp_path / "prompt.txt").write_text("Say it twice.")
    assert {n for n, d in code().files.items() if then.files[n] != d} == {"prompt.txt"}


def test_unrelated_files_do_not_count(code):
    """A change next door voids nothing."""
    assert code(unrelated="X = 2\n").digest == code().digest


def test_libraries_count_by_their_version(code):
    """What pip installed is named with its version; Python with its minor version."""
    files = code(helpers=HELPERS + "import pydantic, sqlalchemy.orm, proctor.model, zlib\n").files
    assert files["pydantic"].count(".") == 2
    assert "SQLAlchemy" in files
    assert files["python"].startswith("3.")
    assert not [name for name in files if "proctor" in name]


def test_imports_by_call_and_relative_imports_count(code):
    """import_module("name") with a literal, and dots."""
    dotted = "from .. import helpers\nfrom ..helpers import lowered\nfrom . import side\n"
    files = code(
        helpers=HELPERS + "import importlib\nimportlib.import_module('dynamic')\n",
        dynamic="X = 1\n",
        **{"late/deep": "from .below import here\n"},
        **{"late/below/__init__": "from ..side import X as here\n"},
    ).files
    assert {"dynamic.py", "late/below/__init__.py", "late/side.py"} <= set(files)
    assert digest_source(dotted) != digest_source(dotted.replace("..", "."))


def test_who_calls_a_factory_counts(tmp_path):
    """The function stands in a helper, its meaning also in the module that asked for it."""
    helpers = """
    from proctor import backfill, table

    def lower(column):
        def fill(row):
            return {column: row[column].lower()}
        return backfill(table("t", key="id"), fills=column, name="lower")(fill)
    """
    first = project(tmp_path, helpers=helpers, backfills="import helpers\nL = helpers.lower('a')\n")
    then = digest_code(first["lower"], tmp_path)
    second = project(tmp_path, backfills="import helpers\nL = helpers.lower('b')\n")
    now = digest_code(second["lower"], tmp_path)
    assert set(then.files) == {"backfills.py", "helpers.py", "python"}
    assert then.files["backfills.py"] != now.files["backfills.py"]


def test_code_that_cannot_be_read_cannot_be_approved(tmp_path):
    """A function typed into a prompt has no source to approve."""
    space = {"backfill": backfill, "table": table}
    exec("@backfill(table('t', key='id'), fills='x', name='typed')\ndef f(row): ...", space)
    with pytest.raises(DefinitionError, match="cannot be read"):
        digest_code(space["f"], tmp_path)


TABLE, QUERY = "table('t', key='id'{})", "query('SELECT id, x FROM {}', key='id', guard='target')"


@pytest.mark.parametrize(
    ("source", "more", "named"),
    [
        (TABLE.format(""), "sql='lower(x)'", "sql="),
        (TABLE.format(""), "sql='y', missing='x IS NULL'", "missing="),
        (TABLE.format(""), "sql='y', preserve='z'", "preserve="),
        (TABLE.format(""), "sql='y', sensitive='x'", "sensitive="),
        (TABLE.format(", where='id > 1'"), "sql='y'", "where="),
        (QUERY.format("t WHERE id > 1"), "sql='y', into=table('u', key='id')", "query="),
    ],
)
def test_what_is_given_beside_the_function_is_code(tmp_path, source, more, named):
    """It is mended as the function is, and the refusal names it; the run stays the same one."""
    plain = QUERY.format("t") if source.startswith("query") else TABLE.format("")
    into = ", into=table('u', key='id')" if source.startswith("query") else ""
    text = "from proctor import backfill, query, table\nf = backfill({}, fills='x', name='f', {})"
    then = project(tmp_path, backfills=text.format(plain, f"sql='y'{into}"))["f"]
    before = digest_code(then, tmp_path)
    now = project(tmp_path, backfills=text.format(source, more))["f"]
    after = digest_code(now, tmp_path)
    assert before.files.get(named) != after.files[named]
    assert before.digest != after.digest
    assert identity(then.spec) == identity(now.spec)


def test_parts_tell_what_differs(code, tmp_path):
    """Each part has its own digest: a parameter does not change the code, nor the spec."""
    digested = code()
    spec = project(tmp_path, backfills=BACKFILLS)["fill_x"].spec
    shape = Shape(identity="db/t", address="here", columns=(), target_columns=(), digest="d")

    def parts(**changed):
        given = {
            "code": digested, "spec": spec, "shape": shape, "env": "local", "limits": {"lag": "5"},
        }  # fmt: skip
        return digest_parts(**(given | changed))

    then = parts()
    assert set(then) == {"code", "params", "spec", "schema", "target", "environment", "limits"}
    for changed, names in [
        ({"spec": replace(spec, params=(("a", 1),))}, {"params"}),
        ({"spec": replace(spec, version="2")}, {"spec"}),
        ({"spec": replace(spec, source="others")}, {"spec", "target"}),
        ({"shape": replace(shape, digest="e")}, {"schema"}),
        ({"shape": replace(shape, identity="db2/t")}, {"target"}),
        ({"shape": replace(shape, address="there")}, set()),
        ({"env": "production"}, {"environment"}),
        ({"limits": {}}, {"limits"}),
        ({"code": code(helpers=HELPERS + "Y = 1\n")}, {"code"}),
        ({}, set()),
    ]:
        now = parts(**changed)
        assert {name for name in then if then[name] != now[name]} == names
