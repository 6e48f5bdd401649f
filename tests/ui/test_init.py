"""The project that `proctor init` makes."""

import os
import sqlite3
import subprocess
import sys

from contextlib import closing

import pytest

from proctor.errors import UsageError
from proctor.ui.init import DATABASE, FILES, make


def test_it_has_every_file_and_a_database_with_rows(tmp_path):
    """What it says it made is there."""
    made = make(tmp_path / "shop")
    assert [name for name, _ in made] == [*(name for name, _, _ in FILES), DATABASE[0]]
    for name, _ in made:
        assert (tmp_path / "shop" / name).stat().st_size > 0
    with closing(sqlite3.connect(tmp_path / "shop" / "shop.db")) as shop:
        rows = shop.execute("SELECT count(*), count(email_normalized) FROM customers").fetchone()
    assert rows == (1000, 0)


def test_its_database_is_the_same_every_time(tmp_path):
    """What the quickstart shows is what everybody sees."""
    contents = []
    for name in ("one", "two"):
        make(tmp_path / name)
        with closing(sqlite3.connect(tmp_path / name / "shop.db")) as shop:
            contents.append(list(shop.iterdump()))
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", [*(name for name, _, _ in FILES), "shop.db"])
def test_it_overwrites_nothing(tmp_path, name):
    """Refused before the first file is written."""
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(UsageError, match="already") as refused:
        make(tmp_path)
    assert name in refused.value.found
    assert mine.read_text() == "mine"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [mine]


def test_a_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "shop").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        make(tmp_path / "shop")


def test_its_own_tests_pass(tmp_path):
    """A new user's first pytest is green."""
    make(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "passed" in ended.stdout
