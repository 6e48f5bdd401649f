"""The page about gates and the code say the same, and its example runs."""

import dataclasses
import re

from datetime import timedelta
from pathlib import Path

import pytest

from proctor import metrics
from proctor.core.gates import FUNCTIONS, LONGEST, needed, reachable
from proctor.model import Baseline, Metric, Mode

PAGE = (Path(__file__).parents[2] / "docs" / "gates.md").read_text(encoding="utf-8")
SPLIT = Baseline(mode=Mode.CONCURRENT, allowed=0.85)


def test_the_example_runs():
    names = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], names)
    assert [one.name for one in names["watched"]] == ["coverage", "quality", "health", "conversion"]


@pytest.mark.parametrize("name", metrics.__all__)
def test_every_maker_is_told(name):
    assert f"`metrics.{name}(" in PAGE


@pytest.mark.parametrize("field", [one.name for one in dataclasses.fields(Metric)])
def test_every_rule_is_told(field):
    """The name and the source stand in each example."""
    assert field in {"name", "source"} or f"`{field}" in PAGE or f"{field}=" in PAGE


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_a_condition_is_told(name):
    assert f"`{name}`" in PAGE


def test_limits_and_defaults_are_those_of_the_code():
    assert f"At most {LONGEST} characters" in PAGE
    defaults = {one.name: one.default for one in dataclasses.fields(Metric)}
    for rule in ("failure_limit", "consecutive_error_limit", "inconclusive_limit"):
        assert f"| `{rule}` | {defaults[rule]} |" in PAGE
    assert defaults["interval"] == timedelta(minutes=5)


def test_the_numbers_needed_are_those_that_are_computed():
    rows = re.findall(r"^\| (\d+) % \| ([\d,]+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for rate, samples in rows:
        assert needed(SPLIT, int(rate) / 100, control=4) == int(samples.replace(",", ""))


def test_the_sentence_is_the_one_that_is_said():
    told = reachable(SPLIT, 0.05, samples=1_000, within=timedelta(hours=6), control=4).told
    assert told in " ".join(PAGE.split())
