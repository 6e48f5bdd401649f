"""What other tools found, by files that they wrote: no rows, an error or a riddle is no pass."""

import json

from datetime import UTC, datetime
from pathlib import Path

import pytest

from proctor.core.evidence import read
from proctor.model import Level, Ruling

FILES = Path(__file__).parents[1] / "data" / "evidence"


def found(name, rows=6):
    return read(json.loads((FILES / f"{name}.json").read_text()), rows=rows)


def said(seen):
    return {
        one.field: (one.verdict.value, one.level.value, one.failures, one.samples)
        for one in seen.checks
    }


def test_dbts_tests_are_read():
    """It does not count rows: those that are filled are taken."""
    seen = found("dbt", rows=4)
    assert seen.tool == "dbt"
    assert seen.at.date().isoformat() == "2026-11-29"
    assert said(seen) == {
        "accepted_values_songs_mood__calm__sad__glad.6de46df438": ("fail", "warning", 1, 4),
        "not_null_songs_id.ce740df0de": ("pass", "error", 0, 4),
        "not_null_songs_mood.9d1f4a291b": ("fail", "error", 1, 4),
        "unique_songs_id.21c022a615": ("pass", "error", 0, 4),
    }


def test_dbt_passes_nothing_of_an_empty_table():
    """P8: its not_null passes there."""
    verdicts = {one.verdict for one in found("dbt", rows=0).checks}
    assert verdicts == {Ruling.INCONCLUSIVE, Ruling.FAIL}


@pytest.mark.parametrize("status", ["error", "skipped", "no-op", "", "success", "PASS"])
def test_a_dbt_test_that_was_not_made_is_no_pass(status):
    document = json.loads((FILES / "dbt.json").read_text())
    document["results"] = [{**document["results"][2], "status": status}]
    (one,) = read(document, rows=4).checks
    assert one.verdict is Ruling.INCONCLUSIVE


def test_a_model_that_dbt_could_not_make_is_told():
    document = json.loads((FILES / "dbt.json").read_text())
    document["results"][0]["status"] = "error"
    first = read(document, rows=4).checks[0]
    assert (first.verdict, first.reason) == (Ruling.INCONCLUSIVE, "model: error")


def test_great_expectations_are_read():
    """Its counts are its own; a null that it left out could not be judged; one raised."""
    seen = found("gx")
    assert said(seen) == {
        "expect_column_values_to_be_unique of nowhere": ("inconclusive", "error", 0, 0),
        "expect_column_values_to_not_be_null of mood": ("fail", "error", 1, 6),
        "expect_column_values_to_be_in_set of mood": ("pass", "error", 1, 5),
        "expect_column_values_to_be_between of score": ("fail", "warning", 1, 6),
        "expect_table_row_count_to_be_between": ("pass", "error", 0, 6),
    }
    assert [one.unsure for one in seen.checks] == [0, 0, 1, 0, 0]
    assert seen.at.year == 2026


def test_an_empty_batch_passes_nothing():
    """P8: Great Expectations says success of it."""
    document = json.loads((FILES / "gx_empty.json").read_text())
    assert any(one["success"] for one in document["results"])
    assert all(one.verdict is not Ruling.PASS for one in read(document, rows=0).checks)


def test_pandera_says_what_failed():
    """Its report of errors, and its cases one by one; of what passed it says nothing."""
    assert said(found("pandera_errors")) == {
        "column_in_dataframe of gone": ("fail", "error", 1, 6),
        "not_nullable of mood": ("fail", "error", 1, 6),
        "isin of mood": ("fail", "error", 1, 6),
        "in_range of score": ("fail", "error", 1, 6),
    }
    assert set(said(found("pandera_cases"))) == {
        "column_in_dataframe of None",
        "not_nullable of mood",
        "isin of mood",
        "in_range of score",
    }


def test_pointblanks_steps_are_read():
    """Its levels are ours; a step that could not be made says nothing."""
    seen = found("pointblank")
    assert [(one.field, one.verdict.value, one.level.value) for one in seen.checks] == [
        ("col_vals_not_null of mood", "fail", "warning"),
        ("col_vals_in_set of mood", "fail", "error"),
        ("col_vals_between of score", "fail", "warning"),
        ("col_vals_gt of id", "pass", "error"),
        ("col_vals_gt of nowhere", "inconclusive", "error"),
    ]
    assert {one.verdict for one in found("pointblank_empty").checks} == {Ruling.INCONCLUSIVE}


def test_pointblanks_failures_without_thresholds_fail():
    (step,) = json.loads((FILES / "pointblank.json").read_text())[:1]
    plain = {**step, "warning": None, "error": None, "critical": None}
    (one,) = read([plain], rows=6).checks
    assert (one.verdict, one.level) == (Ruling.FAIL, Level.ERROR)
    within = {**step, "warning": False, "error": False, "critical": False}
    assert read([within], rows=6).checks[0].verdict is Ruling.PASS


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        [],
        7,
        "pass",
        {"success": True},
        {"success": True, "results": [], "statistics": {}},
        {"success": True, "results": [{}], "statistics": {}},
        {"success": True, "results": [7], "statistics": {}},
        {"SCHEMA": {}, "DATA": {}},
        {"SCHEMA": {"A": 7}},
        {"metadata": {"dbt_schema_version": "run-results"}, "results": []},
        {"metadata": {"dbt_schema_version": "run-results"}, "results": [7]},
        {"metadata": {"dbt_schema_version": "manifest"}, "results": [{"status": "pass"}]},
        [{"assertion_type": "x"}],
        [{"assertion_type": "x", "all_passed": True}, 7],
        [{"assertion_type": "x", "n": "6", "n_failed": 0, "active": True}],
        {"all_passed": True, "verdict": "pass"},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_no_pass(document):
    """P8: an unknown form, an empty one, or one of another version."""
    seen = read(document, rows=100)
    assert seen.checks
    assert {one.verdict for one in seen.checks} == {Ruling.INCONCLUSIVE}


def test_no_value_of_a_row_is_taken_over():
    """P12: the tools quote what failed; here only names and counts are kept."""
    for name in ("gx", "pandera_errors", "pandera_cases", "pointblank"):
        assert "CALM" not in repr(found(name))


def test_a_moment_without_a_zone_is_utc():
    document = json.loads((FILES / "dbt.json").read_text())
    document["metadata"]["generated_at"] = "2026-01-02T03:04:05"
    assert read(document, rows=1).at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    document["metadata"]["generated_at"] = "yesterday"
    assert read(document, rows=1).at is None


def spoilt(document):
    """The document with each of its parts replaced by something else, one by one."""
    yield from (None, 7, "x", [], {}, True)
    parts = enumerate(document) if isinstance(document, list) else ()
    for place, part in document.items() if isinstance(document, dict) else parts:
        for other in spoilt(part):
            whole = document.copy()
            whole[place] = other
            yield whole


@pytest.mark.parametrize("name", [path.stem for path in sorted(FILES.iterdir())])
def test_a_file_that_is_spoilt_anywhere_raises_nothing(name):
    """Whatever stands in it: it is evidence, or it is not."""
    documents = list(spoilt(json.loads((FILES / f"{name}.json").read_text())))
    assert len(documents) > 100
    for document in documents:
        assert read(document, rows=6).checks
