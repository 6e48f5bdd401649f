"""What a row's reason has in common with others': the same fault in other words of other rows."""

from __future__ import annotations

import re

from typing import Final

from proctor.model import Bucket

_RAISED: Final = re.compile(r"([A-Za-z_][\w.]*)(?:: .*)? at (\S+:\d+)", re.DOTALL)
"""How an exception of the author's is kept: type, message and place."""
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_NUMBER: Final = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?![\w.]*\w)")


def likeness(bucket: Bucket, reason: str) -> str:
    """The reason without what may differ from row to row.

    Of an exception its type and place stay, for a message may quote the row. Of an author's
    Skip or Refuse quoted parts and numbers go. What the server or Proctor says stays whole: it
    names constraints and fields, never values.
    """
    if bucket is Bucket.FAILED:
        raised = _RAISED.fullmatch(reason)
        return f"{raised[1]} at {raised[2]}" if raised else reason
    if bucket in (Bucket.SKIPPED, Bucket.REFUSED):
        return _NUMBER.sub("…", _QUOTED.sub("…", reason))
    return reason
