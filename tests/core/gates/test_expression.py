"""Conditions: figures, numbers and comparisons; whatever else is told with its place."""

import re

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.gates import fault, named


@pytest.mark.parametrize(
    "sound",
    [
        "result.rate > 0.02",
        'result["rate"] > 0.02 and not result.total < 500',
        "isNaN(result.value) or default(result.value, 0) * 100 // 3 % 7 >= -1",
        "0.1 < result.share <= 1\n and result.exact == 1",
        "not isNil(result.value)",
    ],
)
def test_a_sound_condition_has_no_fault(sound):
    assert fault(sound) == ""


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("", "invalid syntax"),
        ("result.rate >", "invalid syntax"),
        ("result.rate > 0.02 && result.total > 5", r"write and in place of && \(character 20\)"),
        ("result.rate > 1 || result.x > 2", r"write or in place of \|\|"),
        ("result > 0.5", r"write result\.value.*\(character 1\)"),
        ("result[0] <= 0.95", "result holds numbers by name"),
        ("rate > 0.5", r"it knows no rate; figures are result\.NAME \(character 1\)"),
        ("result.total > 1 and rate > 0.5", r"it knows no rate.*\(character 22\)"),
        ("result.rate", "no yes or no"),
        ("result.rate > 1 and result.total", "no yes or no"),
        ("1 < 2", "asks nothing of result"),
        ("result.__class__ == 1", "a condition holds figures"),
        ("result.a.b == 1", "a condition holds figures"),
        ("__import__('os').system('id') == 0", "the functions are asInt"),
        ("result.x.__class__.__bases__[0] == 1", "a condition holds"),
        ("result.x ** 9999 > 1", "a condition holds"),
        ("[x for x in result.y] == 1", "a condition holds"),
        ("(lambda: 1)() == result.x", "the functions are"),
        ("isNaN(result.x, 1)", "isNaN takes 1, not 2"),
        ("default(result.x) > 1", "default takes 2, not 1"),
        ("'a' < result.x", "a condition holds"),
        ("result.x in (1, 2)", "compared with < <= >"),
        ("result.x > 1; result.y > 2", "invalid syntax"),
        ("result.x > 1) or (result.y > 1", "unmatched"),
        ("result.x > 1 # and so on", r"no comment \(character 14\)"),
        ("result.x > 1or result.y > 2", "invalid decimal"),
        ("(x := result.x) > 1", "a condition holds"),
        ("result.x > 1 " + "and result.x > 1 " * 40, "longer than 500"),
        ("not " * 45 + "result.x > 1", "too deep"),
        ("result.x > 1 \x00", "null"),
    ],
)
def test_what_may_not_stand_there_is_told_with_its_place(wrong, why):
    assert re.search(why, fault(wrong)), fault(wrong)


@given(st.text(max_size=60))
def test_any_text_is_judged_without_a_fall(text):
    """Authors type anything."""
    assert isinstance(fault(text), str)


def test_the_figures_of_a_condition_are_known():
    assert named('result.rate > 0.02 and result["total"] > 5') == {"rate", "total"}
