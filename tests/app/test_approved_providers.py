"""P9: whose answers were approved, at what price and under which limits, is who is asked."""

import io
import json

import pytest

from rich.console import Console, Group

from proctor.app import RunOptions, Stop
from proctor.errors import PlanVoid
from proctor.ui.text import plan as forecasts
from shop import CONFIG, Shop

ASKS = """
from proctor import backfill, table

@backfill(table("items", key="id"), fills="normal", version="1")
async def fill(row, ctx):
    return {"normal": await ctx.llm(f"Name {row['id']}", provider="writer")}

@backfill(table("items", key="id"), fills="normal", version="1")
def plain(row):
    return {"normal": "x"}
"""
WRITER = """
[providers.writer]
model = "openai:gpt-5-mini"
base_url = "http://127.0.0.1:1/v1"
price = { input = 0.25, output = 2.0 }
budget_usd = "1.50"
rpm = 500
"""
OTHER = '\n[providers.other]\nmodel = "openai:gpt-5-mini"\n'


@pytest.fixture
def shop(tmp_path):
    """A backfill that asks, and one that does not; the address is never called."""
    shop = Shop(tmp_path)
    shop.write(ASKS)
    shop.configure(CONFIG + WRITER)
    return shop


async def void(shop, name="fill"):
    """The refusal of the plan that was made before."""
    async with shop.by("ada") as app:
        with pytest.raises(PlanVoid) as caught:
            await app.run(name, RunOptions(plan=shop.root / "plan.json"))
    assert shop.sql("SELECT count(normal) FROM items") == [(0,)]
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("gpt-5-mini", "gpt-5", "providers.writer.model was openai:gpt-5-mini and is openai:gpt-5"),
        ("input = 0.25", "input = 0.5", "providers.writer.price.input was 0.25 and is 0.5"),
        ("127.0.0.1:1/", "127.0.0.1:2/", "providers.writer.base_url was http://127.0.0.1:1/v1"),
        ("1.50", "2.50", "providers.writer.budget_usd was 1.5 and is 2.5"),
        ("rpm = 500", "rpm = 600", "providers.writer.rpm was 500 and is 600"),
        ("rpm = 500", "", "providers.writer.rpm was 500 and is not given"),
        ("rpm = 500", "rpm = 500\ntpm = 9000", "providers.writer.tpm was not given and is 9000"),
        ("rpm = 500", "rpm = 500\ndaily = 9", "providers.writer.daily was not given and is 9"),
        ("rpm = 500", "rpm = 500\nmax_tokens = 9", "providers.writer.max_tokens was 1024 and is 9"),
        ("rpm = 500", "rpm = 500\ntimeout_s = 9", "providers.writer.timeout_s was 60 and is 9"),
        ("rpm = 500", f"rpm = 500{OTHER}", "providers.other.model was not given"),
    ],
)
async def test_any_change_of_a_provider_voids_a_plan_and_is_named(shop, old, new, named):
    """By its key in proctor.toml, with what it was; nothing is asked and nothing written."""
    await shop.planned()
    shop.configure(CONFIG + WRITER.replace(old, new))
    error = await void(shop)
    assert error.what == "providers changed since the plan was made"
    assert named in error.found
    assert "--accept-changes providers" in error.fix


async def test_a_plan_shows_which_providers_it_covers(shop):
    """In its file by name, and among the digests that people see."""
    file, _ = await shop.planned()
    told = json.loads(file.read_text())
    assert told["facts"]["providers"]["providers.writer.model"] == "openai:gpt-5-mini"
    assert told["parts"]["providers"]
    async with shop.by("pat") as app:
        plan = await app.plan("fill")
    console = Console(width=120, file=io.StringIO())
    console.print(Group(*forecasts.plan(plan)))
    shown = " ".join(console.file.getvalue().split())
    assert f"providers {plan.parts['providers'][:16]}" in shown


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"1.50"', "1.5"),
        ("rpm = 500", 'rpm = 500\nkey_env = "ANOTHER_KEY"'),
        ("rpm = 500", "rpm = 500\nmax_tokens = 1024"),
        ("\nrpm", "\n# not more than they allow\nrpm"),
    ],
)
async def test_the_same_in_other_words_voids_nothing(shop, old, new):
    """Another spelling, a default written down, and where the key lies are no change."""
    _, digest = await shop.planned()
    shop.configure(CONFIG + WRITER.replace(old, new))
    assert (await shop.planned())[1] == digest


async def test_the_price_lists_price_is_approved_like_ones_own(shop):
    """And a price of one's own that is the same is the same."""
    shop.configure(CONFIG + '\n[providers.writer]\nmodel = "openai:gpt-5-mini"\n')
    _, digest = await shop.planned()
    same = "price = { input = 0.25, output = 2, cached = 0.025 }"
    shop.configure(CONFIG + f'\n[providers.writer]\nmodel = "openai:gpt-5-mini"\n{same}\n')
    assert (await shop.planned())[1] == digest
    shop.configure(CONFIG + '\n[providers.writer]\nmodel = "openai:our-own-7b"\n')
    await shop.planned()
    shop.configure(CONFIG + f'\n[providers.writer]\nmodel = "openai:our-own-7b"\n{same}\n')
    assert "providers.writer.price was not known" in (await void(shop)).found


async def test_a_plan_whose_function_cannot_ask_does_not_know_providers(shop):
    """Nobody's price changes what it writes."""
    async with shop.by("pat") as app:
        before = await app.plan("plain")
    shop.configure(CONFIG)
    async with shop.by("pat") as app:
        assert (await app.plan("plain")).digest == before.digest
    assert "providers" not in before.parts


async def test_a_variable_in_an_address_counts_by_its_host_and_is_never_shown(shop, monkeypatch):
    """Another machine is another plan; another token in the path is not, and stays secret (P12)."""
    at = WRITER.replace("http://127.0.0.1:1/v1", "${AT}")
    shop.configure(CONFIG + at)
    monkeypatch.setenv("AT", "http://127.0.0.1:1/token-9f2c71")
    file, digest = await shop.planned()
    assert "token-9f2c71" not in file.read_text()
    assert "${AT}" in file.read_text()
    monkeypatch.setenv("AT", "http://127.0.0.1:1/token-00aa44")
    assert (await shop.planned())[1] == digest
    monkeypatch.setenv("AT", "http://127.0.0.1:2/token-00aa44")
    assert "providers.writer.base_url was ${AT}" in (await void(shop)).found


async def test_a_change_of_a_provider_may_be_accepted_on_record(shop):
    """P11: also where a run goes on that began with another model."""
    stop = Stop()
    stop.ask("lunch")
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions(stop=stop))).run
    shop.configure(CONFIG + WRITER.replace("gpt-5-mini", "gpt-5"))
    async with shop.by("ada") as app:
        with pytest.raises(PlanVoid, match=r"providers\.writer\.model"):
            await app.run("fill", RunOptions(resume=run.id))
        accepted = RunOptions(resume=run.id, accept=("providers",), stop=stop)
        await app.run("fill", accepted)
    (resumed,) = await shop.told("run.resumed")
    assert resumed.data["accepted"] == ["providers"]
