"""What the executor tests run in other threads and processes."""

import os
import signal
import time

from pathlib import Path

from proctor.errors import Fenced


def add(a, b):
    return a + b


def fail(what):
    raise Fenced(what, found="a newer claim", fix="leave quietly")


def pid(_=None):
    return os.getpid()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    return "still here"


def meet(mine, others):
    """Say that we run and wait until the others do: only then did they run at once."""
    Path(mine).touch()
    return wait_for(others)


def wait_for(paths, seconds=30):
    until = time.monotonic() + seconds
    while not all(Path(p).exists() for p in paths):
        if time.monotonic() > until:
            raise TimeoutError(f"nobody made {paths}")
        time.sleep(0.005)
    return os.getpid()
