"""Keeps Python's cycle collector from walking rows that are about to be dropped anyway."""

from __future__ import annotations

import contextlib
import gc

from collections.abc import Iterator
from typing import Final

CALM: Final = (400_000, 50, 100)
"""A chunk makes nearly a hundred thousand tuples and dicts, all of which die with it and none in
a cycle. Under Python's own thresholds the collector looked at them, and at every imported module,
again and again: a quarter of the time that a run spent in Python; at 50,000 still a seventh. The
collector counts what was made less what has died, so that the chunks in hand stay below this, and
only what is really left over reaches it."""


@contextlib.contextmanager
def calm() -> Iterator[None]:
    """Collect more rarely, and leave what stands at the start out of it; undone at the end.

    Cycles that an author's function makes are still collected, every 400,000 objects.
    """
    usual = gc.get_threshold()
    if usual == CALM or not gc.isenabled():
        yield  # another run in this process has seen to it, or the user has
        return
    gc.freeze()
    gc.set_threshold(*CALM)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
