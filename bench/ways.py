"""One way to do the paid task, against a vendor of its own: started, waited for, counted."""

import contextlib
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from pathlib import Path

import songs

from proctor.testing.vendor import Served, serve_vendor

HERE = Path(__file__).parent
AT_ONCE = 64
RETRIES = 1000  # of the SDK: with the two that it has by itself it would lose most rows
WARM = 96  # rows before those whose processor time is measured
CORES = sorted(os.sched_getaffinity(0))


@dataclasses.dataclass(kw_only=True)
class Way:
    """One way to do the task: a script of `paths`, in a process of its own."""

    script: str
    python: str = sys.executable
    words: dict = dataclasses.field(default_factory=dict)

    def start(self, *, heard=True, **words):
        """The process, the leader of its own group; unheard, it may say what it will."""
        told = json.dumps({**words, **self.words})
        pipe = subprocess.PIPE if heard else subprocess.DEVNULL
        return subprocess.Popen(
            [self.python, str(HERE / "paths" / f"{self.script}.py"), told],
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{HERE}:{os.environ.get('PYTHONPATH', '')}"},
            start_new_session=True,
        )


@dataclasses.dataclass(kw_only=True)
class Case:
    """One way on a table of its own against a vendor of its own."""

    way: Way
    served: Served
    rows: int
    lyrics: tuple = (20, 80)
    core: int | None = None
    patience: float = 600.0

    @contextlib.contextmanager
    def ready(self):
        """A vendor whose minute is in full use, and what the way is told."""
        with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as held:
            db = Path(made) / "songs.db"
            songs.fill(db, self.rows, words=self.lyrics)
            with pinned(None if self.core is None else 1):
                vendor = held.enter_context(serve_vendor(self.served, process=True))
            use_up(vendor, self.served)
            told = {"db": str(db), "url": vendor.openai_url, "key": vendor.key}
            told |= {"limits": {"rpm": self.served.rpm, "tpm": self.served.tpm}}
            told |= {"model": self.served.name, "kind": self.served.kind}
            told |= {"concurrency": AT_ONCE, "retries": RETRIES, "core": self.core}
            told |= {"warm": 0 if self.core is None else WARM}
            yield vendor, told

    def books(self, vendor):
        """What the vendor counted."""
        return vendor.books()[self.served.name]

    def run(self, together=None):
        """The whole of it; `together` is where all who go side by side wait for each other."""
        with self.ready() as (vendor, told):
            before = self.books(vendor)
            if together is not None:
                together.wait()
            began = time.perf_counter()
            process = self.way.start(**told)
            result = ended(process, self.patience)
            wall, after = time.perf_counter() - began, self.books(vendor)
            filled = songs.filled(told["db"])
        calls, limited = after.calls - before.calls, after.limited - before.limited
        tokens = after.input_tokens + after.output_tokens
        tokens -= before.input_tokens + before.output_tokens
        minutes = max(calls / (self.served.rpm or math.inf), tokens / (self.served.tpm or math.inf))
        return {
            **result,
            "wall": wall,
            "calls": calls,
            "limited": limited / max(1, calls + limited),
            "over": wall / (60 * minutes) if minutes else math.nan,
            "filled": filled,
        }


def ended(process, patience):
    """What the process printed last; nothing where it had to be ended."""
    try:
        out, err = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        stop(process)
        return {}
    if process.returncode:
        raise SystemExit(f"{process.args} failed:\n{out[-2000:]}\n{err[-4000:]}")
    return json.loads(out.strip().splitlines()[-1])


def stop(process):
    """Leave nothing of it behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@contextlib.contextmanager
def pinned(core):
    """Who is started inside has a core of its own, as far as there are two."""
    if core is None or len(CORES) < 2:
        yield
        return
    os.sched_setaffinity(0, {CORES[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def use_up(vendor, served):
    """Let others have used all of the vendor's minute, evenly, until now."""
    if not (served.rpm or served.tpm):
        return
    vendor.serve(dataclasses.replace(served, latency_s=0.0))
    count, number = served.rpm or 1, 0
    while number < count:
        tokens = filler(vendor, served, number)
        if served.tpm and not number:
            count = served.tpm // tokens - 1
        vendor.advance(60.0 / count)
        number += 1
    vendor.serve(served)


def filler(vendor, served, number):
    """One call of somebody else's; the tokens that it took."""
    text = f"{number:6} {'other ' * (300 if served.tpm else 1)}"
    body = {"model": served.name, "max_tokens": 1, "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(
        f"{vendor.openai_url}/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {vendor.key}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as reply:
        return json.load(reply)["usage"]["total_tokens"]
