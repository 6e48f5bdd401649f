"""The test's end of the fork server: lives that can be waited for, killed, frozen and thawed.

A life is held by a pidfd, so that a signal can never reach a stranger who got its number.
"""

import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time

from pathlib import Path

TESTS = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds in which every life must end; most take a tenth of one


class Lives:
    """One fork server; `born` gives a life."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.numbers = itertools.count(1)
        self.known = set()
        self.server = subprocess.Popen(
            [sys.executable, "-m", "crash.hatchery"],
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self.server.stdout.readline() != "ready\n":
            raise RuntimeError("the fork server did not start; its error is above")

    def born(self, job):
        """A new life that does this job; see acts.py for what a job holds."""
        number = next(self.numbers)
        report = self.folder / f"{number}.json"
        log = self.folder / "lives.log"
        job = job | {"report": str(report), "log": str(log), "known": sorted(self.known)}
        job["environment"] |= {"CRASH_HOLD": str(report)}
        self.known.clear()
        print(json.dumps(job), file=self.server.stdin, flush=True)
        return Life(int(self.server.stdout.readline()), report, self)

    def close(self):
        """End the server, and with it whatever life there is left."""
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait(timeout=10)


class Life:
    """One process that is Proctor."""

    def __init__(self, pid, report, lives):
        self.pid = pid
        self.report = report
        self.lives = lives
        # The server reaps only when it is asked for the next life: this number is still ours.
        self.handle = os.pidfd_open(pid)
        self.alive = True

    def signal(self, number):
        """Send a signal; a life that has ended does not mind."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, number)

    def wait(self, patience=PATIENCE):
        """The report; None when it was killed. Fails when the life does not end in time."""
        waiting = select.poll()
        waiting.register(self.handle, select.POLLIN)
        if not waiting.poll(patience * 1000):
            doing = self.doing()
            self.signal(signal.SIGKILL)
            raise AssertionError(f"life {self.pid} did not end in {patience} s; it was {doing}")
        self._forget()
        if not self.report.exists():
            return None
        report = json.loads(self.report.read_text())
        self.report.unlink()
        assert "crash" not in report, report["crash"]
        self.lives.known.update(report.pop("imported"))
        return report

    def kill(self):
        """SIGKILL, and wait for the end; the report if it was too late."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def kill_after(self, seconds):
        """SIGKILL at an instant; the report if the life ended before it."""
        select.select([self.handle], [], [], seconds)
        return self.kill()

    def doing(self):
        """The state letter of the process: R, S, T (stopped), Z (dead)."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except FileNotFoundError:
            return "Z"
        return stat.rpartition(")")[2].split()[0]

    @property
    def hold(self):
        """Where the author's function says that it is held, and hears that it may go on."""
        return self.report.with_suffix(".held"), self.report.with_suffix(".go")

    def until_held(self):
        """Wait until the author's function is held; fails when the life ends instead."""
        self._until(self.hold[0].exists, "was not held")
        return self

    def freeze(self):
        """SIGSTOP, and wait until it took effect."""
        self.signal(signal.SIGSTOP)
        self.until_frozen()

    def until_frozen(self):
        """Wait until the life is stopped by whoever stops it."""
        self._until(lambda: self.doing() == "T", "did not freeze")

    def _until(self, happened, otherwise):
        until = time.monotonic() + PATIENCE
        while not happened():
            assert self.doing() not in "ZX", f"the life ended and {otherwise}: {self.wait()}"
            assert time.monotonic() < until, f"the life {otherwise}"
            select.select([self.handle], [], [], 0.005)

    def go_on(self):
        """Let the author's function go on."""
        self.hold[1].touch()

    def thaw(self):
        """SIGCONT, and the author's function goes on."""
        self.go_on()
        self.signal(signal.SIGCONT)

    def workers(self):
        """The pids of the worker processes below it."""
        return [pid for pid in below(self.pid) if b"spawn_main" in command(pid)]

    def _forget(self):
        self.alive = False
        os.close(self.handle)


def command(pid):
    """How a process was started; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def below(pid):
    """The pids of every process below this one."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    own = [int(child) for task in tasks for child in task.read_text().split()]
    return [*own, *(p for child in own for p in below(child))]
