"""What a change must pass: `.ci/run` believes only a clean closing line, and no skipped test."""

import os
import subprocess
import sys

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("said", "made", "passes"),
    [
        ("=== 5 passed in 3.10s ===", 0, True),
        ("=== 1712 passed, 2 warnings in 1203.10s (0:20:03) ===", 0, True),
        ("=== 5 passed, 1 skipped in 3.10s ===", 0, False),
        ("=== 5 passed, 1 xfailed in 3.10s ===", 0, False),
        ("=== 1 failed, 3 passed in 2.00s ===", 0, False),
        ("=== 5 passed in 3.10s ===", 2, False),
        ("make: Nothing to be done for 'test'.", 0, False),
    ],
)
def test_it_passes_only_what_is_clean(tmp_path, said, made, passes):
    """With a make that says so: exactly `make test` is asked for, and its word is checked."""
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\necho "make $*"\necho "{said}"\nexit {made}\n')
    make.chmod(0o755)
    told = subprocess.run(
        [ROOT / ".ci" / "run"],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (told.returncode == 0) == passes
    assert told.stdout.splitlines()[0] == "make test"


def test_a_skipped_test_fails_the_session(tmp_path):
    """The suite's own conftest sees to it, whoever starts pytest."""
    conftest = (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
    _, mark, hook = conftest.partition("@pytest.hookimpl(trylast=True)")
    (tmp_path / "conftest.py").write_text(f"import pytest\n\n\n{mark}{hook}")
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it(): pytest.skip('why')\n")
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            tmp_path,
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1
    assert "count as failures" in told.stdout
