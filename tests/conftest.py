"""Fixtures shared by every room: real servers, started when first asked for."""

import pytest

from hypothesis import HealthCheck, settings

import servers

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def pg_server():
    """One Postgres a session, on the preferred binaries."""
    server = servers.start_postgres()
    yield server
    server.close()


@pytest.fixture
def pg(pg_server):
    """The DSN of a fresh database of this test's own."""
    url = pg_server.create_database()
    yield url
    pg_server.drop_database(url)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """A skipped test is a promise that nobody looked at: it fails the session."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [k for k in ("skipped", "xfailed", "xpassed") if reporter.stats.get(k)]
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        reporter.ensure_newline()
        reporter.write_line(f"{' and '.join(skipped)} tests count as failures here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
