"""Conditions are computed: numbers in, yes or no out, and nothing else happens."""

import pytest

from proctor.adapters.conditions import SimpleConditions
from proctor.core.gates import FUNCTIONS
from proctor.errors import Unmeasured

HOLDS = SimpleConditions().holds
FIGURES = {"rate": 0.03, "total": 1500.0, "items": 4, "nothing": None, "nan": float("nan")}


@pytest.mark.parametrize(
    ("expression", "yes"),
    [
        ("result.rate > 0.02", True),
        ('result["rate"] > 0.02 and result.total >= 2000', False),
        ("result.rate > 0.02 or result.missing > 1", True),
        ("not (result.items == 4)", False),
        ("0 < result.rate\n < 1", True),
        ("-result.total + 1 < 0 and result.total // 7 % 2 == 0", True),
        ("isNaN(result.nan) and not isInf(result.rate)", True),
        ("isNil(result.nothing)", True),
        ("default(result.nothing, 3) == 3 and default(result.rate, 3) == 0.03", True),
        ("asInt(result.total) == 1500 and asFloat(result.items) == 4.0", True),
        ("  result.rate > 0.02  ", True),
    ],
)
def test_a_condition_holds_or_does_not(expression, yes):
    assert HOLDS(expression, FIGURES) is yes


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("result.missing > 1", "there is no figure 'missing'; there is items"),
        ("result.rate / 0 > 1", "division by zero"),
        ("result.nothing > 1", "not supported"),
        ("asInt(result.nan) > 1", "NaN"),
        ("result > 1", "write result.value"),
        ("result.rate", "no yes or no"),
        ("result.__class__ == 1", "a condition holds"),
        ("default(result.rate, 1 > 2) and result.total > 1", "no yes or no"),
    ],
)
def test_what_cannot_be_computed_says_why_and_quotes_the_condition(expression, why):
    with pytest.raises(Unmeasured, match=why) as raised:
        HOLDS(expression, FIGURES)
    assert expression in raised.value.found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_that_may_stand_in_one_is_there(name):
    """And each answers for a number."""
    values = ", ".join(["result.rate", "1"][: FUNCTIONS[name]])
    assert HOLDS(f"{name}({values}) == 7", FIGURES) is False
