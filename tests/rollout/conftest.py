"""A project with rollouts; see tests/rolling.py."""

import pytest

from rolling import make


@pytest.fixture
def project(tmp_path):
    """200 rows to fill, and a flag."""
    return make(tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def anywhere(request, tmp_path):
    """The same, its ledger in a file or in Postgres."""
    if request.param == "sqlite":
        return make(tmp_path)
    return make(tmp_path, request.getfixturevalue("pg"))
