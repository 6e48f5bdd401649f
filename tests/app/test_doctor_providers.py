"""`proctor doctor` tells what may be asked of providers, and asks none of them."""

from decimal import Decimal

import pytest

from proctor.testing.vendor import Served, serve_vendor
from shop import CONFIG, Shop

PROVIDER = """
[providers.writer]
model = "openai:m"
base_url = "{url}"
key_env = "VENDOR_KEY"
{more}
"""
PRICE = "price = { input = 0.25, output = 2.0 }"
ASKS = """
from proctor import backfill, table

@backfill(table("items", key="id"), fills="normal", version="1")
async def fill(row, ctx):
    return {"normal": await ctx.llm(f"Say {row['id']}")}
"""


@pytest.fixture
def vendor():
    served = Served(name="m", input_usd=Decimal("0.25"), output_usd=Decimal(2))
    with serve_vendor(served) as running:
        yield running


@pytest.fixture
def told(tmp_path, vendor, monkeypatch):
    """What doctor finds of the provider, with these lines in its section."""
    shop = Shop(tmp_path, rows=4)
    shop.write(ASKS)
    monkeypatch.setenv("VENDOR_KEY", vendor.key)

    async def look(*lines, first=0):
        shop.configure(CONFIG + PROVIDER.format(url=vendor.openai_url, more="\n".join(lines)))
        async with shop.by("ada") as app:
            if first:
                await app.dry_run("fill", paid_sample=first)
            (found,) = [f for f in await app.doctor() if f.subject == "provider writer"]
        return found

    return look


async def test_model_limits_and_price_are_told(told, vendor):
    """What the configuration says, and no call is made to find out."""
    found = await told(PRICE, "rpm = 500", "tpm = 90000", "daily = 1000", "budget_usd = 3")
    assert found.ok
    for words in (
        "openai:m",
        "key in VENDOR_KEY",
        "$0.25 in, $2.0 out for 1M tokens (proctor.toml)",
        "rpm 500, tpm 90,000, concurrency 8, 0 of 1,000 requests today",
        "$0.00 of $3.00 spent in 0 calls",
    ):
        assert words in found.detail
    assert (vendor.books()["m"].calls, vendor.books()["m"].refused) == (0, 0)


async def test_what_is_spent_is_told(told, vendor):
    """Of the ledger, so whoever spent it."""
    await told(PRICE, first=3)
    found = await told(PRICE, "daily = 10")
    assert "spent in 3 calls, no budget is set" in found.detail
    assert "3 of 10 requests today" in found.detail
    assert vendor.books()["m"].calls == 3


async def test_a_key_that_is_not_set_is_a_finding(told, monkeypatch, vendor):
    """With the variable's name; the key itself is never told."""
    assert vendor.key not in str(await told(PRICE))
    monkeypatch.delenv("VENDOR_KEY")
    found = await told(PRICE)
    assert not found.ok
    assert "VENDOR_KEY is not set" in found.detail
    assert found.fix.startswith("export VENDOR_KEY=")


async def test_a_price_that_nobody_knows_is_a_finding(told):
    """A run would stop at it, for it is never 0."""
    found = await told()
    assert not found.ok
    assert "its price is not known" in found.detail
    assert "price = {" in found.fix


async def test_a_budget_that_is_spent_is_a_finding(told):
    """What is left is nothing, and the fix says which number to raise."""
    await told(PRICE, first=4)
    found = await told(PRICE, "budget_usd = '0.000001'")
    assert not found.ok
    assert "raise budget_usd of [providers.writer]" in found.fix
