"""What samples of rows show on every face: what was used of them, and nothing else."""

import sqlite3

from contextlib import closing

import pytest

PRIVATE = "PRIVATE-030-1234"


@pytest.fixture
def private(shop):
    """The shop, whose customers have a telephone number that no function reads."""
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        connection.execute("ALTER TABLE customers ADD phone text")
        connection.execute("UPDATE customers SET phone = ?", [PRIVATE])
    return shop


def used(proctor, ended):
    """The columns that the report shows of the sampled rows."""
    report = proctor("report", ended.json["id"], "--json")
    assert PRIVATE not in report.out
    return {tuple(p["inputs"]) for p in report.json["sample"]}


def test_a_forecast_shows_what_the_function_used(private, proctor):
    """Plan and dry run, as text and as JSON."""
    tried = proctor("dry-run", "normalize_email", "--json")
    assert {tuple(p["inputs"]) for p in tried.json["previews"]} == {("email",)}
    plan = proctor("plan", "normalize_email", "--json")
    assert {tuple(p["inputs"]) for p in plan.json["sample"]} == {("email",)}
    said = proctor("dry-run", "normalize_email").out + proctor("plan", "normalize_email").out
    assert PRIVATE not in tried.out + plan.out + said


def test_a_report_shows_what_the_function_used(private, proctor):
    """Every format, also when it is made again later; with several processes, too."""
    ended = proctor("run", "normalize_email", "--limit", "200", "--json")
    assert used(proctor, ended) == {("email",)}
    spread = proctor("run", "normalize_email", "--processes", "2", "--json")
    assert used(proctor, spread) == {("email",)}
    made = [proctor("report", spread.json["id"], "--format", form).out for form in ("md", "html")]
    kept = [path.read_text() for path in (private / ".proctor" / "reports").glob("*/*.*")]
    assert len(kept) == 6
    assert not [text for text in made + kept if PRIVATE in text]


def test_sql_shows_the_columns_that_it_names(private, proctor):
    """The database computed it, and nobody watched: but its text says what it reads."""
    module = private / "backfills.py"
    module.write_text(
        module.read_text()
        + """
lowered = backfill(
    table("customers", key="id"), fills="email_normalized", sql="lower(email)", name="lowered"
)
"""
    )
    tried = proctor("dry-run", "lowered", "--json")
    assert {tuple(p["inputs"]) for p in tried.json["previews"]} == {("email",)}
    ended = proctor("run", "lowered", "--json")
    assert used(proctor, ended) == {("email",)}
