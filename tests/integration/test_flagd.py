"""A flagd file, and what a long-lived provider of OpenFeature tells an application."""

import threading

import pytest

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.provider.no_op_provider import NoOpProvider

from flagworlds import KEY, FlagdWorld

pytestmark = pytest.mark.integration

READERS = [f"reader-{number}" for number in range(4_000)]
SEEN_WITHIN = 20.0  # seconds; the provider looks twice in one


class Application:
    """Started once, before the ramp; it hears of every change of the file by itself."""

    def __init__(self, path):
        self.heard = threading.Event()
        self.provider = FlagdProvider(
            resolver_type=ResolverType.FILE, offline_flag_source_path=str(path)
        )
        api.set_provider_and_wait(self.provider, "application")
        self.client = api.get_client("application")
        self.client.add_handler(
            ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, lambda _: self.heard.set()
        )

    def inside(self):
        """Whom it lets in, once it has heard of a change."""
        assert self.heard.wait(SEEN_WITHIN)
        contexts = {reader: EvaluationContext(reader) for reader in READERS}
        return {r for r, c in contexts.items() if self.client.get_boolean_value(KEY, False, c)}

    def close(self):
        api.set_provider_and_wait(NoOpProvider(), "application")


async def test_a_ramp_is_seen_by_its_own_provider_and_cohorts_only_grow(tmp_path):
    """5, 25, 50, 100 within two points each; then nobody."""
    async with FlagdWorld(tmp_path) as world:
        application = Application(world.path)
        try:
            flag = await world.flag()
            state, before = await flag.read(), set()
            for step in (5, 25, 50, 100):
                application.heard.clear()
                state = await flag.set(step, expect=state, reason="ramp", once=f"r-{step}")
                inside = application.inside()
                assert abs(len(inside) / len(READERS) - step / 100) <= 0.02
                assert before < inside
                before = inside
            application.heard.clear()
            await flag.set(0, expect=state, reason="harm", once="r-0")
            assert application.inside() == set()
        finally:
            application.close()
