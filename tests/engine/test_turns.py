"""Who may use the target: so many at a time, first come, first served, whatever else happens."""

import asyncio

import pytest

from proctor.engine.turns import Gate, Turn


async def arrive(gate, name, seen):
    """Enter and say so."""
    await gate.enter()
    seen.append(name)


async def all_wait():
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def gate():
    return Gate(lambda: 1)


async def test_the_longest_waiting_goes_first(gate):
    """Whoever leaves and comes back stands behind those who were waiting."""
    seen = []
    await gate.enter()
    tasks = [asyncio.create_task(arrive(gate, name, seen)) for name in "ab"]
    await all_wait()
    gate.leave()
    tasks.append(asyncio.create_task(arrive(gate, "again", seen)))
    for _ in tasks:
        await all_wait()
        assert gate.inside == 1
        gate.leave()
    assert seen == ["a", "b", "again"]
    await asyncio.gather(*tasks)


async def test_who_is_cancelled_while_waiting_takes_no_place(gate):
    seen = []
    await gate.enter()
    lost, kept = [asyncio.create_task(arrive(gate, n, seen)) for n in ("lost", "kept")]
    await all_wait()
    lost.cancel()
    await all_wait()
    gate.leave()
    await kept
    assert seen == ["kept"]
    assert gate.inside == 1


async def test_who_is_cancelled_when_called_passes_the_place_on(gate):
    """The call and the cancellation may meet: the place must not be lost between them."""
    seen = []
    await gate.enter()
    lost, kept = [asyncio.create_task(arrive(gate, n, seen)) for n in ("lost", "kept")]
    await all_wait()
    gate.leave()
    lost.cancel()
    async with asyncio.timeout(5):
        await kept
    assert seen == ["kept"]
    assert gate.inside == 1


async def test_the_limit_may_change_while_some_wait():
    """The operator tunes the workers: more come in at the next change, fewer stay in."""
    limit, seen = 1, []
    gate = Gate(lambda: limit)
    await gate.enter()
    tasks = [asyncio.create_task(arrive(gate, name, seen)) for name in "abc"]
    await all_wait()
    limit = 3
    gate.leave()
    await all_wait()
    assert (seen, gate.inside) == (["a", "b", "c"], 3)
    limit = 1
    late = asyncio.create_task(arrive(gate, "d", seen))
    for inside in (2, 1):
        gate.leave()
        await all_wait()
        assert (seen[-1], gate.inside) == ("c", inside)
    gate.leave()
    await late
    await asyncio.gather(*tasks)


async def test_a_turn_is_held_until_it_is_given(gate):
    """A lane that writes and reads again does not queue in between."""
    turn, other, seen = Turn(gate), Turn(gate), []

    async def wait():
        await other.take()
        seen.append("other")

    await turn.take()
    task = asyncio.create_task(wait())
    await all_wait()
    await turn.take()
    assert seen == []
    turn.give()
    turn.give()
    await task
    assert gate.inside == 1
