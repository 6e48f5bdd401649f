"""`proctor demo books`: units of work, two models at once and a service's daily quota."""

import json
import subprocess
import sys

from decimal import Decimal

import pytest

MODELS = {"gpt-5-mini", "claude-haiku-4-5"}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The whole demo, once: (its document, what it said)."""
    folder = tmp_path_factory.mktemp("demo") / "books"
    told = subprocess.run(
        [sys.executable, "-m", "proctor", "demo", "books", "--json", "--dir", str(folder)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout), told.stderr


def test_it_is_killed_resumed_and_undone_to_the_byte(played):
    """P2, P3: every unit ends completed, and the rollbacks take all rows of both tables back."""
    document, said = played
    assert document["identical"]
    assert document["units"] == {"completed": 36}
    assert document["resolved"] == document["queued"] > 600
    assert said.count("$ proctor run notable_books") == 4
    assert "$ kill -9 " in said


def test_the_vendors_own_books_say_what_was_paid(played):
    """P5: a kill costs calls in the air at most."""
    document, _ = played
    flying = document["in_the_air"]
    for name, again in document["paid_again"].items():
        assert again <= flying[name], name
    assert all(Decimal(document["usd"][name]) > 0 for name in MODELS)
    assert document["usd"]["resolver"] == "0"


def test_a_days_quota_is_kept_and_what_it_leaves_open_is_resolved_the_next_day(played):
    """P6: nothing was answered 429 on either day, and no generated book was lost."""
    document, _ = played
    assert document["answered_429"] == 0
    assert all(calls <= 500 for calls in document["by_day"].values())
    assert sum(document["by_day"].values()) > 700
    assert document["works"] > document["resolved"]
