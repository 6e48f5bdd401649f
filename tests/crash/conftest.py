"""Lives, and the worlds that they run in."""

import os
import tempfile

from pathlib import Path

import pytest

from crash.lives import Lives
from crash.wire import StepProxy
from crash.worlds import PostgresWorld, SqliteWorld

MEMORY = Path(os.sep, "dev", "shm")


@pytest.fixture(scope="session")
def ground(tmp_path_factory):
    """Where the projects are: in memory where that is possible, since SIGKILL loses no page."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("crash")
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="proctor-crash-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def lives(ground):
    """One fork server for all crash tests; the log of its lives is in its folder."""
    folder = ground / "lives"
    folder.mkdir()
    found = Lives(folder)
    yield found
    found.close()


@pytest.fixture
def folder(ground):
    """A folder of this test's own."""
    return Path(tempfile.mkdtemp(dir=ground))


@pytest.fixture(scope="session")
def step_proxy(pg_server):
    """A counting proxy before the session's Postgres."""
    with StepProxy("127.0.0.1", pg_server.port) as proxy:
        yield proxy


class Workshop:
    """Makes worlds, and ends their lives and closes them when it is closed."""

    def __init__(self, request):
        self.request = request
        self.made = []

    def __call__(self, kind, name="normalize", **settings):
        lives, ground = map(self.request.getfixturevalue, ("lives", "ground"))
        root = Path(tempfile.mkdtemp(dir=ground)) / "project"
        if kind == "sqlite":
            world = SqliteWorld(lives, root, name, **settings)
        else:
            server, proxy = map(self.request.getfixturevalue, ("pg_server", "step_proxy"))
            proxy.expect()
            world = PostgresWorld(lives, root, server, proxy, name, **settings)
        self.made.append(world)
        return world

    def close(self):
        for world in self.made:
            world.bury()
            world.close()


@pytest.fixture
def make_world(request):
    """A function that makes a world of one kind."""
    workshop = Workshop(request)
    yield workshop
    workshop.close()


@pytest.fixture(scope="module")
def make_lasting_world(request):
    """The same for worlds that several tests share."""
    workshop = Workshop(request)
    yield workshop
    workshop.close()
