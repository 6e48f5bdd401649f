"""Slices in threads of this process: the default, and enough wherever waiting is the work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class InProcess:
    """ports.Executor on threads; `resources` are not needed here and ignored."""

    def __init__(self, slots: int = 1) -> None:
        """At most `slots` slices run at once; others wait their turn."""
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="proctor-slice")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **resources: float) -> Future[Any]:
        """Run it in a thread; RuntimeError after `close`."""
        del resources
        return self._threads.submit(fn, *args)

    def close(self) -> None:
        """Wait for what is running; what has not begun is cancelled."""
        self._threads.shutdown(wait=True, cancel_futures=True)


__all__ = ["InProcess"]
