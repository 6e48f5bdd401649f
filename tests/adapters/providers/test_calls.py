"""Good calls: what is asked arrives whole, what comes back is the right answer and what it took."""

import asyncio
import json
import subprocess
import sys
import warnings

from decimal import Decimal

import pytest

from adapters.providers.asks import CHAT, EMBED, VENDORS, chat, embed, of_model
from proctor.errors import ProviderRefused
from proctor.model import Finish, Price
from proctor.testing.vendor import Fault, Flaw, Served, right_answer, right_text, right_vector

SONG = {
    "type": "object",
    "title": "Song",
    "properties": {
        "title": {"type": "string"},
        "mood": {"type": "string", "enum": ["calm", "wild"]},
        "year": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["title", "mood", "year", "tags"],
    "additionalProperties": False,
}
PROMPT = "Describe the song of waves and storms"

pytestmark = pytest.mark.usefixtures("vendor")


@pytest.mark.parametrize("name", VENDORS)
async def test_a_chat_brings_text_finish_usage_and_model(opened, name):
    reply = await opened(name).call(chat(PROMPT, name))
    assert json.loads(reply.raw) == {"text": right_text(PROMPT)}
    assert (reply.finish, reply.model) == (Finish.STOP, CHAT[name])
    assert reply.usage.input_tokens > 5
    assert reply.usage.output_tokens > 5


@pytest.mark.parametrize("name", VENDORS)
async def test_a_schema_is_the_vendors_own_structured_output(opened, name):
    """Every field arrives as the contract says, from all three vendors."""
    reply = await opened(name).call(chat(PROMPT, name, schema=SONG))
    answer = json.loads(json.loads(reply.raw)["text"])
    assert answer == right_answer(SONG, PROMPT)
    assert answer["mood"] in {"calm", "wild"}


async def test_an_open_schema_is_asked_for_as_well(opened):
    """A dict of anything cannot be promised strictly; it is asked for all the same."""
    schema = {
        "type": "object",
        "properties": {"scores": {"type": "object"}},
        "required": ["scores"],
    }
    reply = await opened("openai").call(chat(PROMPT, schema=schema))
    assert json.loads(json.loads(reply.raw)["text"]) == {"scores": {}}


@pytest.mark.parametrize("name", VENDORS)
async def test_system_words_and_what_was_said_before_count_as_input(opened, name):
    provider = opened(name)
    messages = [
        {"role": "user", "content": "first question " * 40},
        {"role": "assistant", "content": "first answer " * 40},
        {"role": "user", "content": PROMPT},
    ]
    short = await provider.call(chat(PROMPT, name))
    long = await provider.call(chat(PROMPT, name, messages=messages, system="Be brief. " * 40))
    assert long.usage.input_tokens > short.usage.input_tokens + 300
    assert json.loads(long.raw)["text"] == right_text(PROMPT)


@pytest.mark.parametrize("name", VENDORS)
async def test_the_output_cap_arrives(opened, name):
    """A cap that got lost would make every reservation too small."""
    reply = await opened(name).call(chat(PROMPT, name, max_tokens=5))
    assert reply.finish is Finish.LENGTH
    assert reply.usage.output_tokens <= 5


@pytest.mark.parametrize("model", ["qwen/qwen3", "openai/gpt-oss-20b", "gpt-5-mini", "openai/o3"])
async def test_the_output_cap_arrives_at_other_servers_under_the_name_they_know(
    opened, vendor, model
):
    vendor.serve(Served(name=model))
    reply = await opened("openai", model=model).call(
        of_model(chat(PROMPT, max_tokens=5), f"openai:{model}")
    )
    assert reply.finish is Finish.LENGTH


@pytest.mark.parametrize("name", ["anthropic", "google"])
async def test_a_temperature_arrives(opened, name):
    assert (await opened(name).call(chat(PROMPT, name, temperature=0.5))).raw


async def test_a_temperature_that_would_be_dropped_is_refused(opened, vendor):
    """Silently left out, the answers would be others than were asked for."""
    before = vendor.books()[CHAT["openai"]].calls
    with pytest.raises(ProviderRefused, match="writer"):
        await opened("openai").call(chat(PROMPT, temperature=0.5))
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(ProviderRefused, match="temperature"),
    ):
        await opened("openai").call(chat(PROMPT, temperature=0.5))
    assert vendor.books()[CHAT["openai"]].calls == before


@pytest.mark.parametrize("name", VENDORS)
async def test_a_call_costs_what_the_vendor_charges(opened, vendor, name):
    """Our books and the vendor's agree to the last digit."""
    vendor.serve(Served(name=CHAT[name], input_usd=Decimal("0.25"), output_usd=Decimal(2)))
    price = Price(input_per_million=Decimal("0.25"), output_per_million=Decimal(2), source="test")
    provider = opened(name, price=price)
    before = vendor.books()[CHAT[name]].usd
    replies = [await provider.call(chat(f"song {n}", name, schema=SONG)) for n in range(5)]
    cost = sum(provider.price(CHAT[name]).of(reply.usage) for reply in replies)
    assert cost == vendor.books()[CHAT[name]].usd - before
    assert cost > 0


async def test_a_question_without_a_cap_takes_the_providers(opened):
    reply = await opened("openai", max_tokens=4).call(chat(PROMPT, max_tokens=None))
    assert (reply.finish, reply.usage.output_tokens <= 4) == (Finish.LENGTH, True)


@pytest.mark.parametrize("name", list(EMBED))
async def test_one_text_becomes_its_vector(opened, name):
    reply = await opened(name, embed=True).call(embed("waves", name))
    assert json.loads(reply.raw) == pytest.approx(right_vector("waves", 8), abs=1e-6)
    assert reply.usage.output_tokens == 0


@pytest.mark.parametrize("name", list(EMBED))
async def test_many_texts_are_one_request_and_a_reply_each(opened, vendor, name):
    before = vendor.books()[EMBED[name]]
    texts = [f"song number {number} " * (number + 1) for number in range(20)]
    replies = await opened(name, embed=True).call_many([embed(text, name) for text in texts])
    for text, reply in zip(texts, replies, strict=True):
        assert json.loads(reply.raw) == pytest.approx(right_vector(text, 8), abs=1e-6)
    after = vendor.books()[EMBED[name]]
    assert after.calls == before.calls + 1


async def test_what_many_texts_took_is_shared_out_without_rest(opened, vendor):
    """The books of the run must add up to the vendor's."""
    before = vendor.books()[EMBED["openai"]].input_tokens
    asks = [embed("word " * (number + 1)) for number in range(7)]
    replies = await opened("openai", embed=True).call_many(asks)
    shares = [reply.usage.input_tokens for reply in replies]
    assert sum(shares) == vendor.books()[EMBED["openai"]].input_tokens - before
    assert 0 < shares[0] < shares[-1]


@pytest.mark.parametrize("name", list(EMBED))
async def test_dimensions_arrive(opened, name):
    reply = await opened(name, embed=True).call(embed("waves", name, dimensions=3))
    assert len(json.loads(reply.raw)) == 3


async def test_what_is_not_said_of_usage_is_the_most_it_can_be(opened, vendor):
    """Nothing would look free, and a budget could be overrun without anybody noticing."""
    vendor.script(Fault(flaw=Flaw.NO_USAGE, match="unsaid"))
    ask = chat("unsaid")
    reply = await opened("openai").call(ask)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (
        ask.most_input,
        ask.most_output,
    )


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_limit_headers_of_a_good_reply_are_hints(opened, vendor, name):
    vendor.serve(Served(name=CHAT[name], rpm=10, tpm=5000))
    reply = await opened(name).call(chat(PROMPT, name))
    assert reply.hints.requests_left == 9
    assert 4000 < reply.hints.tokens_left < 5000


@pytest.mark.parametrize("name", VENDORS)
async def test_a_refusal_and_a_filter_are_replies_and_told_apart(opened, vendor, name):
    provider = opened(name)
    vendor.script(Fault(flaw=Flaw.REFUSAL, match="bad"), Fault(flaw=Flaw.FILTERED, match="worse"))
    refused, filtered = (
        await provider.call(chat("bad", name)),
        await provider.call(chat("worse", name)),
    )
    # Anthropic says refusal for both, Gemini a safety reason for both.
    assert refused.finish is (Finish.FILTERED if name == "google" else Finish.REFUSED)
    assert filtered.finish is (Finish.REFUSED if name == "anthropic" else Finish.FILTERED)
    assert refused.usage.output_tokens > 0


async def test_the_words_of_a_refusal_are_kept_beside_the_text(opened, vendor):
    vendor.script(Fault(flaw=Flaw.REFUSAL, match="bad"))
    raw = json.loads((await opened("openai").call(chat("bad"))).raw)
    assert (raw["text"], "can't help" in raw["refusal"]) == ("", True)


@pytest.mark.parametrize("name", VENDORS)
async def test_a_cut_off_reply_is_a_reply(opened, vendor, name):
    vendor.script(Fault(flaw=Flaw.CUT_OFF, match="long"))
    reply = await opened(name).call(chat("a long one", name))
    assert reply.finish is Finish.LENGTH
    assert json.loads(reply.raw)["text"]


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("flaw", [Flaw.THINKING, Flaw.UNCLOSED])
async def test_reasoning_tags_stay_in_the_text_for_checks_to_see(opened, vendor, name, flaw):
    """A library that takes an unclosed tag out makes data of what the model leaked."""
    vendor.script(Fault(flaw=flaw, match="leak"))
    text = json.loads((await opened(name).call(chat("leak this", name))).raw)["text"]
    assert text.startswith("<think>The user wants words.")


async def test_calls_at_once_do_not_mix_their_headers(opened, vendor):
    """Hints belong to the call whose reply brought them."""
    much, little = opened("openai"), opened("anthropic")
    vendor.serve(Served(name=CHAT["openai"], rpm=1000, latency_s=0.02))
    vendor.serve(Served(name=CHAT["anthropic"], rpm=100, latency_s=0.02))
    asked = [chat(f"song {n}", name) for n in range(20) for name in ("openai", "anthropic")]
    replies = await asyncio.gather(
        *((much if "openai" in ask.model else little).call(ask) for ask in asked)
    )
    for ask, reply in zip(asked, replies, strict=True):
        assert (reply.hints.requests_left > 100) is ("openai" in ask.model)


async def test_a_question_for_another_model_is_a_mistake_of_ours(opened):
    """Its answer would be kept under the other model's name."""
    with pytest.raises(ValueError, match="not anthropic"):
        await opened("openai").call(chat(PROMPT, "anthropic"))


def test_a_vendors_library_is_there_before_the_first_call():
    """It takes seconds to load: they would count as that call's time, and in forecasts as all's."""
    code = (
        "import sys\n"
        "from proctor.adapters.providers import open_provider\n"
        "from proctor.model import ProviderSettings\n"
        "settings = ProviderSettings(name='w', vendor='anthropic', model='m', key_env='K')\n"
        "open_provider(settings, 'key')\n"
        "known = set(sys.modules)\n"
        "import pydantic_ai.models.anthropic\n"
        "print(len(set(sys.modules) - known))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=120
    )
    assert told.stdout == "0\n"
