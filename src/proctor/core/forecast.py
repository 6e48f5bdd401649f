"""What a run will cost: chunks, time, write-ahead log and dead tuples, as honest ranges."""

from __future__ import annotations

import math

from datetime import timedelta

from proctor.model import Survey

HEAP_OVERHEAD = 60
"""Bytes of log for one heap update beside the row itself: record headers and tuple header."""
INDEX_ENTRY = 70
"""Bytes of log for one index insertion."""


def chunk_count(survey: Survey, chunk_rows: int, *, alone: bool = False) -> int:
    """Chunks that the first pass cuts: over keys scanned, not rows eligible.

    alone: each eligible row is a chunk of its own, and no other key is.
    """
    # An estimate of the rows may lie below a count of the eligible ones.
    keys = survey.eligible if alone else max(survey.rows, survey.eligible)
    return math.ceil(keys / chunk_rows) if survey.eligible else 0


def duration(
    survey: Survey,
    *,
    per_row: timedelta,
    rows_per_second: float,
    chunks: tuple[int, int],
    pause: timedelta,
) -> tuple[timedelta, timedelta]:
    """Low and high: the function's measured time, a store's usual write rate, the pauses.

    `chunks` are the fewest and the most that there can be: one pause follows each.
    """
    compute = survey.eligible * per_row.total_seconds()
    write = survey.eligible / rows_per_second
    fewest, most = (n * pause.total_seconds() for n in chunks)
    low = max(compute, write) + fewest
    high = 2.0 * (compute + write) + most + 1.0
    return timedelta(seconds=low), timedelta(seconds=high)


def log_bytes(survey: Survey) -> int:
    """Write-ahead log to come, without full-page images (which may double it)."""
    per_row = survey.row_bytes + HEAP_OVERHEAD + INDEX_ENTRY * max(0.0, survey.writes_per_row - 1)
    return int(survey.eligible * per_row)
