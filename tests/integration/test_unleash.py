"""Flags on a real Unleash server, and what its own client tells an application."""

import contextlib
import dataclasses
import itertools
import time

import httpx2
import psycopg
import pytest

from proctor.adapters.flags import open_flag
from proctor.adapters.flags.tool import Said
from proctor.errors import FlagFault, FlagMoved
from proctor.model import UnleashFlag
from proctor.testing.conformance import LyingConformance, RampConformance

pytestmark = pytest.mark.integration

ADMIN, CLIENT = "*:*.integration-admin", "default:development.integration-client"
NUMBERS = itertools.count(1)
READERS = [f"reader-{number}" for number in range(4_000)]
SEEN_WITHIN = 60.0  # seconds; the client asks every one
LEISURE = 0.2  # seconds; a client that is kept busy skips the times at which it would ask
POINTS = 0.02


class UnleashWorld:
    """A feature of its own on the server, off and without strategies."""

    def __init__(self, server, **more):
        self.server, self.name = server, f"flag-{next(NUMBERS)}"
        self.stack = contextlib.AsyncExitStack()
        self.admin = httpx2.Client(base_url=server.url, headers={"Authorization": ADMIN})
        self.stack.callback(self.admin.close)
        self.at = f"/api/admin/projects/default/features/{self.name}/environments/development"
        feature = {"name": self.name, "type": "release"}
        self.asked("POST", "/api/admin/projects/default/features", feature)
        self.settings = UnleashFlag(
            **{
                "name": "aboutness",
                "flag": self.name,
                "url": server.url,
                "token": ADMIN,
                "client_token": CLIENT,
                "environment": "development",
                "verify_s": 5.0,
                **more,
            }
        )

    def asked(self, method, path, body=None):
        reply = self.admin.request(method, path, json=body)
        assert reply.status_code < 300, reply.text
        return reply.json() if reply.content else None

    async def flag(self):
        flag = open_flag(self.settings)
        self.stack.push_async_callback(flag.aclose)
        return flag

    async def meddle(self, percent):
        if not percent:
            self.asked("POST", f"{self.at}/off")
            return
        for one in self.asked("GET", f"{self.at}/strategies"):
            patch = [{"op": "replace", "path": "/parameters/rollout", "value": str(percent)}]
            self.asked("PATCH", f"{self.at}/strategies/{one['id']}", patch)
        self.asked("POST", f"{self.at}/on")

    async def lie(self):
        """Its own database keeps the switch where it is."""
        with psycopg.connect(self.server.database, autocommit=True) as connection:
            connection.execute(
                "CREATE OR REPLACE FUNCTION lie() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN NEW.enabled := OLD.enabled; RETURN NEW; END $$"
            )
            connection.execute(
                f'CREATE TRIGGER "lie-{self.name}" BEFORE UPDATE ON feature_environments'
                f" FOR EACH ROW WHEN (OLD.feature_name = '{self.name}') EXECUTE FUNCTION lie()"
            )

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self.stack.aclose()


@pytest.fixture
async def world(unleash):
    async with UnleashWorld(unleash) as world:
        yield world


class TestUnleash(RampConformance, LyingConformance):
    @pytest.fixture
    async def world(self, unleash):
        async with UnleashWorld(unleash, verify_s=1.0) as world:
            yield world


def seen_by_client(reader, flag, step, **properties):
    """Whom the client lets in, as soon as it is near the step; asked until then, for a time."""
    until = time.monotonic() + SEEN_WITHIN
    while True:
        told = reader.ask(flag, READERS, **properties)
        inside = {one for one, yes in zip(READERS, told, strict=True) if yes}
        near = abs(len(inside) / len(READERS) - step / 100) <= POINTS
        if near or time.monotonic() > until:
            assert near, f"{len(inside)} of {len(READERS)} at {step} percent"
            return inside
        time.sleep(LEISURE)


async def test_a_ramp_is_seen_by_its_own_client_and_cohorts_only_grow(world, reader):
    """5, 25, 50, 100 within two points each; then nobody, by one switch."""
    flag = await world.flag()
    state, before = await flag.read(), set()
    for step in (5, 25, 50, 100):
        state = await flag.set(step, expect=state, reason="ramp", once=f"r-{step}")
        inside = seen_by_client(reader, world.name, step)
        assert before < inside
        told = await flag.observe(READERS)
        assert inside == {one for one, yes in zip(READERS, told, strict=True) if yes}
        before = inside
    await flag.set(0, expect=state, reason="harm", once="r-0")
    assert not seen_by_client(reader, world.name, 0)


async def test_only_readers_whose_rows_are_filled_are_let_in(unleash, reader):
    """Also at 100 percent."""
    async with UnleashWorld(unleash, only_filled="filled") as world:
        flag = await world.flag()
        state = await flag.set(50, expect=await flag.read(), reason="ramp", once="r-50")
        half = seen_by_client(reader, world.name, 50, filled="true")
        assert not any(reader.ask(world.name, READERS, filled="false"))
        assert not any(reader.ask(world.name, READERS))
        await flag.set(100, expect=state, reason="ramp", once="r-100")
        assert half < seen_by_client(reader, world.name, 100, filled="true")
        assert not any(reader.ask(world.name, READERS))


async def test_the_rule_for_filled_rows_is_not_slipped_under_a_running_ramp(world):
    """It would take the new data away from readers who see it."""
    flag = await world.flag()
    state = await flag.set(25, expect=await flag.read(), reason="ramp", once="r-25")
    world.settings = dataclasses.replace(world.settings, only_filled="filled")
    other = await world.flag()
    with pytest.raises(FlagFault, match="another rule than only_filled"):
        await other.set(50, expect=state, reason="ramp", once="r-50")
    assert await flag.read() == state


async def test_what_others_said_of_the_strategy_stays(world, reader):
    """Its stickiness, its constraints and its title: only the share is ours."""
    constraint = {"contextName": "userId", "operator": "STR_STARTS_WITH", "values": ["reader"]}
    world.asked(
        "POST",
        f"{world.at}/strategies",
        {
            "name": "flexibleRollout",
            "title": "by hand",
            "constraints": [constraint],
            "parameters": {"rollout": "10", "stickiness": "userId", "groupId": "other"},
        },
    )
    flag = await world.flag()
    before = await flag.read()
    assert before.percent == 0  # it is switched off
    await flag.set(50, expect=before, reason="ramp", once="r-50")
    (kept,) = world.asked("GET", f"{world.at}/strategies")
    assert kept["title"] == "by hand"
    assert kept["parameters"] == {"rollout": "50", "stickiness": "userId", "groupId": "other"}
    (rule,) = kept["constraints"]
    assert (rule["contextName"], rule["values"]) == ("userId", ["reader"])
    seen_by_client(reader, world.name, 50)
    await flag.restore(before, reason="harm", once="r-back")
    (back,) = world.asked("GET", f"{world.at}/strategies")
    assert back["parameters"]["rollout"] == "10"
    assert await flag.read() == before


async def test_a_write_between_our_look_and_our_write_is_seen(world):
    """There is no compare-and-set: the tool looks once more, right before it writes."""
    flag = await world.flag()
    state = await flag.set(25, expect=await flag.read(), reason="ramp", once="r-25")
    await world.meddle(10)
    with pytest.raises(FlagMoved, match="10 percent"):
        await flag._tool.put(50, state, Said(reason="ramp", once="r-50"))


async def test_two_strategies_are_nobodys_to_guess(world):
    """Either lets readers in: a share of one says nothing."""
    own = {"name": "flexibleRollout", "parameters": {"rollout": "5", "stickiness": "userId"}}
    world.asked("POST", f"{world.at}/strategies", own)
    world.asked("POST", f"{world.at}/strategies", {"name": "default"})
    world.asked("POST", f"{world.at}/on")
    flag = await world.flag()
    with pytest.raises(FlagFault, match="cannot say whom they let in"):
        await flag.read()


@pytest.mark.parametrize(
    ("wrong", "fix"),
    [
        ({"token": "*:*.no-such-k3y"}, "look at the token"),
        ({"flag": "nothing-there"}, "look at the flag's key"),
        ({"environment": "nowhere"}, "look at the flag's key, its project and its environment"),
        ({"url": "http://127.0.0.1:1"}, "nobody answers"),
    ],
)
async def test_what_is_wrong_is_told_without_the_token(unleash, wrong, fix):
    """P12: with what to look at."""
    async with UnleashWorld(unleash, **wrong) as world:
        flag = await world.flag()
        with pytest.raises(FlagFault) as caught:
            await flag.read()
    assert fix in caught.value.fix
    assert "k3y" not in str(caught.value)
