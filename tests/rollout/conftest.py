"""A project with rollouts; see tests/rolling.py."""

import pytest

from rolling import make


@pytest.fixture
def project(tmp_path):
    """200 rows to fill, and a flag."""
    return make(tmp_path)
