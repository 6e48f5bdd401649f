"""The kit for authors: a backfill on rows in memory, settled by the code that a run uses."""

import subprocess
import sys
import textwrap

from datetime import date
from decimal import Decimal
from uuid import UUID

import pydantic
import pytest

from proctor.authoring import Refuse, Skip, backfill, grid, query, table
from proctor.errors import AnswerError, UsageError
from proctor.model import Outcome
from proctor.testing import assert_idempotent, assert_only_declared_fields, run_backfill

T = table("wardrobe", key="id")


def lowered(row):
    if row["style"] is None:
        return Skip("no style")
    if row["style"] == "?":
        return Refuse("unreadable")
    return {"plain": row["style"].strip().lower()}


LOWER = backfill(T, fills="plain", name="kit_lower")(lowered)
ROWS = [
    {"id": 1, "style": " Red ", "plain": None},
    {"id": 2, "style": None, "plain": None},
    {"id": 3, "style": "?"},
    {"id": 4, "style": 7},
    {"id": 5, "style": "Blue", "plain": "blue"},
]


def test_rows_end_in_buckets_and_the_given_ones_stand():
    """The books are a run's books: a row that is not eligible is not read."""
    done = run_backfill(LOWER, ROWS)
    assert done.outcome.as_dict() == {
        "read": 4, "written": 1, "unchanged": 0, "skipped": 1, "refused": 1, "failed": 1,
        "conflicted": 0, "gone": 0,
    }  # fmt: skip
    assert done.outcome.balances
    assert done.rows[0] == {"id": 1, "style": " Red ", "plain": "red"}
    assert ROWS[0]["plain"] is None
    assert done.rows[1:] == ROWS[1:]
    assert done.written == {(1,): {"plain": "red"}}
    assert done.reasons[(2,)] == "no style"
    assert "AttributeError" in done.reasons[(4,)]


def test_a_bug_in_every_answer_is_raised():
    """As the first page of a run would; or listed, where a test wants to see it."""
    wrong = backfill(T, fills="plain", name="kit_wrong")(lambda row: {"plane": 1})
    with pytest.raises(AnswerError, match="cannot be written for 4 of the 4 rows"):
        run_backfill(wrong, ROWS)
    assert run_backfill(wrong, ROWS, strict=False).outcome.failed == 4


def test_conditions_of_the_definition_are_evaluated():
    """`where=` and `missing=` in SQL, with parameters and the stamp."""

    class Params(pydantic.BaseModel):
        since: date = date(2026, 1, 1)

    made = backfill(
        table("wardrobe", key="id", where="seen >= :since"),
        fills="plain",
        missing="plain IS NULL OR plain = ''",
        stamp="v",
        version="2",
        params=Params,
        name="kit_where",
    )(lambda row: {"plain": "x"})
    rows = [
        {"id": 1, "seen": date(2026, 1, 2), "plain": "", "v": "2"},
        {"id": 2, "seen": date(2026, 1, 2), "plain": "y", "v": "2"},
        {"id": 3, "seen": date(2026, 1, 2), "plain": "y", "v": "1"},
        {"id": 4, "seen": date(2025, 1, 2), "plain": "", "v": None},
    ]
    assert set(run_backfill(made, rows).written) == {(1,), (3,)}
    assert run_backfill(made, rows).rows[2]["v"] == "2"
    later = run_backfill(made, rows, params={"since": date(2025, 1, 1)})
    assert set(later.written) == {(1,), (3,), (4,)}
    assert set(run_backfill(made, rows, eligible=lambda row: row["id"] == 2).written) == {(2,)}


def test_sql_that_only_another_database_knows_is_said():
    """The kit does not guess."""
    made = backfill(table("t", key="id", where="a @> b"), fills="x", name="kit_pg")(lowered)
    with pytest.raises(UsageError, match="does not understand"):
        run_backfill(made, [{"id": 1, "a": 1, "b": 2, "style": "x"}])


def test_expressions_are_evaluated():
    """`sql=` needs no database for what SQLite knows, hostile names and values included."""
    made = backfill(
        table("t", key="id"), sql={"plain": 'lower("sty""le") || :tail'}, name="kit_sql",
        params=pydantic.create_model("P", tail=(str, "!")),
    )  # fmt: skip
    done = run_backfill(made, [{"id": 1, 'sty"le': "R'); DROP TABLE t;--", "plain": None}])
    assert done.rows[0]["plain"] == "r'); drop table t;--!"


def test_another_table_is_filled():
    """Missing rows of `into=` are inserted with their key, standing ones updated or left."""
    made = backfill(
        query("SELECT id, title FROM songs", key="id", guard="target"),
        fills="mood",
        into=table("moods", key="song_id"),
        name="kit_into",
    )(lambda row: {"mood": row["title"].lower()})
    key = UUID(int=7)
    done = run_backfill(
        made,
        [{"id": 1, "title": "A"}, {"id": 2, "title": "B"}, {"id": key, "title": "C"}],
        target=[{"song_id": 1, "mood": None, "note": "n"}, {"song_id": 2, "mood": "old"}],
    )
    assert done.target == [
        {"song_id": 1, "mood": "a", "note": "n"},
        {"song_id": 2, "mood": "old"},
        {"song_id": key, "mood": "c"},
    ]
    assert done.outcome.read == 2


@pytest.mark.parametrize("doc", [{"a": 1}, '{"a": 1}', None])
def test_a_nested_fill_is_written_at_its_path(doc):
    """In a document, or in one kept as text; the rest of it stays."""
    made = backfill(T, fills="doc.deep.x", name="kit_nested")(lambda row: {"x": [1]})
    done = run_backfill(made, [{"id": 1, "doc": doc}])
    expected = ({} if doc is None else {"a": 1}) | {"deep": {"x": [1]}}
    found = done.rows[0]["doc"]
    assert found == ('{"a": 1, "deep": {"x": [1]}}' if isinstance(doc, str) else expected)
    assert run_backfill(made, done.rows).outcome.read == 0


async def test_async_functions_run_inside_an_async_test():
    """Also where a loop is running already; python types reach the function unchanged."""

    async def typed(rows, ctx):
        return [{"plain": str(type(row["n"]).__name__)} for row in rows]

    made = backfill(T, fills="plain", batch=2, name="kit_async")(typed)
    done = run_backfill(made, [{"id": i, "n": Decimal(1)} for i in range(3)])
    assert [row["plain"] for row in done.rows] == ["Decimal"] * 3


def test_rows_without_a_key_or_with_the_same_are_refused():
    """One clear sentence."""
    with pytest.raises(UsageError, match="each row needs its key"):
        run_backfill(LOWER, [{"style": "x"}])
    with pytest.raises(UsageError, match="two rows"):
        run_backfill(LOWER, [{"id": 1}, {"id": 1}])


def test_a_good_backfill_passes_the_assertions():
    """And they hand back the run for further ones."""
    assert assert_idempotent(LOWER, ROWS).outcome.written == 1
    assert assert_only_declared_fields(LOWER, ROWS).outcome.written == 1


def test_what_is_not_idempotent_is_found():
    """Dice, counters, and conditions that their own result does not satisfy."""
    counter = iter(range(100))
    dice = backfill(T, fills="plain", name="kit_dice")(lambda row: {"plain": next(counter)})
    with pytest.raises(AssertionError, match="other values from the same rows"):
        assert_idempotent(dice, [{"id": 1}])
    again = backfill(T, fills="n", missing="n < 10", name="kit_again")(
        lambda row: {"n": row["n"] + 1}
    )
    with pytest.raises(AssertionError, match="a second run over its result writes 1 rows"):
        assert_idempotent(again, [{"id": 1, "n": 0}])
    grows = backfill(T, fills="n", missing="n = 0", name="kit_grows")(
        lambda row: {"n": row["n"] + 1}
    )
    with pytest.raises(AssertionError, match="from the rows that it wrote: 'n' of row"):
        assert_idempotent(grows, [{"id": 1, "n": 0}])


def test_undeclared_fields_and_spoilt_rows_are_found():
    """What a run would refuse or throw away is a surprise that a test should find."""
    more = backfill(T, fills="plain", name="kit_more")(
        lambda row: {"plain": 1} | ({"style": 2} if row["id"] == 2 else {})
    )
    with pytest.raises(AssertionError, match=r"row \(2,\): .*style, which fills= does not name"):
        assert_only_declared_fields(more, [{"id": 1}, {"id": 2}])

    def spoil(row):
        row["tags"].append("x")
        return {"plain": 1}

    spoils = backfill(T, fills="plain", name="kit_spoil", checks=[lambda row, answer: True])(spoil)
    with pytest.raises(AssertionError, match="changes 'tags' of the row"):
        assert_only_declared_fields(spoils, [{"id": 1, "tags": []}])


def test_the_fixtures_are_found_by_pytest(tmp_path):
    """An author's test needs no import: the plugin comes with the package."""
    (tmp_path / "proctor.toml").write_text('backfills = ["mine"]\n')
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
        from proctor import backfill, table

        @backfill(table("t", key="id"), fills="x")
        def fill_x(row):
            return {"x": 1}
        """)
    )
    (tmp_path / "test_mine.py").write_text(
        textwrap.dedent("""
        import sys

        assert "proctor.authoring" not in sys.modules, "the plugin is heavy"

        def test_it(proctor_backfills, run_backfill):
            assert run_backfill(proctor_backfills["fill_x"], [{"id": 1}]).outcome.written == 1
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-Werror", "-pno:cacheprovider", "-pno:asyncio"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_rows_that_units_emit_can_be_looked_at():
    """A grid's function is tried as any other: units in, and the rows of its table out."""

    @backfill(grid(month=(1, 2, 3)), emits=table("works", key="isbn"), fills="title")
    def books(unit, ctx):
        """Two of three months have a book, one of them a known one."""
        ctx.record(asked=1)
        return [{"isbn": str(unit["month"]), "title": "T"}] if unit["month"] < 3 else []

    done = run_backfill(
        books, [{"month": n} for n in (1, 2, 3)], target=[{"isbn": "1", "title": "T", "n": 7}]
    )
    assert done.outcome == Outcome(read=3, written=1, unchanged=2)
    assert done.target == [{"isbn": "1", "title": "T", "n": 7}, {"isbn": "2", "title": "T"}]
    assert_idempotent(books, [{"month": 1}])
