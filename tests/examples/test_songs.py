"""`proctor demo songs`: paid sentences and vectors on Postgres with pgvector, by real servers."""

import json
import subprocess
import sys

from decimal import Decimal

import pytest


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The whole demo, once: (its document, what it said)."""
    folder = tmp_path_factory.mktemp("demo") / "songs"
    told = subprocess.run(
        [sys.executable, "-m", "proctor", "demo", "songs", "--json", "--dir", str(folder)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout), told.stderr


def test_it_is_killed_resumed_and_undone_to_the_byte(played):
    """P2, P3: every song that is eligible ends described, and the rollback takes all of it back."""
    document, said = played
    assert document["identical"]
    assert document["rows"] > 900
    assert said.count("$ proctor run aboutness") == 3
    assert "$ kill -9 " in said


def test_the_vendors_own_books_say_what_was_paid(played):
    """P5, P6: a kill costs calls in the air at most, and nothing was asked too fast."""
    document, _ = played
    assert Decimal(0) < Decimal(document["usd"]) < 1
    assert document["paid_again"] <= document["in_the_air"]
    assert document["answered_429"] == 0
