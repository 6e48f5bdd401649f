"""The report of a run, in every format."""

import json as stdlib_json
import re

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from proctor.engine.snapshot import Preview
from proctor.model import Outcome
from proctor.ui.reports import charts, html, json, markdown, rollout_page

VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """Collects tags and texts, and notices a tag that is closed but was not opened."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)


def test_the_statistics_add_up(report):
    """Processed rows are updated, skipped or errors: no fourth kind, none counted twice."""
    found = stdlib_json.loads(json.render(report))
    assert (found["processed"], found["updated"], found["skipped"], found["errors"]) == (
        500,
        489,
        8,
        3,
    )
    assert found["processed"] == sum(found["buckets"].values())
    assert found["success_rate"] == 0.98
    assert found["duration_seconds"] == 5.0
    assert found["failures"]["by_reason"]["not a list"] == 1
    assert found["rollback"]["changed"] == 1


def test_an_estimate_is_called_one_in_every_report(report):
    """Nobody takes the server's guess for a count."""
    guessed = replace(report, run=replace(report.run, estimated=True))
    assert "of about 500 eligible rows read" in html.render(guessed)
    assert "Eligible at the start: about 500." in markdown.render(guessed)
    assert stdlib_json.loads(json.render(guessed))["expected_is_estimate"] is True


def test_every_chunk_is_in_the_statistics(report):
    """The JSON report is complete where the others summarise."""
    found = stdlib_json.loads(json.render(report))
    assert [c["number"] for c in found["chunks"]] == [1, 2, 3, 4, 5]
    assert found["chunks"][4]["took_seconds"] == 0.05


def test_the_page_is_well_formed_and_loads_nothing(report):
    """It opens from disk, offline: no script, no address, no style sheet from elsewhere."""
    source = html.render(report)
    page = Page(source)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.tags)
    assert not {"src", "href", "srcset", "data"} & {name for name, _ in page.attributes}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "default-src 'none'" in source
    assert not re.search(r"url\(|@import|https?://", source)


def test_hostile_values_stay_text_in_the_page(report):
    """What a row holds is shown, and is never markup."""
    page = Page(html.render(report))
    assert "script" not in page.tags
    assert "<script>alert('x')</script>" in page.text
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


def test_the_page_shows_every_part(report):
    """Books, charts, waits, failures, sample, actions, rollback, next steps."""
    page = Page(html.render(report))
    for said in (
        "Where the rows ended",
        "Rate over time",
        "Write time of each chunk",
        "busy time 0.6 of 0.5",
        "not a list",
        "null",
        "chunk_rows: 1000 → 500",
        "the books balance",
        "proctor verify 261122-0a1b2c3d",
        "2 failed, 1 arrived",
    ):
        assert said in page.text, said
    assert page.tags.count("svg") == 3


def test_rows_that_a_rollback_left_alone_are_in_every_format(report):
    """P3: they are listed, not only counted."""
    assert "| 4711 |" in markdown.render(report)
    assert "4711" in Page(html.render(report)).text
    (left,) = stdlib_json.loads(json.render(report))["rollback"]["left"]
    assert (left["key"], left["bucket"]) == ([4711], "conflicted")


def test_the_sample_shows_both_sides_of_a_row(report):
    """Before and after; a row that was inserted, and one whose value is known no more, say so."""
    both = Preview(
        key=(1,), bucket="written", before={"a": "old", "b": None}, after={"a": "new", "b": "x"}
    )
    made = Preview(key=(2,), bucket="written", before={}, after={"a": "made"})
    lost = Preview(
        key=(3,), bucket="written", before={"a": "was"}, after={}, reason="known no more"
    )
    shown = replace(report, sample=(both, made, lost))
    source = markdown.render(shown)
    for line in (
        "| 1 | a | old | new |",
        "| 1 | b | null | x |",
        "| 2 | a | no row | made |",
        "| 3 | a | was | known no more |",
    ):
        assert line in source.splitlines()
    said = " ".join(" ".join(Page(html.render(shown)).texts).split())
    assert "Field Before After 1 a old new b null x 2 a no row made 3 a was known no more" in said
    found = stdlib_json.loads(json.render(shown))["sample"]
    assert [(row["before"], row["after"]) for row in found] == [
        ({"a": "old", "b": None}, {"a": "new", "b": "x"}),
        ({}, {"a": "made"}),
        ({"a": "was"}, {}),
    ]


def test_an_empty_run_has_a_page_too(report):
    """A run that read nothing says so, and divides by nothing."""
    empty = replace(
        report,
        run=replace(report.run, outcome=Outcome(), still_eligible=None, holder=None),
        expected=None,
        success_rate=None,
        rows_per_second=None,
        chunks=(),
        issues=(),
        issues_total=0,
        issues_by_reason={},
        rates=(),
        throttle=(),
        sample=(),
        actions=(),
        next_steps=(),
        warnings=(),
        rollback=None,
    )
    page = Page(html.render(empty))
    assert "No row was read." in page.text
    assert "svg" not in page.tags
    assert "Where the rows ended" in markdown.render(empty)
    assert stdlib_json.loads(json.render(empty))["processed"] == 0


def test_hostile_values_stay_text_in_markdown(report):
    """A value cannot end its cell, become a link, or become HTML."""
    source = markdown.render(report)
    rows = [line for line in source.splitlines() if "alert" in line]
    assert rows
    for row in rows:
        assert "\\<script\\>" in row
        assert "\\[a\\](b)" in row
        assert "\x1b" not in row
        cells = re.split(r"(?<!\\)\|", row)
        assert len(cells) in {4, 5, 6}


def test_markdown_tables_have_as_many_cells_as_heads(report):
    """Every table stays a table, whatever its values hold."""
    width = None
    for line in markdown.render(report).splitlines():
        cells = len(re.split(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert cells is None or width is None or cells == width
        width = cells


def test_many_chunks_are_drawn_in_groups(report):
    """A run of a million rows does not make a page of a thousand bars."""
    many = tuple(replace(report.chunks[n % 5]) for n in range(1000))
    drawn = charts.chunk_times(many)
    assert drawn.count('class="middle"') <= charts.BARS
    assert drawn.count('class="most"') == drawn.count('class="middle"')


def test_one_failed_row_among_a_million_is_seen():
    """A bucket that has rows has a visible width."""
    drawn = charts.buckets(Outcome(read=1_000_000, written=999_999, failed=1))
    place, wide = re.search(r'class="failed" x="([\d.]+)".*?width="([\d.]+)"', drawn).groups()
    assert float(wide) >= 3
    assert float(place) + float(wide) <= 1000


def test_a_rate_of_zero_is_drawn(report):
    """A run that stood still the whole time has a flat line, not a division by zero."""
    still = [(at, 0.0) for at, _ in report.rates]
    assert "NaN" not in charts.rates(still, report.throttle)


@pytest.mark.parametrize(
    ("figures", "value", "unit"),
    [
        ({"eligible": 4.0, "done": 124.0, "total": 128.0, "share": 0.96875}, 96.875, "%"),
        ({"events": 411.0, "total": 3960.0}, 10.3787879, "%"),
        ({"total": 128.0, "value": 7.0}, 7.0, ""),
        ({"total": 128.0}, 128.0, ""),
    ],
)
def test_what_a_metric_says_is_what_is_drawn(figures, value, unit):
    """Coverage is its share; a total is what something is of, not a share of nothing."""
    assert rollout_page.drawn(figures) == (pytest.approx(value), unit)
