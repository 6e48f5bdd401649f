"""Ready checks in a definition: refused at import where they cannot work, seen by every tool."""

import json

from datetime import timedelta

import pytest

from proctor import DefinitionError, backfill, checks, table
from proctor.core.checks import Given
from proctor.model import Ruling
from proctor.testing import run_backfill

T = table("songs", key="id", columns=("id", "title"))


def define(given, **words):
    def mood(row):
        return {"mood": row["title"]}

    return backfill(T, **{"fills": "mood", "checks": given, **words})(mood)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: define([checks.length("feel", most=3)]), "about a fill"),
        (lambda: define([checks.length("moody", most=3)]), "about a fill"),
        (lambda: define([checks.echo("mood", of="lyrics")]), "column that is not read"),
        (lambda: define(["length"]), "proctor.checks, or functions"),
        (
            lambda: backfill(
                T, sql="lower(title)", name="x", fills="mood", checks=[checks.empty("mood")]
            ),
            "computed in the database",
        ),
    ],
)
def test_a_check_that_cannot_work_is_refused_at_import(make, what):
    with pytest.raises(DefinitionError, match=what) as refused:
        make()
    assert refused.value.fix


def test_a_check_may_be_about_a_path_in_a_fill_and_a_key_column():
    made = define([checks.empty("mood.main"), checks.echo("mood", of=("id", "title"))])
    assert [check.kind for check in made.ready] == ["empty", "echo"]
    assert define(checks.empty("mood")).ready == (checks.empty("mood"),)


def test_both_kinds_of_check_stand_in_one_list():
    """The author's own refuses, a ready one rejects; each is counted in its bucket."""
    made = define([checks.length("mood", most=5), lambda row, answer: row["title"] != "no"])
    rows = [{"id": n, "title": t, "mood": None} for n, t in enumerate(["sad", "no", "too long"])]
    done = run_backfill(made, rows)
    assert (done.outcome.written, done.outcome.refused, done.outcome.failed) == (1, 1, 1)
    assert done.reasons[2,] == "check length: mood is longer than 5 characters"


def test_the_row_is_compared_as_it_was_read():
    """A function may do with its row what it likes."""

    def spoil(row):
        title = row.pop("title")
        return {"mood": title}

    made = backfill(T, fills="mood", checks=[checks.echo("mood", of="title")])(spoil)
    done = run_backfill(made, [{"id": 1, "title": "a sad song", "mood": None}])
    assert done.reasons[1,] == "check echo: mood repeats title"


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: checks.one_of("mood", ()), "texts, numbers or booleans"),
        (lambda: checks.one_of("mood", "sad"), "texts, numbers or booleans"),
        (lambda: checks.one_of("mood", (None,)), "texts, numbers or booleans"),
        (lambda: checks.one_of("mood", (float("nan"),)), "finite"),
        (lambda: checks.between("mood"), "needs a bound"),
        (lambda: checks.between("mood", 2, 1), "lower bound comes first"),
        (lambda: checks.between("mood", True), "finite number"),
        (lambda: checks.between("mood", most=float("inf")), "finite number"),
        (lambda: checks.json_shape("mood", {}), "kinds by key"),
        (lambda: checks.json_shape("mood", {"a": "string"}), "knows the kinds"),
        (lambda: checks.stamped("mood", within=7), "timedelta above zero"),
        (lambda: checks.stamped("mood", within=timedelta(0)), "timedelta above zero"),
        (lambda: checks.drift("mood", -0.1), "part of the old value"),
        (lambda: checks.drift("mood", "0.1"), "part of the old value"),
        (lambda: checks.python("mood", "len"), "takes a function"),
        (lambda: checks.sql("ordered", ""), "condition of sql"),
        (lambda: checks.refers("mood", "", "id"), "table of refers"),
        (lambda: checks.empty("mood", where=""), "where="),
    ],
)
def test_wrong_words_of_checks_of_data_are_refused_at_import(make, what):
    with pytest.raises(DefinitionError, match=what) as refused:
        make()
    assert refused.value.fix


def test_checks_of_data_reject_rows_before_they_are_written():
    """All but those that only the database can judge, and those with a condition."""
    made = define(
        [
            checks.one_of("mood", ("sad", "GLAD")),
            checks.lower_case("mood"),
            checks.python("mood", lambda mood: mood != "sad" or "is sad"),
            checks.length("mood", most=1, where="title <> ''"),
            checks.sql("never", "1 = 0"),
            checks.refers("mood", "moods", "name"),
        ]
    )
    rows = [{"id": n, "title": t, "mood": None} for n, t in enumerate(["sad", "GLAD", "odd"])]
    done = run_backfill(made, rows)
    assert done.reasons == {
        (0,): "check python: mood is sad",
        (1,): "check lower_case: mood is not all lower case",
        (2,): "check one_of: mood is another value",
    }


def test_a_drift_is_seen_before_the_old_value_is_written_over():
    """Of a row that stands there nobody knows what stood before."""
    drift = checks.drift("title", 0.1)

    @backfill(
        table("songs", key="id"),
        fills="price",
        missing="1 = 1",
        checks=[checks.drift("price", 0.1)],
    )
    def price(row):
        return {"price": row["new"]}

    rows = [{"id": n, "price": 100, "new": new} for n, new in enumerate([110, 111, 90, 89])]
    done = run_backfill(price, [*rows, {"id": 9, "price": None, "new": 5}])
    assert set(done.reasons) == {(1,), (3,)}
    assert drift.judge(5, Given(row={"title": 5}, standing=True)).ruling is Ruling.INCONCLUSIVE
    assert drift.judge(0, Given(row={"title": 0})).ruling is Ruling.PASS
    assert drift.judge(1, Given(row={"title": 0})).ruling is Ruling.FAIL


def test_what_only_the_database_judges_may_stand_beside_sql():
    """It is asked afterwards; what judges an answer would never be asked."""
    made = backfill(
        T, sql="lower(title)", name="x", fills="mood", checks=[checks.sql("low", "mood <> title")]
    )
    assert [check.kind for check in made.ready] == ["sql"]


def test_an_approval_covers_what_a_check_is_made_of():
    """P9: JSON, with the function by its name, and another bound is another check."""
    for one, other in (
        (checks.python("m", len), checks.python("m", max)),
        (checks.stamped("m", within=timedelta(1)), checks.stamped("m", within=timedelta(2))),
        (checks.sql("m", "a < b"), checks.sql("m", "a < b", where="c")),
        (checks.json_shape("m", {"a": "text"}), checks.json_shape("m", {"a": "text?"})),
    ):
        assert json.dumps(one.identity()) != json.dumps(other.identity())
