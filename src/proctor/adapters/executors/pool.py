"""Slices in processes of this machine, one process a slot, so that one death harms one slice."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any


class ProcessPool:
    """ports.Executor on spawned processes; `resources` are not needed here and ignored.

    The function must be importable and its arguments picklable. Each slot is a thread with a
    process of its own: one shared pool would end every slice when one worker dies. A slice
    whose process dies raises concurrent.futures.BrokenExecutor from its future, and the slot
    gets a new process. Processes start when first needed, ignore SIGINT (their coordinator
    hears it), and end with the process that made them, however that ends.
    """

    def __init__(self, slots: int) -> None:
        """At most `slots` slices run at once; others wait their turn."""
        _start_tracker()
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="proctor-slot")
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._processes: dict[ProcessPoolExecutor, int] = {}
        self._closing = self._abandoned = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **resources: float) -> Future[Any]:
        """Run it in a process; RuntimeError after `close`."""
        del resources
        return self._threads.submit(self._run, fn, args)

    def close(self) -> None:
        """Wait for what is running, cancel what has not begun, and free the processes."""
        self._closing = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._taken():
            process.shutdown(wait=True)

    def abandon(self) -> None:
        """End every process at once, as a second signal asks; leases bring their chunks back."""
        with self._lock:
            self._closing = self._abandoned = True
            pids = list(self._processes.values())
        for pid in pids:
            _kill(pid)
        self.close()

    @property
    def pids(self) -> frozenset[int]:
        """The processes that live at this moment."""
        with self._lock:
            return frozenset(self._processes.values())

    def _run(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        process = self._process()
        try:
            return process.submit(fn, *args).result()
        except BrokenProcessPool:
            self._mine.process = None
            with self._lock:
                self._processes.pop(process, None)
            process.shutdown(wait=True)
            raise

    def _process(self) -> ProcessPoolExecutor:
        process: ProcessPoolExecutor | None = getattr(self._mine, "process", None)
        if process is None:
            if self._closing:
                raise RuntimeError("the executor is closed")
            # Spawned, not forked: threads, sockets and locks of this process must not be copied.
            context = multiprocessing.get_context("spawn")
            process = ProcessPoolExecutor(1, mp_context=context, initializer=_begin)
            try:
                pid = process.submit(os.getpid).result()
            except BaseException:
                process.shutdown(wait=True)
                raise
            self._mine.process = process
            with self._lock:
                self._processes[process] = pid
                late = self._abandoned
            if late:  # it was being born when the others were ended
                _kill(pid)
        return process

    def _taken(self) -> list[ProcessPoolExecutor]:
        with self._lock:
            processes = list(self._processes)
            self._processes.clear()
        return processes


def _start_tracker() -> None:
    """Start Python's own cleaner of semaphores without its warning.

    It outlives a coordinator that is killed, cleans up and would then say on our stderr that
    there was something to clean up: a riddle to whoever reads it, and no news.
    """
    quiet = "ignore:resource_tracker:UserWarning"
    sys.warnoptions.append(quiet)
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(quiet)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _begin() -> None:
    """First steps of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="proctor-parent", daemon=True).start()


def _end_with_parent() -> None:
    """A killed coordinator can tell nobody: without this its workers would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


__all__ = ["ProcessPool"]
