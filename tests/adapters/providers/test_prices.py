"""What a model costs: for sure, or not at all."""

from decimal import Decimal

import pytest

from adapters.providers.asks import PRICE
from proctor.adapters.providers import open_provider
from proctor.model import Price, ProviderSettings, Usage


@pytest.fixture
async def price():
    opened = []

    def price(vendor, model, **said):
        settings = ProviderSettings(name="writer", vendor=vendor, model=model, **said)
        opened.append(open_provider(settings, "key"))
        return opened[-1].price(settings.full_model)

    yield price
    for provider in opened:
        await provider.aclose()


@pytest.mark.parametrize(
    ("vendor", "model"),
    [
        ("openai", "gpt-5-mini"),
        ("anthropic", "claude-haiku-4-5"),
        ("google", "gemini-2.5-flash"),
    ],
)
async def test_a_known_model_costs_what_the_list_says_and_says_which_list(price, vendor, model):
    found = price(vendor, model)
    assert 0 < found.input_per_million < found.output_per_million
    assert isinstance(found.input_per_million, Decimal)
    assert found.source.startswith("genai-prices 0.")


async def test_an_embedding_model_has_no_output_to_pay(price):
    found = price("openai", "text-embedding-3-small")
    assert (found.input_per_million, found.output_per_million) == (Decimal("0.02"), 0)


async def test_where_length_decides_the_dearest_price_holds(price):
    """A budget that counts on the cheap tier is overrun by the first long prompt."""
    assert price("google", "gemini-2.5-pro").input_per_million == Decimal("2.50")


@pytest.mark.parametrize("model", ["gpt-99", "gpt-5-mini-of-tomorrow", ""])
async def test_an_unknown_price_is_none_and_never_nothing(price, model):
    assert price("openai", model) is None


async def test_a_users_price_wins(price):
    assert price("openai", "gpt-5-mini", price=PRICE) is PRICE
    assert price("openai", "gpt-99", price=PRICE) is PRICE


async def test_at_another_address_the_vendors_price_does_not_hold(price):
    """Whoever resells a model sets a price of his own."""
    assert price("openai", "gpt-5-mini", base_url="https://gateway.example/v1") is None


async def test_an_address_that_the_list_knows_has_its_own_price(price):
    found = price("openai", "openai/gpt-oss-20b", base_url="https://api.groq.com/openai/v1")
    assert found.input_per_million > 0


def test_cached_tokens_beside_the_input_make_no_call_cheaper():
    """P6: some gateways count them not among the input; a budget would grow with each call."""
    price = Price(
        input_per_million=Decimal(10),
        output_per_million=Decimal(100),
        cached_per_million=Decimal(1),
        source="a test",
    )
    among = price.of(Usage(input_tokens=1_000, cached_tokens=900))
    beside = price.of(Usage(input_tokens=100, cached_tokens=900))
    assert among == Decimal("0.0019")
    assert beside == Decimal("0.0019")
