"""Fixtures shared by every room: real servers, started when first asked for."""

import os
import shutil
import tempfile

from pathlib import Path

import pytest

from hypothesis import HealthCheck, settings

import servers

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

MEMORY = Path(os.sep, "dev", "shm")
MEMORY_NEEDED = 2 * 2**30  # bytes; a whole session takes a third of one
SLOW_ROOMS = ("crash", "paid", "examples", "rollout", "docs", "ui", "app")


@pytest.hookimpl(tryfirst=True)
def pytest_configure():
    """Databases of the tests live in memory where there is room: a third less to do for the disk.

    They are killed with their process, never with the machine, and so lose nothing by it.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return
    if shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Begin with the rooms whose files take longest: at the end no worker waits for another."""
    rooms = {room: place for place, room in enumerate(SLOW_ROOMS)}
    items.sort(key=lambda item: rooms.get(item.path.parent.name, len(rooms)))


@pytest.fixture(scope="session")
def pg_server():
    """One Postgres a session, on the preferred binaries."""
    server = servers.start_postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def pg_databases(pg_server):
    """Its databases, taken and given back."""
    return servers.Databases(pg_server)


@pytest.fixture
def pg(pg_databases):
    """The DSN of a fresh database of this test's own."""
    url = pg_databases.take()
    yield url
    pg_databases.give_back(url)


def pytest_terminal_summary(terminalreporter):
    """Show the figures that tests have drawn: of what workers print, nobody sees a line."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind)]
    said = [told for one in reports for name, told in one.user_properties if name == "figures"]
    if said:
        terminalreporter.section("figures")
        for line in said:
            terminalreporter.write_line(line)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """A skipped test is a promise that nobody looked at: it fails the session."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [k for k in ("skipped", "xfailed", "xpassed") if reporter.stats.get(k)]
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        reporter.ensure_newline()
        reporter.write_line(f"{' and '.join(skipped)} tests count as failures here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
