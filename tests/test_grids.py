"""What an author may write as a grid; every refusal shows the right code."""

import pytest

from proctor.authoring import backfill, grid, query, table
from proctor.errors import DefinitionError

MONTHS = grid(year=(2024, 2023), month=range(1, 3))
WORKS = table("works", key="isbn")


def test_a_grid_is_a_query_over_its_axes():
    """Texts are quoted; the key follows `order`, then the axes as they were named."""
    made = grid(country=("de", "l'x:y"), year=[1], order="-year")
    assert made.sql == (
        "WITH \"proctor_country\"(\"country\") AS (VALUES ('de'), ('l''x:y')), "
        '"proctor_year"("year") AS (VALUES (1)) SELECT "country", "year" '
        'FROM "proctor_country" CROSS JOIN "proctor_year"'
    )
    assert [(p.column, p.descending) for p in made.key] == [("year", True), ("country", False)]


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({}, "at least one axis"),
        ({"year": 2024}, "is a list of values"),
        ({"year": "2024"}, "is a list of values"),
        ({"year": []}, "whole numbers, or texts"),
        ({"year": [1, "a"]}, "whole numbers, or texts"),
        ({"year": [True]}, "whole numbers, or texts"),
        ({"year": [1.5]}, "whole numbers, or texts"),
        ({"year": [1, 2, 1]}, "names each value once"),
        ({"year": [2**63]}, "cannot be a key"),
        ({"name": ["a\n"]}, "cannot be a key"),
        ({"year": range(1000), "day": range(101)}, "at most 100,000 units"),
        ({"year": iter(int, 1)}, "at most 100,000 values"),
        ({"year": [1], "order": "-month"}, "names axes of the grid"),
        ({"year": [1], "order": ("year", "-year")}, "names axes of the grid"),
        ({"year": [1], "attempts": 0}, "how often a unit is tried"),
    ],
)
def test_what_is_no_grid_is_refused(axes, said):
    """Found where it is written, before any database is asked."""
    with pytest.raises(DefinitionError, match=said) as refused:
        grid(**axes)
    assert refused.value.fix


@pytest.mark.parametrize(
    ("source", "words", "said"),
    [
        (MONTHS, {}, "needs one table to write to"),
        (MONTHS, {"emits": WORKS, "into": WORKS}, "needs one table to write to"),
        (MONTHS, {"emits": "works"}, "is a table and its key"),
        (MONTHS, {"emits": table("works", key="isbn", where="x")}, "is a table and its key"),
        (MONTHS, {"emits": WORKS, "batch": 2}, "batch= does not go with emits="),
        (MONTHS, {"emits": WORKS, "missing": "title IS NULL"}, "missing= does not go with emits="),
        (MONTHS, {"emits": WORKS, "fills": "isbn"}, "its own key"),
        (MONTHS, {"into": WORKS}, "the values of the source's key"),
        (table("items", key="id"), {"emits": WORKS}, "for the units of a grid"),
        (query("SELECT 1 AS id", key="id", guard="target"), {"emits": WORKS}, "units of a grid"),
    ],
)
def test_what_does_not_go_with_units_is_refused(source, words, said):
    """Each with what to write instead."""
    with pytest.raises(DefinitionError, match=said) as refused:

        @backfill(source, **({"fills": "title"} | words))
        def books(unit):
            return []

    assert refused.value.fix


def test_sql_does_no_units():
    """Units are a function's work; for a sum of each month there is a query."""
    with pytest.raises(DefinitionError, match="done by a function"):
        backfill(MONTHS, into=WORKS, fills="title", sql="'x'", name="books")
