"""Rows that were read and not written, put together by what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

from proctor.core.likeness import likeness
from proctor.engine.snapshot import IssueGroup
from proctor.model import Issue

SHOWN_KEYS = 20
"""Keys of a group that are shown: enough to look at, and to try the cause mended on."""


def grouped(issues: Sequence[Issue]) -> tuple[IssueGroup, ...]:
    """One group for each bucket and fault, the largest first."""
    found: dict[tuple[str, str], list[Issue]] = {}
    for issue in issues:
        found.setdefault((issue.bucket.value, likeness(issue.bucket, issue.reason)), []).append(
            issue
        )
    largest = sorted(found.items(), key=lambda item: -len(item[1]))
    return tuple(
        IssueGroup(
            bucket=alike[0].bucket,
            what=what,
            count=len(alike),
            example=alike[0],
            keys=tuple(issue.key for issue in alike[:SHOWN_KEYS]),
        )
        for (_, what), alike in largest
    )
