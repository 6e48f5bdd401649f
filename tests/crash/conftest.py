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


@pytest.fixture
def make_world(lives, folder, request):
    """A function that makes a world of one kind; all are closed at the end."""
    made = []

    def make(kind, name="normalize", **settings):
        root = folder / "project"
        if kind == "sqlite":
            world = SqliteWorld(lives, root, name, **settings)
        else:
            server = request.getfixturevalue("pg_server")
            proxy = request.getfixturevalue("step_proxy")
            proxy.expect()
            world = PostgresWorld(lives, root, server, proxy, name, **settings)
        made.append(world)
        return world

    yield make
    for life in tuple(lives.open):
        life.kill()
    for world in made:
        world.close()
