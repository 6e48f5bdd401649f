"""docs/authoring.md is a project that works: its backfills load, and its tests pass."""

import os
import re
import subprocess
import sys

from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "authoring.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path):
    """The page's blocks as files: backfills in one module, tests in another."""
    tests = [block for block in BLOCKS if "def test_" in block]
    backfills = [block for block in BLOCKS if "def test_" not in block]
    assert len(tests) == 1
    assert len(backfills) == 3
    (tmp_path / "backfills.py").write_text("\n\n".join(backfills), encoding="utf-8")
    (tmp_path / "test_backfills.py").write_text(tests[0], encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n", encoding="utf-8")
    (tmp_path / "proctor.toml").write_text(
        'backfills = ["backfills"]\n[env.local]\nstore = "sqlite:///shop.db"\n', encoding="utf-8"
    )
    return tmp_path


def test_the_tests_that_the_page_shows_pass(project):
    """What can be copied works, in a project of its own, with the fixtures found by pytest."""
    shown = len(re.findall(r"^def test_", "\n".join(BLOCKS), flags=re.MULTILINE))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{shown} passed" in done.stdout
