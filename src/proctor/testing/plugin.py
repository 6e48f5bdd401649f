"""Fixtures for authors' tests, found by pytest where Proctor is installed.

def test_styles_are_lowered(proctor_backfills, run_backfill):
    done = run_backfill(proctor_backfills["normalize"], [{"id": 1, "style": " Red "}])
    assert done.outcome.written == 1
"""

from __future__ import annotations

import tomllib

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from proctor.authoring import Backfill
    from proctor.testing.kit import KitResult

# Nothing of Proctor is imported before a test asks: pytest loads this file in every project.


@pytest.fixture(scope="session")
def proctor_backfills(pytestconfig: pytest.Config) -> Mapping[str, Backfill]:
    """Every backfill of the project by name, as its nearest proctor.toml says.

    Looked for from pytest's root directory upwards. Raises UsageError where there is none,
    and what importing a definition raises.
    """
    from proctor.authoring import load  # noqa: PLC0415 - see above
    from proctor.errors import UsageError  # noqa: PLC0415

    start = pytestconfig.rootpath
    for directory in (start, *start.parents):
        file = directory / "proctor.toml"
        if file.is_file():
            return load(_modules(file), directory)
    raise UsageError(
        "there is no proctor.toml here or above",
        found="looked from pytest's root directory upwards",
        fix="run pytest in the project, or `proctor init` to make one",
    )


@pytest.fixture
def run_backfill() -> Callable[..., KitResult]:
    """`proctor.testing.run_backfill`: run a backfill on rows in memory."""
    from proctor.testing.kit import run_backfill  # noqa: PLC0415 - see above

    return run_backfill


def _modules(file: Path) -> list[str]:
    """What proctor.toml names under `backfills`; its other words do not concern a test."""
    named: Any = tomllib.loads(file.read_text(encoding="utf-8")).get("backfills", [])
    return [named] if isinstance(named, str) else list(named)
