"""Ready checks in a definition: refused at import where they cannot work, seen by every tool."""

import pytest

from proctor import DefinitionError, backfill, checks, table
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
