"""Paid answers on their way: kept, shared while in flight, limited, settled whatever comes."""

import asyncio
import json
import sqlite3

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from proctor.adapters.ledger import MemoryPurse, Pocket, open_purse
from proctor.adapters.providers import open_provider
from proctor.authoring import Unanswered
from proctor.engine.answers import FIRST_TRIES, TRIES, Answers
from proctor.engine.asker import Asker
from proctor.engine.desk import Desk
from proctor.engine.questions import Unpaid
from proctor.engine.stopping import AskedToStop
from proctor.errors import OutOfQuota, ProviderRefused, UsageError
from proctor.model import Hold, Holder, Limits, Price, ProviderSettings, Want
from proctor.testing.clock import FakeClock
from proctor.testing.vendor import Fault, Flaw, Served, right_text, right_vector, serve_vendor

PRICE = Price(input_per_million=Decimal(10), output_per_million=Decimal(100), source="a test")
KIND = {"writer": "chat", "vectors": "embed"}
ELSEWHERE = Holder(host="db7", pid=123, started="boot:1", user="")
MODEL = {"writer": "gpt-5-mini", "vectors": "text-embedding-3-small"}


@pytest.fixture(scope="module")
def shared():
    """One server for all tests of this file."""
    usd = {"input_usd": Decimal(10), "output_usd": Decimal(100)}
    served = [
        Served(name=MODEL[n], kind=KIND[n], dimensions=8, latency_s=0.02, **usd) for n in KIND
    ]
    with serve_vendor(*served) as server:
        yield server


@pytest.fixture
async def desk_of(shared):
    """Opens a desk of the server: `desk_of("writer")`."""
    opened = []

    def desk(name, *, price=PRICE):
        settings = ProviderSettings(
            name=name,
            vendor="openai",
            model=MODEL[name],
            base_url=shared.openai_url,
            key_env="A_KEY",
            price=price,
            timeout_s=5.0,
        )
        provider = open_provider(settings, shared.key)
        opened.append(provider)
        return Desk(name=name, provider=provider, model=settings.full_model, most_output=200)

    yield desk
    for provider in opened:
        await provider.aclose()


@pytest.fixture
def asker_of(desk_of):
    """One process's way to ask, with limits and a pocket that others may share."""
    clock = FakeClock()  # of waits alone: nobody waits for a minute

    def asker(*, pocket=None, stopped=lambda: False, price=PRICE, **limits):
        each = dict.fromkeys(KIND, Limits(**limits))
        desks = {name: desk_of(name, price=price) for name in KIND}
        purse = MemoryPurse(each, pocket=pocket, clock=clock)
        answers = Answers(purse, desks, clock, lambda: 0.0)
        return Asker(answers=answers, run="r", stopped=stopped)

    return asker


@pytest.fixture
def counted(shared):
    """What the server has counted since the test began: calls, paid again, money."""
    before = shared.books()

    def since(name):
        now, then = shared.books()[MODEL[name]], before[MODEL[name]]
        return now.calls - then.calls, now.usd - then.usd

    return since


def body(prompt):
    """A question as a function's ctx.llm makes it."""
    return {"system": None, "messages": [{"role": "user", "content": prompt}], "schema": None}


async def text(asker, prompt):
    """The text that comes back."""
    return json.loads((await asker.chat("writer", body(prompt))).raw)["text"]


async def spent(asker, name="writer"):
    """What the purse says of a provider."""
    (found,) = [s for s in await asker.answers.purse.spending() if s.provider == name]
    return found


async def test_the_same_question_is_asked_once_by_whoever_asks_it(asker_of, counted):
    """While it is in flight, afterwards, and from another process: one call, one price."""
    pocket = Pocket()
    asker = asker_of(pocket=pocket)
    got = await asyncio.gather(*(text(asker, "the same sea") for _ in range(5)))
    got.append(await text(asker_of(pocket=pocket), "the same sea"))
    assert set(got) == {right_text("the same sea")}
    calls, usd = counted("writer")
    assert calls == 1
    assert usd == (await spent(asker)).usd > 0


async def test_two_processes_that_ask_the_same_at_once_pay_once(asker_of, counted):
    """P5: the second waits for the first one's answer; of a batch call it asks the rest itself."""
    pocket = Pocket()
    first, second = asker_of(pocket=pocket), asker_of(pocket=pocket)
    got = await asyncio.gather(text(first, "one sea"), text(second, "one sea"))
    assert set(got) == {right_text("one sea")}
    assert counted("writer")[0] == 1
    ours, theirs = ([f"shore {n}" for n in some] for some in (range(20), range(10, 30)))
    vectors = await asyncio.gather(first.embed("vectors", ours), second.embed("vectors", theirs))
    assert vectors[0][10:] == vectors[1][:10]
    assert vectors[1][19] == pytest.approx(right_vector("shore 29", 8), abs=1e-6)
    assert counted("vectors")[0] == 2
    assert counted("vectors")[1] == (await spent(first, "vectors")).usd


async def test_a_question_that_its_first_asker_gives_up_is_asked_by_the_next(
    asker_of, shared, counted
):
    """Two processes, one after the other; each has its own tries, and neither waits for ever."""
    pocket = Pocket()
    askers = [asker_of(pocket=pocket) for _ in range(2)]
    shared.script(Fault(flaw=Flaw.SERVER_ERROR, match="both in vain", times=-1))
    got = await asyncio.gather(
        *(text(asker, "both in vain") for asker in askers), return_exceptions=True
    )
    assert [type(error) for error in got] == [ProviderRefused, ProviderRefused]
    assert (await spent(askers[0])).held_usd == 0


async def test_a_wait_for_places_of_another_machine_says_whose_they_are(asker_of):
    """Nobody can tell whether it lives; who watches sees why the run stands still."""
    pocket = Pocket()
    other = MemoryPurse({"writer": Limits(concurrency=1)}, pocket=pocket, holder=ELSEWHERE)
    await other.reserve([Want(provider="writer", key="k", hold=Hold())])
    told = []
    asker = asker_of(pocket=pocket, concurrency=1, stopped=lambda: bool(told))
    assert asker.waits() == ""
    asked = asyncio.create_task(text(asker, "a sea that waits"))
    while not (why := asker.waits()):
        await asker.answers.clock.sleep(1.0)
    assert "writer: 1 calls are in flight" in why
    assert "held by pid 123 on host db7, until " in why
    told.append("stop")
    with pytest.raises(AskedToStop):
        await asked


async def test_an_answer_that_cannot_be_read_keeps_nobody_waiting(asker_of, tmp_path):
    """Somebody has edited the ledger: who asks hears of it, and does not wait for ever."""
    path, asker = tmp_path / "ledger.db", asker_of()
    purse = await open_purse(f"sqlite:///{path}", {"writer": Limits()})
    asker = replace(asker, answers=replace(asker.answers, purse=purse))
    await text(asker, "a broken shell")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE proctor_ledger_answers SET cost = 'much'")
    async with asyncio.timeout(20):
        with pytest.raises(ArithmeticError):
            await text(asker, "a broken shell")
    assert not asker.answers.flying
    await purse.aclose()


async def test_an_answer_is_kept_after_a_long_time_without_a_ledger(asker_of, tmp_path):
    """P5: it is paid; a ledger that is moved or restored takes longer than half a minute."""
    path, asker = tmp_path / "ledger.db", asker_of()
    purse = await open_purse(f"sqlite:///{path}", {"writer": Limits()})
    asker = replace(asker, answers=replace(asker.answers, purse=purse))
    clock = asker.answers.clock
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "CREATE TRIGGER outage BEFORE INSERT ON proctor_ledger_answers "
            "BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        asked = asyncio.create_task(text(asker, "a patient sea"))
        # Only what waits for the ledger lets the clock run, by a quarter of what dice may say.
        while clock.elapsed < 20 and not asked.done():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        db.execute("DROP TRIGGER outage")
    assert await asked == right_text("a patient sea")
    (spending,) = await purse.spending()
    assert spending.held_usd == 0 < spending.usd
    await purse.aclose()


async def test_texts_are_embedded_together_and_only_those_that_are_missing(asker_of, counted):
    """A hundred vectors in one call; of a later hundred only the new ones are asked for."""
    asker = asker_of()
    first = [f"wave {n}" for n in range(100)]
    vectors = await asker.embed("vectors", [*first, "wave 7"])
    assert vectors[7] == vectors[100] == pytest.approx(right_vector("wave 7", 8), abs=1e-6)
    assert counted("vectors")[0] == 1
    await asker.embed("vectors", [*first[50:], "tide 1", "tide 2"])
    calls, usd = counted("vectors")
    assert calls == 2
    assert usd == (await spent(asker, "vectors")).usd


async def test_whoever_goes_away_leaves_a_reply_that_is_kept(asker_of, counted):
    """The call is paid already: its answer is there for whoever asks next."""
    asker = asker_of()
    asked = asyncio.create_task(text(asker, "left alone"))
    while not asker.answers.flying:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.wait(asker.answers.tasks)
    assert await text(asker, "left alone") == right_text("left alone")
    assert counted("writer")[0] == 1


@pytest.mark.parametrize("flaw", [Flaw.UNAVAILABLE, Flaw.RESET_LATE, Flaw.LIMITED])
async def test_what_breaks_is_asked_again_and_the_books_stay_above_the_vendors(
    asker_of, shared, counted, flaw
):
    """A reply that was lost may have been charged, so it counts as if it had taken its most."""
    asker = asker_of()
    prompt = f"broken by {flaw}"
    shared.script(Fault(flaw=flaw, match=prompt, times=2))
    assert await text(asker, prompt) == right_text(prompt)
    mine = await spent(asker)
    assert mine.held_usd == 0
    assert mine.usd >= counted("writer")[1]
    assert (mine.usd == counted("writer")[1]) == (not flaw.paid)


async def test_a_provider_that_answers_nobody_ends_the_run(asker_of, shared):
    """After a few tries: its address is likely to be wrong. Nothing stays held."""
    asker = asker_of()
    shared.script(Fault(flaw=Flaw.SERVER_ERROR, match="never once", times=-1))
    with pytest.raises(ProviderRefused, match=f"{FIRST_TRIES} tries of one question broke"):
        await text(asker, "never once")
    assert (await spent(asker)).held_usd == 0


async def test_a_quota_that_was_used_up_does_not_make_one_broken_call_an_outage(asker_of, shared):
    """Hours later a single 503 is tried again, as any other: it must not end the night's run."""
    asker = asker_of()
    shared.script(Fault(flaw=Flaw.OUT_OF_QUOTA, match="before midnight"))
    with pytest.raises(OutOfQuota):
        await text(asker, "before midnight")
    with pytest.raises(OutOfQuota):
        await text(asker, "half a minute before midnight")
    await asker.answers.clock.sleep(3600)
    shared.script(Fault(flaw=Flaw.UNAVAILABLE, match="after midnight"))
    assert await text(asker, "after midnight") == right_text("after midnight")


async def test_whoever_stands_in_the_line_hears_that_a_quota_is_used_up(asker_of, shared, counted):
    """Nobody asks a provider that has just said so, and nobody waits for a minute to be told."""
    asker = asker_of(rpm=60)
    shared.script(Fault(flaw=Flaw.OUT_OF_QUOTA, match="of the line", times=-1))
    before = (await spent(asker)).calls
    asked = [text(asker, f"number {n} of the line") for n in range(60)]
    got = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(error) for error in got} == {OutOfQuota}
    assert (await spent(asker)).calls - before < 20


async def test_a_question_larger_than_a_minutes_tokens_fails_alone(asker_of, counted):
    """It can never be asked; the run is not held for it, and no budget would help."""
    asker = asker_of(tpm=2_000)
    with pytest.raises(Unanswered, match="tpm is 2,000: it can never be made"):
        await text(asker, "a long song " * 1_000)
    assert await text(asker, "a short song") == right_text("a short song")
    assert counted("writer")[0] == 1


async def test_a_day_that_is_over_is_believed_at_once(asker_of, shared):
    """Whoever waited for the moment that the vendor named asks then, and is not refused again."""
    asker, clock = asker_of(), asker_of().answers.clock
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    shared.advance((midnight - now).total_seconds() + 86_385)
    shared.limit(MODEL["writer"], daily=1)
    try:
        await text(asker, "the one call of a day")
        with pytest.raises(OutOfQuota) as caught:
            await text(asker, "one too many")
        left = (caught.value.until - clock.now()).total_seconds()
        assert 0 < left < 16
        shared.advance(left)
        await clock.sleep(left)
        assert await text(asker, "one too many") == right_text("one too many")
    finally:
        shared.limit(MODEL["writer"], daily=None)


async def test_a_question_that_breaks_alone_fails_its_row(asker_of, shared):
    """While others are answered it is the question's fault, not the provider's."""
    asker = asker_of()
    await text(asker, "a good one")
    shared.script(Fault(flaw=Flaw.SERVER_ERROR, match="never again", times=-1))

    def meanwhile():
        # Between two tries somebody else is answered.
        asker.answers.desks["writer"].answered += 1
        return 0.0

    asker.answers.dice = meanwhile
    with pytest.raises(Unanswered, match=f"{TRIES} tries broke"):
        await text(asker, "never again")


async def test_money_is_never_passed_by_any_number_of_askers(asker_of, counted):
    """Two processes, sixty questions at once: by the vendor's own count the budget holds."""
    pocket, budget = Pocket(), Decimal("0.08")
    askers = [asker_of(pocket=pocket, budget_usd=budget, concurrency=32) for _ in range(2)]
    asked = [text(askers[n % 2], f"song {n} of the rich") for n in range(60)]
    got = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(x) for x in got} == {str, OutOfQuota}
    usd = counted("writer")[1]
    assert Decimal(0) < usd <= budget
    assert (await spent(askers[0])).usd == usd


async def test_nobody_waits_for_a_turn_once_the_run_is_told_to_stop(asker_of):
    """A slow limit may make a question wait for minutes."""
    told = []
    asker = asker_of(rpm=1, stopped=lambda: bool(told))
    await text(asker, "the first of a slow minute")
    waiting = asyncio.create_task(text(asker, "the second of a slow minute"))
    told.append("stop")
    with pytest.raises(AskedToStop, match="told to stop"):
        await waiting


async def test_a_stop_is_that_of_the_run_that_was_told_to(asker_of, counted):
    """Another run of this process that asks the same goes on, and asks it after all."""
    told = []
    first = asker_of(rpm=1, stopped=lambda: bool(told))
    second = replace(first, run="s", stopped=lambda: 0)
    await text(first, "the first of a minute")
    waiting = [asyncio.create_task(text(who, "what both ask")) for who in (first, second)]
    while not first.answers.waits.why:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    told.append("stop")
    stopped, answer = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(stopped, AskedToStop)
    assert answer == right_text("what both ask")
    assert counted("writer")[0] == 2


async def test_who_may_pay_pays_for_what_somebody_only_looked_for(asker_of):
    """A look in the same process, at the same moment: the run's row does not fail of it."""
    looks = replace(asker_of(), paying=False)
    pays = replace(looks, paying=True)
    both = (text(who, "looked for") for who in (looks, pays))
    unpaid, answer = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(unpaid, Unpaid)
    assert answer == right_text("looked for")


async def test_an_unknown_price_stops_before_anything_is_asked(asker_of, counted):
    """It is never nothing."""
    asker = asker_of(price=None)
    desk = asker.answers.desk("writer")
    with pytest.raises(ProviderRefused, match="price"):
        await text(asker, "for nothing?")
    assert desk.provider.price(desk.model) is None
    assert counted("writer")[0] == 0


async def test_a_call_without_a_cap_is_refused(asker_of):
    """Its cost would have no upper bound."""
    asker = asker_of()
    desks = {"writer": replace(asker.answers.desk("writer"), most_output=None)}
    bare = replace(asker, answers=Answers(asker.answers.purse, desks, FakeClock(), lambda: 0.0))
    with pytest.raises(ProviderRefused, match="cap"):
        await text(bare, "without end")


async def test_a_provider_that_nobody_configured_is_named(asker_of):
    """With the names that there are."""
    with pytest.raises(UsageError, match="no provider named poet") as caught:
        await asker_of().chat("poet", body("x"))
    assert "vectors, writer" in caught.value.found
    with pytest.raises(UsageError, match="no provider was named"):
        await asker_of().chat(None, body("x"))


async def test_of_many_who_wait_for_a_limit_only_the_first_ask_the_ledger(asker_of):
    """Each would else ask again and again, at a trip's cost, long before its turn."""
    asker = asker_of(rpm=60)
    reserve = asker.answers.purse.reserve
    asked = []

    async def counting(wants):
        asked.extend(wants)
        return await reserve(wants)

    asker.answers.reservations.carry = counting
    await asyncio.gather(*(text(asker, f"number {n}") for n in range(60)))
    assert len(asked) <= 600
