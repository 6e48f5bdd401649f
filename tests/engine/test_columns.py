"""Which columns of a row a function uses: what reports may show of it."""

import copy
import json
import pickle

from datetime import UTC, datetime
from operator import itemgetter

import pytest

from proctor.engine.columns import Notes, named_in_sql, on_record
from proctor.engine.guardrail import guarded
from proctor.model import Event, KeyPart, Source, Spec
from projects import page_of, project

NOW = datetime(2026, 1, 2, tzinfo=UTC)

ROW = {"id": 1, "email": "ann@example.org", "phone": "030", "balance": 7}
ALL = set(ROW)


def used(function):
    notes = Notes()
    function(notes.on(page_of([dict(ROW)])).rows[0])
    return notes.names


def matched(row):
    match row:
        case {"email": str(email)}:
            return email


def matched_by_name(*, email, **_others):
    return email


@pytest.mark.parametrize(
    "take",
    [
        lambda row: row["email"],
        lambda row: row.get("email"),
        lambda row: row.setdefault("email", ""),
        lambda row: row.pop("email"),
        itemgetter("email"),
        lambda row: row.copy()["email"],
        "{email}".format_map,
        lambda row: [row[name] for name in row if name == "email"],
        matched,
    ],
)
def test_a_value_that_is_taken_is_noted_and_no_other(take):
    """However it is taken out of the row."""
    assert used(take) == {"email"}


@pytest.mark.parametrize(
    "take",
    [
        dict,
        lambda row: {**row},
        lambda row: matched_by_name(**row),
        lambda row: list(row.values()),
        lambda row: sorted(row.items(), key=str),
        lambda row: row | {"x": 1},
        lambda row: {"x": 1} | row,
        str,
        "{}".format,
        json.dumps,
        lambda row: [row.popitem() for _ in list(row)],
    ],
)
def test_a_row_that_is_taken_whole_is_noted_whole(take):
    """What goes on as a whole may end anywhere."""
    assert used(take) == ALL


@pytest.mark.parametrize(
    "look", [len, list, sorted, bool, lambda row: "email" in row, lambda row: row.keys()]
)
def test_names_alone_are_no_values(look):
    assert used(look) == set()


def test_a_noted_row_is_the_row():
    """The function sees no difference, and its changes stay its own."""
    rows = [dict(ROW)]
    (row,) = Notes().on(page_of(rows)).rows
    assert isinstance(row, dict)
    assert row == ROW
    assert pickle.loads(pickle.dumps(row)) == copy.deepcopy(row) == ROW
    row["email"] = "changed"
    assert rows == [ROW]


async def test_the_child_notes_what_the_function_uses(tmp_path):
    """Also of a list function, and of one that fails."""
    source = """
from proctor import backfill, table

@backfill(table("t", key="id"), fills="x", batch=2)
def f(rows):
    return [{"x": 1 / row["balance"] if row.get("email") else 0} for row in rows]
"""
    (made,) = project(tmp_path, backfills=source).values()
    page = page_of([ROW, {**ROW, "id": 2, "balance": 0}])
    tried = await guarded(made, page, params=None, now=NOW, root=tmp_path)
    assert tried.columns == {"email", "balance"}


def test_sql_uses_the_columns_that_it_names():
    """In whatever case, quoted or not; a longer word that holds the name is another."""
    spec = Spec(
        backfill="b", version="1", kind=Source.TABLE, source="t", key=(KeyPart(column="id"),),
        fills=("x",), sql=(("x", 'lower(EMAIL) || "odd name" || phone_2'),),
    )  # fmt: skip
    named = named_in_sql(spec, ["email", "odd name", "phone", "balance"])
    assert named == {"email", "odd name"}


def test_what_any_process_noted_counts():
    told = [
        Event(name=name, at=NOW, run="r", env="local", who="mira", data=data)
        for name, data in (
            ("run.opened", {"columns": ["id"]}),
            ("columns.noted", {"columns": ["email"]}),
            ("columns.noted", {"columns": ["phone"]}),
        )
    ]
    assert on_record(told) == {"email", "phone"}
