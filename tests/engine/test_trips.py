"""Questions that come while a trip is under way travel together in the next."""

import asyncio

import pytest

from proctor.engine.trips import Trips


class Road:
    """Carries when it is let; remembers who travelled together."""

    def __init__(self):
        self.trips = []
        self.open = asyncio.Event()

    async def carry(self, things):
        self.trips.append(list(things))
        await self.open.wait()
        if "bad" in things:
            raise ValueError("the road is broken")
        return [t.upper() for t in things]


async def test_whoever_comes_alone_travels_at_once_and_the_others_together():
    """The first trip has one aboard; all who came meanwhile share the second."""
    road = Road()
    trips = Trips(road.carry, 3)
    sent = [asyncio.create_task(trips.send(t)) for t in "a"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    sent += [asyncio.create_task(trips.send(t)) for t in "bcde"]
    await asyncio.sleep(0)
    road.open.set()
    assert await asyncio.gather(*sent) == ["A", "B", "C", "D", "E"]
    assert road.trips == [["a"], ["b", "c", "d"], ["e"]]


async def test_an_error_is_everybodys_of_that_trip_and_nobody_elses():
    """The next trip goes as if nothing had been."""
    road = Road()
    road.open.set()
    trips = Trips(road.carry, 2)
    first = [asyncio.create_task(trips.send(t)) for t in ("bad", "b", "c")]
    got = await asyncio.gather(*first, return_exceptions=True)
    assert [type(x) for x in got] == [ValueError, ValueError, str]
    assert await trips.send("d") == "D"


async def test_whoever_goes_away_leaves_the_trip_to_the_others():
    """A cancelled sender is carried all the same, and spoils nothing."""
    road = Road()
    trips = Trips(road.carry, 9)
    gone, stays = (asyncio.create_task(trips.send(t)) for t in "ab")
    await asyncio.sleep(0)
    gone.cancel()
    road.open.set()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await stays == "B"
