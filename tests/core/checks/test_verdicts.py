"""Vectors, rows beside each other, languages, and verdicts over several rows."""

import json
import math
import struct

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor import DefinitionError, checks
from proctor.adapters.languages import detect
from proctor.core.answer import Failure, Skip
from proctor.core.checks import LANGUAGES, Case, Given, judge, review
from proctor.model import Level, Page, Ruling

PASS, FAIL, UNSURE = Ruling.PASS, Ruling.FAIL, Ruling.INCONCLUSIVE
UNIT = [0.6, 0.8, 0.0]


def said(check, value):
    found = check.judge(value, Given(row={}, detect=detect))
    return found.ruling, found.reason


def rows(*values, name="mood"):
    return [Case(key=(i,), row={}, values={name: v}) for i, v in enumerate(values)]


def over(check, *values):
    """The verdict over rows with these values."""
    (found,) = judge([check], rows(*values, name=check.field), detect=detect)
    return found


EMBEDDING = checks.vector("embedding", dimension=3, norm=(0.99, 1.01))


@pytest.mark.parametrize(
    "vector",
    [UNIT, tuple(UNIT), "[0.6,0.8,0]", json.dumps(UNIT), struct.pack("<3f", *UNIT), [0, 0, 1]],
)
def test_a_good_vector_passes_however_it_is_kept(vector):
    assert said(EMBEDDING, vector)[0] is PASS


@pytest.mark.parametrize(
    ("vector", "why"),
    [
        ([0.6, 0.8], "has 2 dimensions, not 3"),
        ([0.0, 0.0, 0.0], "is a zero vector"),
        ([-0.0, 0, 0], "is a zero vector"),
        ([math.nan, 0.8, 0.6], "holds NaN or infinity"),
        ("[nan,0.8,0.6]", "holds NaN or infinity"),
        ("[0.6,-inf,0.6]", "holds NaN or infinity"),
        ([3.0, 4.0, 0.0], "has a norm outside of 0.99 to 1.01"),
        ([], "is an empty vector"),
        ("sad", "is no vector"),
        ([0.6, "0.8", 0.0], "is no vector"),
        ("[" * 100_000, "is no vector"),
        (f"[0.6, 0.8, {10**400}]", "is no vector"),
        ([True, False, False], "is no vector"),
        ([[0.6, 0.8, 0.0]], "is no vector"),
        ("{1:0.5}/3", "is no vector"),
        (b"abc", "is no vector"),
        (7, "is no vector"),
    ],
)
def test_each_fault_of_a_vector_is_told_by_its_kind(vector, why):
    assert said(EMBEDDING, vector) == (FAIL, why)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8).filter(any))
def test_a_norm_is_judged_as_mathematics_has_it(vector):
    norm = math.sqrt(sum(n * n for n in vector))
    check = checks.vector("embedding", norm=(norm * 0.999, norm * 1.001))
    found = said(check, vector)[0]
    assert found is PASS or norm < 1e-150  # squares of such numbers are no numbers any more


def test_vectors_that_repeat_are_found_in_whatever_form():
    found = over(checks.repeats("v", min_samples=3), UNIT, "[0.6, 0.8, 0.0]", [1.0, 0.0, 0.0])
    assert (found.verdict, found.failures, found.samples, found.keys) == (FAIL, 1, 3, ((1,),))


@pytest.mark.parametrize("text", ["[" * 100_000, f"[{10**400}]"])
def test_a_text_that_is_nearly_a_vector_is_a_text(text):
    """A model that is stuck gives such; no verdict breaks on it."""
    found = over(checks.repeats("mood", min_samples=2, allowed=0), text, text)
    assert (found.verdict, found.failures) == (FAIL, 1)
    (doc,) = judge([checks.length("mood.a", most=3)], rows('{"a":' * 100_000))
    assert doc.verdict is UNSURE


def test_near_duplicates_are_found_and_the_first_of_them_passes():
    one = "A quiet song about the rain in Lisbon and a love that went away long ago"
    near = one.replace("quiet", "Quiet") + "!"
    nearly = one.replace("long ago", "years ago")
    other = "Loud and fast, it celebrates a summer night with friends on the beach"
    check = checks.near_duplicates("mood", min_samples=2, allowed=0)
    assert over(check, one, other).verdict is PASS
    assert over(check, one, other, near, nearly).keys == ((2,), (3,))


@given(st.lists(st.text("ab ", max_size=12), max_size=12))
def test_equal_texts_are_always_near_and_each_is_counted_once(texts):
    found = over(checks.near_duplicates("mood", min_samples=1), *texts)
    told = [" ".join(t.split()) for t in texts if t.strip()]
    assert found.samples == len(told)
    assert found.failures >= len(told) - len(set(told))
    assert found.samples + found.unsure == len(texts)


ENGLISH = "It is a quiet song about rain in Paris and a love that went away."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ENGLISH, PASS),
        ("Ein leises Lied über den Regen in Paris und eine verlorene Liebe.", FAIL),
        ("Une chanson calme sur la pluie à Paris et un amour perdu.", FAIL),
        ("雨の中の静かな歌で、失われた愛についてです。", FAIL),
        ("sad", UNSURE),
        ("quiet rain", UNSURE),
        ("", UNSURE),
        ("12345 67890 12345 67890 !!!", UNSURE),
        (None, UNSURE),
    ],
)
def test_a_wrong_language_fails_and_a_short_text_is_inconclusive(text, expected):
    """P8: what cannot be told is never green."""
    assert said(checks.language("mood", "en"), text)[0] is expected


def test_every_language_that_may_be_asked_for_is_one_that_can_be_told():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    known = LanguageIdentifier.from_model_file(MODEL_FILE).labels
    assert set(known) >= LANGUAGES


SHORT = checks.length("mood", most=3)


def test_a_verdict_counts_failures_and_tells_them_by_kind():
    found = over(checks.length("mood", most=3, least=2), "sad", "angry", "x", None)
    assert (found.verdict, found.samples, found.failures, found.unsure) == (FAIL, 3, 2, 1)
    assert found.keys == ((1,), (2,))
    assert "2 of 3 rows failed" in found.reason
    assert "1: is longer than 3 characters" in found.reason
    assert "1 could not be judged (1: is null)" in found.reason


def test_no_data_never_passes():
    """P8: neither no row, nor rows of which nothing can be told, nor too few of them."""
    few = checks.length("mood", most=3, min_samples=3)
    assert over(SHORT).verdict is UNSURE
    assert over(SHORT, None, None).verdict is UNSURE
    assert over(few, "sad", "sad").verdict is UNSURE
    assert over(few, "sad", "angry").verdict is UNSURE
    assert over(few, "sad", "sad", None).verdict is UNSURE
    assert over(few, "sad", "sad", "mad").verdict is PASS
    assert over(checks.near_duplicates("mood"), *"abcdefg").verdict is UNSURE
    assert "at least 3" in over(few, "sad").reason
    two = checks.length("mood", most=3, allowed=2)
    assert over(two, "angry", "angry").verdict is UNSURE
    assert "at least 3" in over(two, "sad").reason


@given(st.integers(0, 30), st.integers(1, 30), st.integers(0, 5))
def test_allowed_is_a_number_of_rows_or_a_share(bad, good, allowed):
    values = ["sad"] * good + ["angry"] * bad
    counted = over(checks.length("mood", most=3, allowed=allowed), *values)
    assert (counted.verdict is PASS) == (bad <= allowed < bad + good)
    assert (counted.verdict is UNSURE) == (bad + good <= allowed)
    shared = over(checks.length("mood", most=3, allowed=allowed / 10), *values)
    assert (shared.verdict is PASS) == (10 * bad <= allowed * (bad + good))


def page(*values):
    count = len(values)
    return Page(
        keys=[(i,) for i in range(count)], rows=[{"id": i} for i in range(count)],
        versions=[None] * count, images=[None] * count,
    )  # fmt: skip


def reviewed(made, *answers):
    return review(made, page(*answers), answers, ("mood",), detect=detect)


def test_only_errors_reject_a_row_and_a_warning_is_counted():
    answers = [{"mood": "sad"}, {"mood": "angry"}]
    for level in ("error", "critical"):
        seen = reviewed([checks.length("mood", most=3, level=level)], *answers)
        assert seen.answers[0] == answers[0]
        assert isinstance(seen.answers[1], Failure)
        assert seen.answers[1].reason == "check length: mood is longer than 3 characters"
        assert not seen.warned
    seen = reviewed([checks.length("mood", most=3, level="warning")], *answers)
    assert seen.answers == answers
    assert dict(seen.warned) == {"check length: mood is longer than 3 characters": 1}


def test_what_could_not_be_judged_is_written_and_counted():
    seen = reviewed([checks.language("mood", "en")], {"mood": "sad"})
    assert seen.answers == [{"mood": "sad"}]
    told = "check language: mood is too short for its language to be told"
    assert dict(seen.unsure) == {told: 1}


def test_a_row_that_is_rejected_is_not_counted_as_warned_too():
    made = [checks.length("mood", most=3, level="warning"), checks.refusal("mood")]
    seen = reviewed(made, {"mood": "I'm sorry, but I can't help with that."})
    assert isinstance(seen.answers[0], Failure)
    assert not seen.warned


def test_answers_that_are_none_are_left_to_be_settled():
    answers = [Skip("no title"), Failure("broken"), {"other": 1}, None, 7]
    assert reviewed([SHORT], *answers).answers == answers


def test_a_path_inside_a_fill_is_found_also_where_it_is_kept_as_text():
    check = checks.length("mood.main", most=3)
    found = review([check], page(1), [{"mood": {"main": "angry"}}], ("mood",))
    assert isinstance(found.answers[0], Failure)
    assert over_stored(check, '{"main": "angry"}').verdict is FAIL
    assert over_stored(check, '{"main": "sad"}').verdict is PASS
    assert over_stored(check, "no document").verdict is UNSURE


def over_stored(check, document):
    return judge([check], [Case(key=(1,), row={}, values={"mood": document})])[0]


def test_a_field_that_is_not_there_is_an_error_and_no_pass():
    with pytest.raises(DefinitionError, match="not there"):
        judge([SHORT], rows("sad", name="other"))
    with pytest.raises(DefinitionError, match="not read"):
        checks.echo("mood", of="lyrics").judge("sad", Given(row={"id": 1}))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: checks.length("mood"), "needs a bound"),
        (lambda: checks.length("mood", most=-1), "whole number"),
        (lambda: checks.length("mood", least=5, most=3), "at least 5"),
        (lambda: checks.length("", most=3), "field of a check"),
        (lambda: checks.pattern("mood", "(["), "no regular expression"),
        (lambda: checks.echo("mood"), "something to compare"),
        (lambda: checks.echo("mood", of="a", share=2), "part of one"),
        (lambda: checks.language("mood", "english"), "ISO 639"),
        (lambda: checks.vector("v", dimension=0), "dimension"),
        (lambda: checks.vector("v", norm=(2, 1)), "two bounds"),
        (lambda: checks.vector("v", norm=1), "two bounds"),
        (lambda: checks.empty("mood", level="fatal"), "warning, error, critical"),
        (lambda: checks.empty("mood", allowed=-1), "allowed"),
        (lambda: checks.empty("mood", allowed=1.5), "allowed"),
        (lambda: checks.empty("mood", min_samples=0), "min_samples"),
        (lambda: checks.empty("mood", max=3), "does not know"),
    ],
)
def test_a_check_that_is_wrong_is_refused_where_it_is_written(make, what):
    with pytest.raises(DefinitionError, match=what) as refused:
        make()
    assert "checks." in refused.value.fix


def test_a_check_is_a_frozen_value():
    one, same = checks.vector("v", dimension=3), checks.vector("v", dimension=3)
    assert one == same
    assert hash(one) == hash(same)
    assert one.level is Level.ERROR
    assert one.identity() == json.loads(json.dumps(one.identity()))
    assert one.identity() != checks.vector("v", dimension=4).identity()
