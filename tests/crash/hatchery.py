"""A fork server: a clean, single-threaded process that has imported Proctor and gives it lives.

A life is a fork that does one job through `proctor.app` and ends without a word; to be killed it
needs no more than a signal. The job and its report are JSON; a life that was killed leaves none.
"""

import asyncio
import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import traceback

from pathlib import Path

WARM = (
    "proctor.app",
    "proctor.app.slices",
    "proctor.app.wiring",
    "proctor.adapters.ledger",
    "proctor.adapters.executors",
    "proctor.adapters.stores.sqlite",
    "proctor.adapters.stores.postgres",
    "proctor.config",
    "crash.acts",
    "crash.steps",
)


def serve():
    """Fork a life for every line of the standard input; print its pid."""
    for name in WARM:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    say("ready")
    lives = set()
    for line in sys.stdin:
        lives -= {pid for pid in lives if os.waitpid(pid, os.WNOHANG)[0]}
        job = json.loads(line)
        learn(job["known"])
        pid = os.fork()
        if not pid:
            live(job)
        lives.add(pid)
        say(pid)
    for pid in lives:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def say(word):
    """One line to the test."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def learn(names):
    """Import what earlier lives had to import, so that later ones are born with it."""
    new = [name for name in names if name not in sys.modules]
    for name in new:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if new:
        gc.collect()
        gc.freeze()


def live(job):
    """Be one life, from its birth to `_exit`: nothing of the server's own end may run here."""
    born_with = set(sys.modules)
    die_with_server()
    os.environ.update(job["environment"])
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        report = asyncio.run(importlib.import_module("crash.acts").act(job))
    except BaseException:  # noqa: BLE001 (whatever it was, the test must hear of it)
        report = {"crash": traceback.format_exc()}
    report["imported"] = sorted(set(sys.modules) - born_with - {"backfills"})
    into = Path(job["report"])
    part = into.with_suffix(".part")
    part.write_text(json.dumps(report, default=str))
    part.replace(into)
    os._exit(0)


def die_with_server():
    """Ask Linux to end this life with the server, so that a broken test leaves nothing behind."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # 1 is PR_SET_PDEATHSIG


if __name__ == "__main__":
    serve()
