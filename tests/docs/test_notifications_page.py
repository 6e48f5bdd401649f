"""docs/notifications.md: the table of severities is the one that people are woken by."""

import re

from pathlib import Path

import pytest

from proctor.core.notices import SEVERITIES

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("row", "severity"),
    [
        ("`critical`", "critical"),
        ("`warning`", "warning"),
        ("`info`", "info"),
        ("never told", None),
    ],
)
def test_each_row_names_the_events_of_its_severity(row, severity):
    """All of them, and no other; one whose severity is in what it says stands in each."""
    (told,) = re.findall(rf"^\| {row} \|(.*)\|$", PAGE, flags=re.MULTILINE)
    names = {name.partition("/")[0] for name, of in SEVERITIES.items() if of == severity}
    assert set(re.findall(r"`([\w.]+)`", told)) == names
