"""Settling: one answer a row becomes a value to write, or an issue with a reason that teaches."""

import enum

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from uuid import UUID

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.answer import Failure, Refuse, Skip
from proctor.core.settle import settle
from proctor.errors import AnswerError, EngineError
from proctor.model import Bucket, KeyPart, Source, Spec
from projects import page_of

SPEC = Spec(
    backfill="normalize",
    version="1.0",
    kind=Source.TABLE,
    source="wardrobe",
    key=(KeyPart(column="id"),),
    fills=("style",),
)


def spec(*fills, **more):
    return replace(SPEC, fills=fills, **more)


def settled(answers, fills=("style",), *, strict=False, gone=(), **more):
    page = page_of([{"id": i} for i in range(len(answers))], gone=gone)
    return settle(page, answers, spec(*fills, **more), strict=strict)


def reasons(outcome):
    return {issue.key[0]: issue.reason for issue in outcome.issues}


def test_good_answers_become_values_in_the_order_of_writes():
    """Fills in the order of the spec, whatever order the answer has, and the stamp last."""
    done = settled(
        [{"mood": "calm", "style": "red"}, {"style": None, "mood": "x"}],
        ("style", "mood"),
        stamp="v",
    )
    assert list(done.index) == [0, 1]
    assert done.values == [("red", "calm", "1.0"), (None, "x", "1.0")]
    assert done.outcome.read == 0
    assert done.issues == ()


def test_nested_fills_answer_to_their_last_name_or_in_full():
    """`doc.normalized` may be returned as either, also mixed in one page."""
    done = settled([{"normalized": 1}, {"doc.normalized": 2}], ("doc.normalized",))
    assert done.values == [(1,), (2,)]


def test_last_names_that_could_mean_two_fills_are_not_accepted():
    """`a.x` and `b.x` must be named in full."""
    done = settled([{"a.x": 1, "b.x": 2}, {"x": 1, "b.x": 2}], ("a.x", "b.x"))
    assert done.values == [(1, 2)]
    assert 'return {"a.x": …, "b.x": …}' in reasons(done)[1]


def test_every_row_ends_in_one_bucket():
    """Skipped, refused, failed and gone rows are counted and listed in the order of the page."""
    done = settled(
        [Skip("has it"), {"style": "a"}, Refuse("no title"), Failure("ValueError at x.py:1")],
        gone=[(99,)],
    )
    assert list(done.index) == [1]
    assert done.outcome.as_dict() | {"read": 4} == {
        "read": 4, "written": 0, "unchanged": 0, "skipped": 1, "refused": 1, "failed": 1,
        "conflicted": 0, "gone": 1,
    }  # fmt: skip
    assert done.outcome.read == 4
    assert done.outcome.balances
    assert [(i.key, i.bucket) for i in done.issues] == [
        ((0,), Bucket.SKIPPED),
        ((2,), Bucket.REFUSED),
        ((3,), Bucket.FAILED),
        ((99,), Bucket.GONE),
    ]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "returned nothing"),
        ("red", "returned a str"),
        (["red"], "returned a list"),
        ({}, "left out 'style'"),
        ({"stile": "red"}, "left out 'style'"),
        ({"style": "red", "mood": 1, 3: 4}, "returned 3, mood, which fills= does not name"),
        ({"style": float("nan")}, "NaN"),
        ({"style": {"a": [1.0, float("inf")]}}, "NaN or infinity"),
        ({"style": [float("nan")]}, "NaN or infinity"),
        ({"style": {"red"}}, "return sorted"),
        ({"style": {"a": {"red"}}}, "a set inside a list or JSON value"),
        ({"style": {"a": date(2026, 1, 1)}}, "return str(value)"),
        ({"style": [{"a": Decimal(1)}]}, "return str(value)"),
        ({"style": {1: "a"}}, "one is of type int"),
        ({"style": object()}, "a value of type object cannot be stored"),
        ({"style": MappingProxyType({})}, "return dict"),
        ({"style": "\ud800"}, "lone surrogate"),
        ({"style": lambda: 1}, "type function"),
    ],
)
def test_what_cannot_be_written_fails_with_a_sentence(answer, words):
    """The row fails, its neighbours do not, and the reason shows the right return."""
    done = settled([{"style": "ok"}, answer, {"style": "fine"}])
    assert list(done.index) == [0, 2]
    assert done.values == [("ok",), ("fine",)]
    assert done.outcome.failed == 1
    assert words in reasons(done)[1]
    if "fills=" in words or "returned" in words or "left out" in words:
        assert 'return {"style": …}' in reasons(done)[1]


def test_deep_and_endless_values_fail_and_do_not_crash():
    """A value that holds itself is the row's failure."""
    endless = []
    endless.append([endless])
    done = settled([{"style": {"a": endless}}, {"style": 1}])
    assert "nested too deeply" in reasons(done)[0]


class Colour(enum.StrEnum):
    RED = "red"


class Shade(str):
    __slots__ = ()


def test_values_are_tidied_to_plain_kinds():
    """Stores meet few types: enums become values, tuples lists, subclasses their plain kind."""
    done = settled(
        [{"style": v} for v in (Colour.RED, ("a", "b"), Shade("dark"), bytearray(b"x"), True)]
    )
    values = [v for (v,) in done.values]
    assert values == ["red", ["a", "b"], "dark", b"x", True]
    assert list(map(type, values)) == [str, list, str, bytes, bool]


@pytest.mark.parametrize(
    "value",
    [
        None, True, 7, 2**80, 1.5, float("inf"), "text", "tëxt 😀", b"\x00", Decimal("1.10"),
        date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), UUID(int=5), ["a", None],
        [date(2026, 1, 1)], [[1, 2], [3, 4]], {"a": {"b": [1, 2.5, None, "x"]}}, [], {},
    ],
)  # fmt: skip
def test_storable_values_pass_untouched(value):
    """What a column of some type can hold is not refused here."""
    assert settled([{"style": value}, {"style": "x"}]).values[0] == (value,)


def test_strict_stops_at_a_bug_in_every_answer():
    """The first page, a plan and a dry run end with exit code 2 before anything is written."""
    with pytest.raises(AnswerError) as caught:
        settled([{"stile": 1}, {"stile": 2}], strict=True)
    assert caught.value.exit_code == 2
    assert "left out 'style'" in caught.value.found
    assert 'return {"style": …}' in caught.value.fix
    with pytest.raises(AnswerError):
        settled([{"stile": 1}], strict=True)


def test_strict_lets_rows_fail_that_fail_differently():
    """Half of the rows good, two ways to raise, one row that raised: bad rows, not a bug."""
    assert settled([{"stile": 1}, {"style": 2}], strict=True).outcome.failed == 1
    ways = [Failure(f"{kind} at b.py:1", cause=f"{kind} at b.py:1") for kind in ("A", "B")]
    assert settled(ways, strict=True).outcome.failed == 2
    raised = Failure("ValueError: a at f.py:1", cause="ValueError at f.py:1")
    assert settled([raised], strict=True).outcome.failed == 1
    assert settled([Skip("a"), raised], strict=True).outcome.failed == 1


@pytest.mark.parametrize(
    ("bad", "good", "bug"), [(10, 0, True), (6, 4, True), (5, 5, False), (1, 9, False)]
)
def test_strict_stops_where_most_answers_cannot_be_written(bad, good, bug):
    """Undeclared fields and wrong types lie in the code, whatever the rows; nothing is written."""
    answers = [{"stile": 1} if n % 2 else float("nan") for n in range(bad)] + [{"style": 1}] * good
    if not bug:
        assert settled(answers, strict=True).outcome.failed == bad
        return
    with pytest.raises(AnswerError, match=f"{bad} of the 10 rows") as caught:
        settled(answers, strict=True)
    assert caught.value.found
    assert "return" in caught.value.fix


def test_strict_knows_one_bug_by_its_place_and_not_by_its_message():
    """An exception that quotes the row differs in words from row to row; it is the same bug."""
    raised = [Failure(f"KeyError: {i} at f.py:1", cause="KeyError at f.py:1") for i in range(3)]
    with pytest.raises(AnswerError, match="3 rows"):
        settled(raised, strict=True)
    assert settled(raised).outcome.failed == 3


def test_an_empty_page_settles_to_nothing():
    """No rows, no issues, no error, strict or not."""
    done = settled([], strict=True, stamp="v")
    assert (list(done.index), done.values, done.outcome.read) == ([], [], 0)


def test_a_page_out_of_step_is_refused():
    """Values are never written to the wrong rows."""
    with pytest.raises(EngineError, match="not in step"):
        settle(page_of([{"id": 1}]), [], SPEC)


ANSWERS = st.lists(
    st.one_of(
        st.builds(lambda v: {"style": v}, st.one_of(st.text(), st.integers(), st.floats())),
        st.builds(lambda v: {"mood": v}, st.integers()),
        st.builds(Skip, st.text()),
        st.builds(Refuse, st.text()),
        st.builds(Failure, st.text()),
        st.none(),
        st.integers(),
    )
)


@given(ANSWERS)
def test_books_balance_for_any_answers(answers):
    """Each row is written or listed, never both, never neither; values are the row's own."""
    done = settled(answers)
    assert done.outcome.balances
    listed = [issue.key[0] for issue in done.issues]
    assert sorted([*listed, *done.index]) == list(range(len(answers)))
    for i, (value,) in zip(done.index, done.values, strict=True):
        assert answers[i]["style"] is value or answers[i]["style"] == value
