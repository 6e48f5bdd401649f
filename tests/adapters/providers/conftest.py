"""A vendor on this machine, and providers that ask it, in all three wire shapes."""

import contextlib

import pytest

from adapters.providers.asks import CHAT, EMBED, PRICE
from proctor.adapters.providers import open_provider
from proctor.model import ProviderSettings
from proctor.testing.vendor import Served, serve_vendor


@pytest.fixture(scope="session")
def shared():
    with serve_vendor(
        *(Served(name=name) for name in CHAT.values()),
        *(Served(name=name, kind="embed", dimensions=8) for name in EMBED.values()),
    ) as server:
        yield server


@pytest.fixture
def vendor(shared):
    """One server for all tests, its limits as they were; books are counted by difference."""
    for served in shared.served:
        shared.serve(served)
    shared.advance(61)
    return shared


@pytest.fixture
async def opened(vendor):
    """Open a provider of a vendor: `opened("openai")`, `opened("openai", embed=True)`."""
    async with contextlib.AsyncExitStack() as stack:

        def opened(name, *, embed=False, key=vendor.key, **said):
            model = (EMBED if embed else CHAT)[name]
            told = {
                "name": "writer",
                "vendor": name,
                "model": model,
                "base_url": getattr(vendor, f"{name}_url"),
                "key_env": "WRITER_KEY",
                "price": PRICE,
                "timeout_s": 10.0,
            }
            provider = open_provider(ProviderSettings(**(told | said)), key)
            stack.push_async_callback(provider.aclose)
            return provider

        yield opened
