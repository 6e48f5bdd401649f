"""What a unit gives is rows of its target, or it is said what is wrong with them."""

import math

from datetime import date
from uuid import UUID

import pytest

from proctor.core.answer import Failure
from proctor.core.emit import Emitting
from proctor.core.settle import settle
from proctor.errors import AnswerError
from proctor.model import KeyPart, Outcome, Page, Source, Spec

SPEC = Spec(
    backfill="books",
    version="7",
    kind=Source.QUERY,
    source="SELECT 1 AS month",
    key=(KeyPart(column="month"),),
    fills=("title",),
    into="works",
    into_key=("isbn",),
    stamp="made_by",
    attempts=5,
    emits=True,
)


def book(isbn, title="T", **more):
    return {"isbn": isbn, "title": title, **more}


def test_rows_become_keys_and_values_with_the_stamp():
    """Keys as they are kept; the same row twice is one row."""
    given = [book("a"), book(7), book("a"), book(UUID(int=1)), book(date(2024, 2, 1))]
    assert Emitting(SPEC).read(given) == [
        (("a",), ("T", "7")),
        ((7,), ("T", "7")),
        ((str(UUID(int=1)),), ("T", "7")),
        (("2024-02-01",), ("T", "7")),
    ]
    assert Emitting(SPEC).read([]) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "the function returned nothing"),
        ({"isbn": "a", "title": "T"}, "the function returned a dict"),
        ([book("a"), "b"], "row 2 of 2 is a str"),
        ([{"title": "T"}], "row 1 of 1 has no 'isbn', which is its key"),
        ([book(None)], "row 1 of 1 has a key that cannot be one"),
        ([book("")], "row 1 of 1 has a key that cannot be one"),
        ([book(True)], "row 1 of 1 has a key that cannot be one"),
        ([{"isbn": "a"}], "row 1 of 1 has no 'title'"),
        ([book("a", note="x")], "row 1 of 1 has note, which fills= does not name"),
        ([book("a", "T"), book("a", "U")], "row 2 of 2 has the key of another row of the unit"),
        ([book("a"), book("b", math.nan)], "row 2 of 2, 'title'"),
    ],
)
def test_what_is_wrong_is_said_without_a_value(given, said):
    """The row is named by its place, and what should be returned is shown where that helps."""
    found = Emitting(SPEC).read(given)
    assert isinstance(found, Failure)
    assert found.reason.startswith(said)


PAGE = Page(keys=[(1,)], rows=[{"month": 1}], versions=[()], images=[()])


@pytest.mark.parametrize("given", [[book("a", "T"), book("a", "U")], [book(None)], [book("")]])
def test_a_key_that_a_list_lacks_or_has_twice_fails_its_unit_and_not_the_run(given):
    """Whoever was asked for the list may say so of one unit, and of the first as of any other."""
    assert settle(PAGE, [given], SPEC, strict=True).outcome == Outcome(read=1, failed=1)


@pytest.mark.parametrize(
    "given", [None, {}, ["a"], [{"title": "T"}], [book(1.5)], [book("a", n=1)]]
)
def test_rows_that_are_spelled_wrong_stop_the_run_at_its_first_unit(given):
    """That lies in the code, and the next unit would only cost money."""
    with pytest.raises(AnswerError):
        settle(PAGE, [given], SPEC, strict=True)
