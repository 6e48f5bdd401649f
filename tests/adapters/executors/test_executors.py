"""The seam of ports.Executor, kept by threads and by processes."""

import asyncio
import os
import select
import signal
import subprocess
import sys

from concurrent.futures import BrokenExecutor, wait
from pathlib import Path

import pytest

from proctor.adapters.executors import InProcess, ProcessPool
from proctor.config import Secret
from proctor.errors import Fenced

sys.path.insert(0, str(Path(__file__).parent))  # workers import `slices` by name

import slices


def ends(pid, seconds=30):
    """Whether the process ends within that time."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)


@pytest.fixture(params=[InProcess, ProcessPool])
def executor(request):
    executor = request.param(2)
    yield executor
    executor.close()


@pytest.fixture
def pool():
    pool = ProcessPool(2)
    yield pool
    pool.close()


def test_a_slice_returns_what_the_function_returned(executor):
    assert executor.submit(slices.add, 1, 2).result(timeout=60) == 3


def test_resources_are_allowed_and_not_passed_on(executor):
    """The same call works on an engine that places by cpu and gpu."""
    assert executor.submit(slices.add, 1, 2, cpu=1, gpu=0.5).result(timeout=60) == 3


def test_an_error_arrives_whole(executor):
    """With all three parts: also after the trip between processes."""
    error = executor.submit(slices.fail, "fenced").exception(timeout=60)
    assert isinstance(error, Fenced)
    assert (error.what, error.found, error.fix) == ("fenced", "a newer claim", "leave quietly")


def test_as_many_slices_as_slots_run_at_once(executor, tmp_path):
    paths = [str(tmp_path / name) for name in "ab"]
    futures = [executor.submit(slices.meet, path, paths) for path in paths]
    assert len([f.result(timeout=60) for f in futures]) == 2


async def test_a_slice_can_be_awaited(executor):
    assert await asyncio.wrap_future(executor.submit(slices.add, "a", "b")) == "ab"


def test_close_waits_for_what_is_running(executor, tmp_path):
    """Nothing is cut off in the middle of a chunk."""
    path = str(tmp_path / "begun")
    future = executor.submit(slices.meet, path, [path])
    slices.wait_for([path], 60)
    executor.close()
    assert future.done()
    assert future.exception() is None


def test_nothing_is_accepted_after_close(executor):
    executor.close()
    with pytest.raises(RuntimeError):
        executor.submit(slices.add, 1, 2)


def test_closing_twice_is_harmless(executor):
    executor.submit(slices.add, 1, 2).result(timeout=60)
    executor.close()
    executor.close()


def test_a_dead_worker_is_an_error_on_its_future_and_is_replaced(pool):
    """The lease of its chunk runs out; the engine submits a new slice."""
    error = pool.submit(slices.die).exception(timeout=60)
    assert isinstance(error, BrokenExecutor)
    assert pool.submit(slices.add, 1, 2).result(timeout=60) == 3


def test_the_death_of_one_worker_leaves_the_others_alone(pool, tmp_path):
    """A slice in another slot goes on as if nothing had happened."""
    begun, gone = str(tmp_path / "begun"), str(tmp_path / "gone")
    other = pool.submit(slices.meet, begun, [gone])
    slices.wait_for([begun], 60)
    assert isinstance(pool.submit(slices.die).exception(timeout=60), BrokenExecutor)
    Path(gone).touch()
    assert other.result(timeout=60) in pool.pids


def test_a_worker_killed_from_outside_between_slices_is_replaced(pool):
    """The slice that finds it dead fails, the next one works."""
    first = pool.submit(slices.pid).result(timeout=60)
    os.kill(first, signal.SIGKILL)
    assert ends(first)
    found = [pool.submit(slices.add, 1, 2).exception(timeout=60) for _ in range(4)]
    assert [e for e in found if e is not None and not isinstance(e, BrokenExecutor)] == []
    assert pool.submit(slices.add, 1, 2).result(timeout=60) == 3
    assert first not in pool.pids


def test_workers_are_processes_and_are_kept(pool):
    pids = {pool.submit(slices.pid).result(timeout=60) for _ in range(3)}
    assert os.getpid() not in pids
    assert pids <= pool.pids


def test_an_interrupt_from_the_keyboard_does_not_reach_workers(pool):
    """Ctrl-C goes to the whole process group; only the coordinator decides what it means."""
    assert pool.submit(slices.interrupt).result(timeout=60) == "still here"


def test_abandoning_ends_a_slice_that_would_not_end(pool, tmp_path):
    begun = str(tmp_path / "begun")
    future = pool.submit(slices.meet, begun, [str(tmp_path / "never")])
    slices.wait_for([begun], 60)
    pool.abandon()
    assert isinstance(future.exception(timeout=0), BrokenExecutor)
    assert pool.pids == frozenset()


def test_a_secret_cannot_be_an_argument(pool):
    """P12: DSNs are resolved where the slice runs; they never travel."""
    error = pool.submit(slices.add, Secret("postgresql://a:hunter22@db"), 1).exception(timeout=60)
    assert isinstance(error, TypeError)
    assert "hunter22" not in str(error)


def test_workers_end_with_a_coordinator_that_was_killed(tmp_path):
    """SIGKILL leaves no orphans that wait for work for ever."""
    script = tmp_path / "coordinator.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import slices\n"
        "from proctor.adapters.executors import ProcessPool\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPool(2)\n"
        "    print(pool.submit(slices.pid).result(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    assert ends(worker)


def test_futures_wait_their_turn(executor):
    futures = [executor.submit(slices.add, n, n) for n in range(8)]
    assert not wait(futures, timeout=60).not_done
    assert [f.result() for f in futures] == [0, 2, 4, 6, 8, 10, 12, 14]


KILLED = """
import os, signal
from proctor.adapters.executors import ProcessPool

if __name__ == "__main__":
    ProcessPool(2).submit(os.getpid).result()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_coordinator_leaves_no_warning_behind(tmp_path):
    """Python's cleaner of semaphores has the last word otherwise, long after everybody is gone."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    ended = subprocess.run([sys.executable, script], stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stderr == ""
