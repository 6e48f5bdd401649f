"""Batch calls of every vendor: questions as they are asked directly, replies as they are read."""

import contextlib

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.providers.asks import CHAT, PRICE, VENDORS, chat
from proctor.adapters.providers import open_batches
from proctor.errors import Overloaded, ProviderRefused
from proctor.model import (
    BatchCall,
    BatchNote,
    BatchState,
    BatchTerms,
    Finish,
    ProviderSettings,
)
from proctor.testing.vendor import Fault, Flaw

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
    "additionalProperties": False,
}


@pytest.fixture
async def batches(vendor):
    """The batch calls of a vendor: `batches("openai")`."""
    async with contextlib.AsyncExitStack() as stack:

        def opened(name, key=vendor.key):
            settings = ProviderSettings(
                name="writer",
                vendor=name,
                model=CHAT[name],
                base_url=getattr(vendor, f"{name}_url"),
                key_env="WRITER_KEY",
                price=PRICE,
                batch=BatchTerms(price=PRICE),
                timeout_s=10.0,
            )
            made = open_batches(settings, key)
            stack.push_async_callback(made.aclose)
            return made

        yield opened


def call(vendor, asks, number=1):
    """A batch call as the ledger notes it."""
    note = BatchNote(
        model=f"{vendor}:{CHAT[vendor]}",
        price=PRICE,
        questions=len(asks),
        most_input=400,
        most_output=500,
    )
    return BatchCall(
        number=number,
        provider="writer",
        run="run",
        state=BatchState.OPEN,
        note=note,
        at=datetime.now(UTC),
        keys=frozenset(ask.key for ask in asks),
    )


async def begun(api, batch, asks):
    """The batch call when the vendor works on it."""
    entries = [await api.entry(ask) for ask in asks]
    batch = replace(batch, ticket=await api.prepare(entries))
    return replace(batch, id=await api.begin(batch, entries))


@pytest.mark.parametrize("name", VENDORS)
async def test_what_comes_out_is_what_a_direct_call_gives(vendor, batches, opened, name):
    """Text, finish and tokens; counted once, at half the price, whatever the order."""
    asks = [chat(f"how does song {n} of {name} feel?", name, schema=SCHEMA) for n in range(3)]
    direct = [await opened(name).call(ask) for ask in asks]
    before = vendor.books()[CHAT[name]]
    api = batches(name)
    batch = await begun(api, call(name, asks), asks)
    assert (await api.look(batch)).ended
    found = await api.results(batch)
    assert list(found) == [ask.key for ask in reversed(asks)]
    for ask, reply in zip(asks, direct, strict=True):
        got = found[ask.key]
        assert (got.raw, got.finish, got.usage) == (reply.raw, reply.finish, reply.usage)
    after = vendor.books()[CHAT[name]]
    assert (after.batches - before.batches, after.batched - before.batched) == (1, 3)


@pytest.mark.parametrize("name", VENDORS)
async def test_what_did_not_come_to_an_answer_is_told_apart(vendor, batches, name):
    """Refused, broken, not worked on in time; cancelled as a whole."""
    asks = [chat(f"{what} of {name}?", name) for what in ("refuse", "break", "expire", "answer")]
    vendor.script(
        Fault(flaw=Flaw.REFUSAL, match=f"refuse of {name}"),
        Fault(flaw=Flaw.SERVER_ERROR, match=f"break of {name}"),
        Fault(flaw=Flaw.EXPIRED, match=f"expire of {name}"),
    )
    api = batches(name)
    batch = await begun(api, call(name, asks), asks)
    assert (await api.look(batch)).ended
    found = await api.results(batch)
    refused, broke, expired, answered = (found.get(ask.key) for ask in asks)
    assert refused.finish in {Finish.REFUSED, Finish.FILTERED}
    assert isinstance(broke, Overloaded)
    assert expired is None
    assert answered.finish is Finish.STOP
    vendor.serve(replace(served(vendor, name), batch_s=1000))
    batch = await begun(api, call(name, asks), asks)
    assert not (await api.look(batch)).ended
    await api.cancel(batch)
    assert (await api.look(batch)).ended
    assert not any((await api.results(batch)).values())


@pytest.mark.parametrize("name", VENDORS)
async def test_one_that_was_begun_unheard_is_found(vendor, batches, name):
    """By our name for it; where there is none, by its questions, when it has ended."""
    asks = [chat(f"who finds song {n} of {name}?", name) for n in range(4)]
    vendor.serve(replace(served(vendor, name), batch_s=1000))
    api, noted = batches(name), call(name, asks, number=77)
    assert await api.find(replace(noted, ticket="files/none")) is None
    batch = await begun(api, noted, asks)
    lost = replace(batch, id="")
    if name == "anthropic":
        with pytest.raises(Overloaded, match="may be ours"):
            await api.find(lost)
    vendor.advance(1000)
    assert (await api.look(batch)).ended
    assert await api.find(lost) == batch.id
    vendor.advance(timedelta(days=2).total_seconds())
    others = [chat(f"{n}?", name) for n in range(4)]
    assert await api.find(replace(call(name, others, number=78), ticket="files/none")) is None


@pytest.mark.parametrize("name", VENDORS)
async def test_a_wrong_key_is_told_without_showing_it(batches, name):
    """P12: and which variable holds it."""
    wrong = "sk-wrong-0123456789"
    api = batches(name, key=wrong)
    with pytest.raises(ProviderRefused, match="does not take the key") as caught:
        await api.look(replace(call(name, []), id="batches/1"))
    assert wrong not in str(caught.value)
    assert "WRITER_KEY" in str(caught.value)


def served(vendor, name):
    """What the vendor serves under that shape."""
    (one,) = (one for one in vendor.served if one.name == CHAT[name])
    return one
