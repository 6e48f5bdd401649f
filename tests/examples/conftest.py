"""The wardrobe in a folder of its own, in either kind of database, driven as its team would."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "wardrobe"
COLUMNS = "id, name, price, style, occasion, mood, season, updated_at, normalized"


@dataclass
class Wardrobe:
    """A copy of the example with a fresh table."""

    folder: Path
    env: str
    url: str
    variables: dict = field(default_factory=dict)

    def type(self, *words, expect=0):
        """A command line as its team types it; what it printed."""
        told = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env={**os.environ, **self.variables, "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert told.returncode == expect, f"{words}: exit {told.returncode}\n{told.stderr}"
        return told.stdout

    def proctor(self, *words, expect=0):
        """One command with --json; its document."""
        said = self.type("-m", "proctor", *words, "--env", self.env, "--json", expect=expect)
        return json.loads(said)

    def rows(self):
        """Every row as the server prints it, by id; JSON columns as text."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.folder / "wardrobe.db")) as database:
                found = database.execute(f"SELECT {COLUMNS} FROM wardrobe").fetchall()
        else:
            as_text = ", ".join(f"{name.strip()}::text" for name in COLUMNS.split(","))
            with psycopg.connect(self.url) as database:
                found = database.execute(f"SELECT {as_text} FROM wardrobe").fetchall()
        return {int(row[0]): row[1:] for row in found}


@pytest.fixture
def copied(tmp_path):
    """The files that a team would write, and nothing else."""
    folder = tmp_path / "wardrobe"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.db*", ".p*"))
    return folder


@pytest.fixture(params=["sqlite", "postgres"])
def wardrobe(request, copied):
    """The scenario's 3,421 items, in SQLite and in Postgres."""
    if request.param == "sqlite":
        made = Wardrobe(copied, "local", "sqlite:///wardrobe.db")
    else:
        url = request.getfixturevalue("pg")
        made = Wardrobe(copied, "staging", url, {"WARDROBE_STAGING_URL": url, "WARDROBE_URL": url})
    made.type("seed.py", made.url)
    return made
