"""`proctor coverage`: how much is filled, and whether that was counted."""

import pytest

from proctor.engine.coverage import Covered
from proctor.ui.text.checked import covered
from shop import Shop


@pytest.fixture
def items(tmp_path, monkeypatch):
    """Thirty rows, ten of them filled."""
    monkeypatch.chdir(tmp_path)
    shop = Shop(tmp_path)
    shop.sql("UPDATE items SET normal = 'x' WHERE id <= 10")
    return shop


def test_coverage_is_one_json_document(items, proctor):
    ended = proctor("coverage", "fill", "--json")
    assert (ended.code, ended.json) == (
        0,
        {
            "backfill": "fill",
            "env": "local",
            "total": 30,
            "done": 10,
            "eligible": 20,
            "share": 10 / 30,
            "exact": True,
        },
    )


def test_coverage_is_told_in_words(items, proctor):
    shown = proctor("coverage", "fill", "--exact").out
    for words in ("10 of 30", "33.3 %", "20 still to do", "every row"):
        assert words in shown


def test_of_no_rows_nothing_is_claimed(items, proctor):
    items.sql("DELETE FROM items")
    assert proctor("coverage", "fill", "--json").json["share"] is None
    assert "no row to fill" in proctor("coverage", "fill").out


def test_what_the_server_guessed_is_said_to_be_a_guess(capsys):
    """Every number of it, and how to count."""
    from rich.console import Console

    seen = Covered(
        backfill="f", env="e", total=9000, done=8000, eligible=1000, share=8 / 9, exact=False
    )
    Console(width=100).print(*covered(seen))
    shown = capsys.readouterr().out
    for words in ("~8,000 of ~9,000", "~1,000 still", "guess", "--exact"):
        assert words in shown
