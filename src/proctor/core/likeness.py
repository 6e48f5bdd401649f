"""What a row's reason has in common with others': the same fault in other words of other rows."""

from __future__ import annotations

import re

from typing import Final

from proctor.model import Bucket

_RAISED: Final = re.compile(r"([A-Za-z_][\w.]*)(?:: .*)? at (\S+:\d+)", re.DOTALL)
"""How an exception of the author's is kept: type, message and place."""
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_NUMBER: Final = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?![\w.]*\w)")


_CHECKED: Final = re.compile(r"check (\w+): ")
"""How a ready check that rejects a row begins its reason."""


def error_class(reason: str) -> str:
    """The class of error of a failed row: the exception's, or the ready check's name.

    Empty where it is neither: the database refused the row, or Proctor could not use the answer.
    """
    if checked := _CHECKED.match(reason):
        return checked[1]
    raised = _RAISED.fullmatch(reason)
    return raised[1].rpartition(".")[2] if raised else ""


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
