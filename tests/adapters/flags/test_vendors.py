"""Vendors' presets against a recorder that answers in the shapes of their documents."""

import json

from urllib.parse import parse_qs, urlsplit

import pytest

from flagworlds import KEY, Recorder, World
from proctor.errors import FlagFault
from proctor.model import VendorFlag
from proctor.testing.conformance import FlagConformance, LyingConformance, SwitchConformance

OF = {
    "launchdarkly": {"project": "shop", "environment": "production"},
    "growthbook": {"environment": "production"},
    "configcat": {"environment": "e-1", "setting": "56"},
    "railway": {"project": "p-1", "environment": "e-1", "service": "s-1"},
    "vercel": {"edge_config": "ecfg_1", "team": "team_1"},
}
AUTHORIZATION = {
    "launchdarkly": "k3y",
    "growthbook": "Bearer k3y",
    "configcat": "Basic k3y",
    "railway": "Bearer k3y",
    "vercel": "Bearer k3y",
}
SHARES = ["launchdarkly", "configcat"]


class VendorWorld(World):
    """Keeps a percent, and speaks of it as one vendor does."""

    def __init__(self, vendor):
        super().__init__()
        self.percent, self.version, self.lies, self.vendor = 0, 1, False, vendor
        self.on, self.rules = False, None
        self.recorder = Recorder(self.answer)
        self.stack.callback(self.recorder.close)
        self.settings = VendorFlag(
            name="aboutness",
            flag=KEY,
            verify_s=0.0,
            vendor=vendor,
            url=self.recorder.url,
            token="k3y",
            of=OF[vendor],
        )

    def answer(self, method, path, headers, body):
        if headers.get("authorization") != AUTHORIZATION[self.vendor]:
            return 401, {"message": "invalid key"}
        told = getattr(self, self.vendor)(method, urlsplit(path), body and json.loads(body))
        return (404, {"message": "not found"}) if told is None else (200, told)

    def keep(self, percent):
        if not self.lies:
            self.percent, self.version = percent, self.version + 1

    async def meddle(self, percent):
        self.keep(percent)

    async def lie(self):
        self.lies = True

    def launchdarkly(self, method, at, body):
        if at.path != f"/api/v2/flags/shop/{KEY}":
            return None
        if method == "PATCH":
            assert body["environmentKey"] == "production"
            assert body["comment"]
            weights = None
            for step in body["instructions"]:
                weights = step.get("rolloutWeights", weights)
            kinds = [step["kind"] for step in body["instructions"]]
            if kinds == ["turnFlagOff"]:
                self.keep(0)
            else:
                assert kinds == ["updateFallthroughVariationOrRollout", "turnFlagOn"]
                assert sum(weights.values()) == 100_000
                self.keep(weights["id-true"] // 1000)
        else:
            assert parse_qs(at.query) == {"env": ["production"]}
        rollout = [
            {"variation": 0, "weight": self.percent * 1000},
            {"variation": 1, "weight": 100_000 - self.percent * 1000},
        ]
        fallthrough = {"rollout": {"variations": rollout}}
        if self.percent == 100:
            fallthrough = {"variation": 0}
        kept = {"on": self.percent > 0, "version": self.version, "fallthrough": fallthrough}
        variations = [{"_id": "id-true", "value": True}, {"_id": "id-false", "value": False}]
        return {"key": KEY, "variations": variations, "environments": {"production": kept}}

    def growthbook(self, method, at, body):
        if method == "POST" and at.path == f"/v2/features/{KEY}/toggle":
            assert body["reason"]
            self.keep(100 if body["environments"]["production"] else 0)
        elif at.path != f"/v2/features/{KEY}":
            return None
        kept = {"production": {"enabled": self.percent == 100}, "dev": {"enabled": True}}
        return {"feature": {"id": KEY, "environments": kept, "dateUpdated": str(self.version)}}

    def configcat(self, method, at, body):
        if at.path != "/v2/environments/e-1/settings/56/value":
            return None
        if method == "PATCH":
            assert parse_qs(at.query)["reason"]
            said = {step["path"]: step["value"] for step in body}
            whole, rules = said["/defaultValue/boolValue"], said["/targetingRules"]
            self.keep(rules[0]["percentageOptions"][0]["percentage"] if rules else 100 * whole)
        options = [
            {"percentage": self.percent, "value": {"boolValue": True}},
            {"percentage": 100 - self.percent, "value": {"boolValue": False}},
        ]
        rules = [{"conditions": [], "percentageOptions": options, "value": None}]
        rules = rules if 0 < self.percent < 100 else []
        rules = self.rules if self.rules is not None else rules
        return {"defaultValue": {"boolValue": self.percent == 100}, "targetingRules": rules}

    def railway(self, method, at, body):
        assert (method, at.path) == ("POST", "/graphql/v2")
        ids = {"projectId": "p-1", "environmentId": "e-1", "serviceId": "s-1"}
        if body["query"].startswith("mutation"):
            said = body["variables"]["input"]
            assert {name: said[name] for name in ids} == ids
            assert said["name"] == KEY
            self.keep(100 if said["value"] == "true" else 0)
            return {"data": {"variableUpsert": True}}
        assert body["variables"] == ids
        kept = {KEY: "true" if self.percent else "false", "DATABASE_URL": "postgres://secret"}
        return {"data": {"variables": kept}}

    def vercel(self, method, at, body):
        assert parse_qs(at.query) == {"teamId": ["team_1"]}
        if method == "PATCH":
            assert at.path == "/v1/edge-config/ecfg_1/items"
            (item,) = body["items"]
            assert (item["operation"], item["key"]) == ("upsert", KEY)
            self.keep(100 if item["value"] else 0)
            return {"status": "ok"}
        if at.path != f"/v1/edge-config/ecfg_1/item/{KEY}" or self.version == 1:
            return None  # nobody has made it yet
        return {"key": KEY, "value": self.percent == 100}


class TestShares(FlagConformance, LyingConformance):
    @pytest.fixture(params=SHARES)
    async def world(self, request):
        async with VendorWorld(request.param) as world:
            yield world


class TestSwitches(SwitchConformance, LyingConformance):
    @pytest.fixture(params=sorted(set(OF) - set(SHARES)))
    async def world(self, request):
        async with VendorWorld(request.param) as world:
            yield world


@pytest.mark.parametrize("vendor", SHARES)
async def test_a_ramp_is_kept_step_by_step(vendor):
    """As weights there; what readers see is for the vendor's own client to say."""
    async with VendorWorld(vendor) as world:
        flag = await world.flag()
        state = await flag.read()
        for step in (5, 25, 50, 100, 5, 0):
            state = await flag.set(step, expect=state, reason="ramp", once=f"r1-{step}")
            assert world.percent == step
        state = await flag.set(5, expect=state, reason="ramp", once="r1-again")
        with pytest.raises(FlagFault, match="cannot be asked who sees it"):
            await flag.observe(["a"])


@pytest.mark.parametrize("vendor", OF)
async def test_a_wrong_token_and_a_wrong_name_are_told(vendor):
    """P12: and no token with it."""
    async with VendorWorld(vendor) as world:
        told = {name: getattr(world.settings, name) for name in ("name", "vendor", "url", "of")}
        world.settings = VendorFlag(**told, flag=KEY, token="an old k3y")
        with pytest.raises(FlagFault) as caught:
            await (await world.flag()).read()
        assert "look at the token" in caught.value.fix
        assert "k3y" not in str(caught.value)


@pytest.mark.parametrize("vendor", OF)
@pytest.mark.parametrize("reply", [[], {}, {"data": None}, {"environments": 5}, "x", None, 7])
async def test_an_answer_of_another_shape_is_a_fault_of_the_flag(vendor, reply):
    """Never a percent that nobody said, and no traceback."""
    async with VendorWorld(vendor) as world:
        world.recorder.answer = lambda *_: (200, json.dumps(reply))
        with pytest.raises(FlagFault):
            await (await world.flag()).read()


async def test_targeting_rules_of_somebody_else_are_nobodys_to_guess():
    """Neither read as a share nor thrown away."""
    async with VendorWorld("configcat") as world:
        world.rules = [{"conditions": [{"userCondition": {}}], "percentageOptions": []}]
        with pytest.raises(FlagFault, match="targeting rules that Proctor did not write"):
            await (await world.flag()).read()


async def test_railway_needs_a_deploy_and_shows_no_other_variable():
    """P12: an error of GraphQL may repeat them."""
    async with VendorWorld("railway") as world:
        flag = await world.flag()
        assert flag.powers.needs_redeploy
        assert "secret" not in repr(await flag.read())
        reply = {"errors": [{"message": "DATABASE_URL=postgres://secret"}]}
        world.recorder.answer = lambda *_: (200, reply)
        with pytest.raises(FlagFault) as caught:
            await flag.read()
        assert "secret" not in str(caught.value)
