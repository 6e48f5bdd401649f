"""Reasons that are the same fault, in the words of other rows."""

import pytest

from proctor.core.likeness import error_class, likeness
from proctor.model import Bucket


@pytest.mark.parametrize(
    ("bucket", "reason", "common"),
    [
        ("failed", "ValueError: bad 'x' at 7:3 at b.py:26", "ValueError at b.py:26"),
        ("failed", "KeyError at b.py:26", "KeyError at b.py:26"),
        ("failed", "app.errors.Odd: two\nlines at b.py:9", "app.errors.Odd at b.py:9"),
        (
            "failed",
            'new row violates check constraint "price_2_ok" (23514)',
            'new row violates check constraint "price_2_ok" (23514)',
        ),
        ("failed", "CHECK constraint failed: low", "CHECK constraint failed: low"),
        ("refused", "price -1,200.50 of 'Oak, 3 m' is odd", "price … of … is odd"),
        ("skipped", "no e-mail in v2 of order 17", "no e-mail in v2 of order …"),
        ("skipped", "", ""),
        ("gone", "deleted since", "deleted since"),
    ],
)
def test_what_differs_from_row_to_row_is_left_out(bucket, reason, common):
    """Type and place of an exception; a server's constraint; an author's words without values."""
    assert likeness(Bucket(bucket), reason) == common


@pytest.mark.parametrize(
    ("reason", "named"),
    [
        ("ValueError: bad 'x' at 7:3 at b.py:26", "ValueError"),
        ("KeyError at b.py:26", "KeyError"),
        ("app.errors.Odd: two\nlines at b.py:9", "Odd"),
        ("check leaked_tags: mood holds <think>", "leaked_tags"),
        ("check leaked_tags: mood holds ValueError: x at b.py:9", "leaked_tags"),
        ('new row violates check constraint "price_2_ok" (23514)', ""),
        ("", ""),
    ],
)
def test_a_reason_says_its_class_of_error(reason, named):
    """The exception's without its module, or the ready check's name."""
    assert error_class(reason) == named
