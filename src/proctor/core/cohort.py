"""Who is among the first percent of a flag's readers: always the same, and different by flag."""

from __future__ import annotations

import hashlib

from typing import Final

BUCKETS: Final = 10_000


def bucket(flag: str, subject: str) -> int:
    """A reader's place, 0 to 9999, by the first four bytes of SHA-256 of `flag:subject`.

    The flag is in it, so that it is not the same readers who are first every time.
    """
    digest = hashlib.sha256(f"{flag}:{subject}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % BUCKETS


def lets_in(flag: str, subject: str, percent: int) -> bool:
    """Whether a reader is in; whoever is in at a percent is in at every larger one."""
    return bucket(flag, subject) < percent * BUCKETS // 100


__all__ = ["BUCKETS", "bucket", "lets_in"]
