"""P7: a plan and a dry run pay for nothing, unless they are told for how many rows."""

import textwrap

from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest

from proctor.app import RunOptions
from proctor.engine.guardrail import guarded
from proctor.errors import (
    ConfigError,
    DefinitionError,
    OutOfQuota,
    ProviderRefused,
    UsageError,
)
from proctor.model import Span
from proctor.testing.vendor import Fault, Flaw, Served, right_text, serve_vendor
from shop import Shop

HEAD = """
from pydantic import BaseModel
from proctor import Declined, Skip, Unanswered, backfill, table

ITEMS = table("items", key="id", columns=("id", "title"))

"""
ASKS = """
@backfill(ITEMS, fills="normal", version="1", concurrency=4)
async def fill(row, ctx):
    return {"normal": await ctx.llm(f"In one sentence, what is this song about? {row['title']}")}
"""
LONG = "UPDATE items SET title = id || replace(hex(zeroblob(1 + id * 37 % 60)), '00', ' la')"
PRICES = {"input_usd": Decimal("0.25"), "output_usd": Decimal(2)}


class Paying(Shop):
    """Items whose titles are of many lengths, and a vendor on this machine."""

    def __init__(self, root, vendor, rows=30, code=ASKS, **settings):
        super().__init__(root, rows)
        self.sql("ALTER TABLE items ADD title TEXT")
        self.sql(LONG)
        self.write(HEAD + textwrap.dedent(code))
        self.vendor, self.model = vendor, "openai:m"
        self.settle(**settings)

    def settle(self, **settings):
        price = "{ input = 0.25, output = 2.0 }"
        told = {"budget_usd": "'1.00'", "max_tokens": 1000, "concurrency": 16, "price": price}
        told |= settings
        lines = [f"{name} = {value}" for name, value in told.items() if value is not None]
        self.configure(
            f"""
backfills = ["backfills"]
ledger = "sqlite:///ledger.db"

[env.local]
store = "sqlite:///shop.db"

[providers.writer]
model = "{self.model}"
base_url = "{self.vendor.openai_url}"
key_env = "VENDOR_KEY"
"""
            + "\n".join(lines)
        )

    @property
    def books(self):
        return next(iter(self.vendor.books().values()))

    async def plan(self, **words):
        async with self.by("pat") as app:
            return await app.plan("fill", **words)

    async def dry_run(self, **words):
        async with self.by("pat") as app:
            return await app.dry_run("fill", **words)

    async def run(self):
        async with self.by("ada") as app:
            return (await app.run("fill", RunOptions())).run


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Make a shop whose provider is a vendor on this machine."""

    @contextmanager
    def serve(*, rows=30, code=ASKS, model=None, **settings):
        with serve_vendor(model or Served(name="m", **PRICES)) as vendor:
            monkeypatch.setenv("VENDOR_KEY", vendor.key)
            yield Paying(tmp_path, vendor, rows, code, **settings)

    return serve


async def test_nothing_is_paid_without_a_word(served, monkeypatch):
    """Neither call nor key is needed; the rows are said to be missing, with what to type."""
    with served() as shop:
        monkeypatch.delenv("VENDOR_KEY")
        plan, tried = await shop.plan(), await shop.dry_run(sample=7)
        assert shop.books.calls == 0
    assert (plan.sample, plan.paid, tried.previews, tried.counts) == ((), None, (), {})
    (said,) = [words for words in plan.warnings if "--paid-sample" in words]
    assert said.startswith("5 rows could not be shown: the function asks a provider")
    assert "add --paid-sample 20" in said
    assert tried.warnings[0].startswith("7 rows")
    assert tried.unasked == 7


async def test_rows_that_ask_nothing_are_shown_all_the_same(served):
    """Also where the function swallows that its question was not asked: nobody knows its answer."""
    code = """
    @backfill(ITEMS, fills="normal", version="1")
    async def fill(row, ctx):
        if row["id"] % 2:
            return {"normal": "odd"}
        try:
            return {"normal": await ctx.llm("even")}
        except Exception:
            return {"normal": "made up"}
    """
    with served(code=code) as shop:
        tried = await shop.dry_run(sample=10)
    assert [p.after["normal"] for p in tried.previews] == ["odd"] * 5
    assert [p.key for p in tried.previews] == [(n,) for n in (1, 3, 5, 7, 9)]
    assert tried.unasked == 5


async def test_a_paid_sample_is_paid_once(served):
    """Twice planned and then run: every row is asked once, by the vendor's own count."""
    with served() as shop:
        first = await shop.plan(paid_sample=10)
        assert shop.books.calls == first.paid.paid_calls == 10
        assert shop.books.usd == first.paid.paid
        again = await shop.plan(paid_sample=10)
        assert (shop.books.calls, again.paid.paid) == (10, Decimal(0))
        assert (again.paid.usd, again.sample) == (first.paid.usd, first.sample)
        await shop.run()
        assert shop.books.calls == 30
        assert shop.books.paid_again == 0


async def test_what_a_sample_has_cost_is_on_record(served):
    """P11: who paid, for what and how much; also where it came to nothing."""
    with served(rows=4, code=ASKS.replace("concurrency=4", "concurrency=1")) as shop:
        shop.vendor.script(Fault(flaw=Flaw.OUT_OF_QUOTA, match="about? 4 la"))
        with pytest.raises(OutOfQuota):
            await shop.dry_run(paid_sample=4)
        assert shop.books.calls == 3
        await shop.plan(paid_sample=4)
        await shop.dry_run(sample=1)
        paid = await shop.told("sample.paid")
        assert sum(event.data["answers"] for event in paid) == shop.books.calls
        assert sum(Decimal(event.data["usd"]) for event in paid) == shop.books.usd
    assert {(event.who, event.data["backfill"]) for event in paid} == {("pat", "fill")}


async def test_an_answer_of_a_provider_that_was_renamed_is_still_kept(served):
    """What is sent to which model decides; the forecast names the provider of today."""
    with served() as shop:
        await shop.plan(paid_sample=5)
        toml = (shop.root / "proctor.toml").read_text()
        shop.configure(toml.replace("[providers.writer]", "[providers.author]"))
        told = (await shop.plan(paid_sample=5)).paid
        assert shop.books.calls == 5
    assert [p.provider for p in told.providers] == ["author"]


async def test_answers_are_shown_beside_what_they_were_made_from(served):
    """What the model said of the very row."""
    with served() as shop:
        tried = await shop.dry_run(paid_sample=3)
        titles = shop.sql("SELECT title FROM items ORDER BY id")
    assert len(tried.previews) == 3
    for row in tried.previews:
        (title,) = titles[row.key[0] - 1]
        assert row.after["normal"] == right_text(
            f"In one sentence, what is this song about? {title}"
        )
        assert row.inputs == {"title": title[:199] + "…" if len(title) > 200 else title}
    assert tried.paid.paid_calls == 3


async def test_a_dry_run_shows_for_nothing_what_is_kept(served, monkeypatch):
    """An answer in the ledger is nobody's to pay for again."""
    with served(rows=5) as shop:
        await shop.plan(paid_sample=5)
        monkeypatch.delenv("VENDOR_KEY")
        tried = await shop.dry_run()
        assert shop.books.calls == 5
    assert len(tried.previews) == 5
    assert tried.warnings == ()


async def test_a_forecast_from_fifty_is_within_a_tenth_of_what_the_run_costs(served):
    """By the vendor's own books, for rows of many lengths; and the range holds it."""
    with served(rows=600) as shop:
        told = (await shop.plan(paid_sample=50)).paid
        before = shop.books.usd
        await shop.run()
        whole, rest = shop.books.usd, shop.books.usd - before
        assert shop.books.calls == told.providers[0].calls == 600
    assert abs(told.usd - whole) <= whole / 10
    assert abs(told.to_pay - rest) <= rest / 10
    assert told.usd_low <= whole <= told.usd_high


async def test_a_price_that_is_not_known_stops_a_paid_sample(served):
    """It is never 0: no call is made."""
    with served(price=None) as shop:
        shop.model = "openai:nobody-knows-it"
        shop.settle(price=None)
        with pytest.raises(ProviderRefused, match="price"):
            await shop.plan(paid_sample=3)
        assert shop.books.calls == 0


async def test_a_key_that_is_not_set_is_told_when_it_is_needed(served, monkeypatch):
    """In the words of the configuration, with the variable's name."""
    with served() as shop:
        monkeypatch.delenv("VENDOR_KEY")
        with pytest.raises(ConfigError, match="VENDOR_KEY"):
            await shop.plan(paid_sample=3)


async def test_a_sample_stays_within_the_budget(served):
    """It is held as in a run: what would go over is not asked."""
    with served(budget_usd="'0.0022'") as shop:
        with pytest.raises(OutOfQuota, match="writer"):
            await shop.plan(paid_sample=10)
        assert shop.books.usd <= Decimal("0.0022")


async def test_a_budget_that_will_not_do_is_foreseen(served):
    """The plan says so before the run stops half-way."""
    with served(rows=500, budget_usd="'0.01'") as shop:
        plan = await shop.plan(paid_sample=5)
    assert any("would stop before its end" in said for said in plan.warnings)


async def test_a_refusal_and_a_cut_off_are_shown_as_what_they_are(served):
    """Declined rows are refused and cut-off ones failed, with the reason."""
    with served(rows=3) as shop:
        shop.vendor.script(Fault(flaw=Flaw.REFUSAL))
        shop.vendor.script(Fault(flaw=Flaw.CUT_OFF))
        shop.vendor.script(Fault(flaw=Flaw.CUT_OFF, match="That cannot be used"))
        tried = await shop.dry_run(paid_sample=3)
    assert tried.counts == {"read": 3, "written": 1, "refused": 1, "failed": 1}
    assert any("cut off" in p.reason for p in tried.previews)


async def test_lists_and_embeddings_are_foreseen_too(served):
    """A list function is one call; its texts are embedded in one call."""
    code = """
    @backfill(ITEMS, fills="normal", version="1", batch=4)
    async def fill(rows, ctx):
        vectors = await ctx.embed([r["title"] for r in rows])
        return [{"normal": str(len(v))} for v in vectors]
    """
    model = Served(name="m", kind="embed", input_usd=Decimal("0.1"))
    with served(code=code, model=model, rows=40, price="{ input = 0.1 }") as shop:
        assert (await shop.dry_run(sample=6)).unasked == 6
        plan = await shop.plan(paid_sample=8)
        await shop.run()
        whole = shop.books.usd
    (one,) = plan.paid.providers
    assert (one.calls_per_row, one.calls, one.output_per_row) == (0.25, 10, 0)
    assert plan.paid.usd_low <= whole <= plan.paid.usd_high
    assert {p.after["normal"] for p in plan.sample} == {"256"}


async def test_a_provider_may_take_longer_than_a_function(served):
    """Patience is for the author's code; a call ends by its own time-out."""
    model = Served(name="m", latency_s=6.0, **PRICES)
    with served(rows=2, model=model) as shop:
        async with shop.by("pat") as app:
            spec, params = app.backfill("fill").bind({})
            page = await app.site.store.sample(spec, 2, span=Span())
            tried = await guarded(
                app.backfill("fill"),
                page,
                params=params,
                now=app.site.clock.now(),
                root=shop.root,
                sampler=await app.site.sampling(True),
                patience=timedelta(seconds=5.0),
            )
    assert [bool(a["normal"]) for a in tried.answers] == [True, True]


async def test_verify_pays_for_nothing(served):
    """It computes again with the answers that are kept, and says how many those were."""
    with served(rows=6) as shop:
        run = await shop.run()
        async with shop.by("ada") as app:
            seen = await app.verify(run.id)
        assert shop.books.calls == 6
    assert (seen.verdict, seen.recomputed) == ("pass", 6)


async def test_where_nobody_can_be_asked_a_paid_sample_is_refused(served):
    """Without a provider, or where the function cannot ask: wrong use, said in those words."""
    code = """
    @backfill(ITEMS, fills="normal", version="1")
    def fill(row):
        return {"normal": "x"}
    """
    with served(code=code) as shop:
        with pytest.raises(UsageError, match="nothing to pay"):
            await shop.plan(paid_sample=3)
        assert len((await shop.dry_run(sample=3)).previews) == 3


async def test_without_any_provider_the_error_is_about_that(served):
    """proctor.toml names none: then that is what must be mended, whoever pays."""
    with served() as shop:
        shop.configure('backfills = ["backfills"]\n[env.local]\nstore = "sqlite:///shop.db"\n')
        with pytest.raises(DefinitionError, match=r"ctx\.llm needs a provider"):
            await shop.dry_run()
        with pytest.raises(UsageError, match="nothing to pay"):
            await shop.dry_run(paid_sample=1)


async def test_a_function_that_names_no_known_provider_is_told_before_anything_is_paid(served):
    """A slip in a name is found by the plan that pays nothing."""
    with served(code=ASKS.replace('}")', '}", provider="wrter")')) as shop:
        with pytest.raises(UsageError, match="no provider named wrter"):
            await shop.plan()
        assert shop.books.calls == 0
