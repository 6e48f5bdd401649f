"""Where in the author's code something happened: a file's name and a line, no machine's paths."""

from __future__ import annotations

import sysconfig

from collections.abc import Sequence
from pathlib import Path
from traceback import FrameSummary, extract_stack, extract_tb
from typing import Final

_OURS: Final = str(Path(__file__).parents[1])
_STDLIB: Final = sysconfig.get_paths()["stdlib"]


def place_of(error: BaseException) -> str:
    """Where an exception was raised."""
    return _last(extract_tb(error.__traceback__))


def place_now() -> str:
    """Where the author's code is at this moment."""
    return _last(extract_stack())


def _last(frames: Sequence[FrameSummary]) -> str:
    """The innermost frame that is neither a library's nor Python's nor ours."""
    own = [frame for frame in frames if not _foreign(frame.filename)]
    frame = (own or list(frames))[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _foreign(file: str) -> bool:
    return (
        file.startswith((_OURS, _STDLIB, "<frozen", "<string>"))
        or "site-packages" in file
        or "dist-packages" in file
    )
