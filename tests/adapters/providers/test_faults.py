"""Bad calls: every way to fail is one of four errors, names the provider, and hides the key."""

import asyncio
import pickle
import socket
import sys

import pytest

from adapters.providers.asks import CHAT, EMBED, VENDORS, chat, embed, of_model
from proctor.adapters.providers import open_provider
from proctor.adapters.providers.provider import VendorProvider
from proctor.errors import ConfigError, Limited, OutOfQuota, Overloaded, ProviderRefused
from proctor.model import ProviderSettings
from proctor.testing.vendor import Fault, Flaw, Served

pytestmark = pytest.mark.usefixtures("vendor")


async def fault_of(provider, ask, kind):
    with pytest.raises(kind) as caught:
        await provider.call(ask)
    assert "writer" in caught.value.what
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize("name", VENDORS)
async def test_a_wrong_key_names_the_variable_and_never_the_key(opened, name):
    key = "sk-wrong-0123456789"
    wrong = await fault_of(opened(name, key=key), chat("x", name), ProviderRefused)
    assert "WRITER_KEY" in wrong.fix
    assert wrong.found.startswith("401")
    assert key not in f"{wrong} {wrong!r}"
    assert not wrong.may_be_paid


async def test_a_vendor_that_repeats_the_key_does_not_show_it(opened, vendor):
    """The model's name stands for any text that a vendor puts into its error."""
    model = f"gpt-{vendor.key}"
    ask = of_model(chat("x"), f"openai:{model}")
    wrong = await fault_of(opened("openai", model=model), ask, ProviderRefused)
    assert vendor.key not in wrong.found
    assert "***" in wrong.found


@pytest.mark.parametrize("name", VENDORS)
async def test_an_unknown_model_says_where_to_mend_it(opened, name):
    ask = of_model(chat("x", name), f"{name}:gpt-9")
    wrong = await fault_of(opened(name, model="gpt-9"), ask, ProviderRefused)
    assert "knows no model gpt-9" in wrong.what
    assert "[providers.writer]" in wrong.fix


@pytest.mark.parametrize("name", VENDORS)
async def test_a_prompt_that_is_too_long_is_refused_and_not_tried_again(opened, vendor, name):
    vendor.serve(Served(name=CHAT[name], most_input=50))
    wrong = await fault_of(opened(name), chat("word " * 300, name), ProviderRefused)
    assert "maximum context length is 50" in wrong.found


@pytest.mark.parametrize("name", VENDORS)
async def test_a_rate_limit_says_how_long_to_wait(opened, vendor, name):
    vendor.serve(Served(name=CHAT[name], rpm=1))
    provider = opened(name)
    await provider.call(chat("first", name))
    wait = await fault_of(provider, chat("second", name), Limited)
    assert 50 < wait.retry_after <= 61
    if name != "google":  # says nothing in headers
        assert wait.requests_left == 0


async def test_a_wait_survives_the_trip_between_processes(opened, vendor):
    vendor.script(Fault(flaw=Flaw.LIMITED, seconds=7.5))
    wait = await fault_of(opened("openai"), chat("x"), Limited)
    assert pickle.loads(pickle.dumps(wait)).retry_after == 7.5


@pytest.mark.parametrize("name", VENDORS)
async def test_the_vendors_library_does_not_try_again(opened, vendor, name):
    """429 must reach our limits: a library that sleeps and asks again breaks them."""
    vendor.serve(Served(name=CHAT[name], rpm=1))
    provider = opened(name)
    await provider.call(chat("first", name))
    before = vendor.books()[CHAT[name]]
    await fault_of(provider, chat("second", name), Limited)
    vendor.script(Fault(flaw=Flaw.SERVER_ERROR, match="third"))
    await fault_of(provider, chat("third", name), Overloaded)
    after = vendor.books()[CHAT[name]]
    assert (after.limited, after.failed) == (before.limited + 1, before.failed + 1)
    assert after.calls == before.calls


@pytest.mark.parametrize("name", VENDORS)
async def test_a_hard_quota_is_not_a_rate(opened, vendor, name):
    vendor.script(Fault(flaw=Flaw.OUT_OF_QUOTA))
    assert "quota is used up" in (await fault_of(opened(name), chat("x", name), OutOfQuota)).what


@pytest.mark.parametrize("name", VENDORS)
async def test_a_daily_quota_is_not_a_rate(opened, vendor, name):
    """Waiting for midnight inside a call would hold a worker for hours."""
    vendor.serve(Served(name=CHAT[name], daily=0))
    await fault_of(opened(name), chat("x", name), OutOfQuota)


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize(
    ("flaw", "paid"),
    [
        (Flaw.SERVER_ERROR, True),
        (Flaw.UNAVAILABLE, False),
        (Flaw.OVERLOADED, False),
        (Flaw.RESET_EARLY, True),
        (Flaw.RESET_LATE, True),
        (Flaw.MALFORMED, True),
        (Flaw.STRANGE, True),
        (Flaw.PORTAL, True),
    ],
)
async def test_what_may_pass_is_overloaded_and_says_whether_it_may_be_paid(
    opened, vendor, name, flaw, paid
):
    vendor.script(Fault(flaw=flaw, match="x"))
    assert (await fault_of(opened(name), chat("x", name), Overloaded)).may_be_paid is paid


@pytest.mark.parametrize("name", VENDORS)
async def test_a_provider_that_is_silent_is_left_after_the_time_out(opened, vendor, name):
    vendor.script(Fault(flaw=Flaw.SILENT, seconds=30, match="x"))
    late = await fault_of(opened(name, timeout_s=0.3), chat("x", name), Overloaded)
    assert late.found == "no whole reply within 0.3 s"
    assert late.may_be_paid


@pytest.mark.parametrize("name", VENDORS)
async def test_nobody_at_the_address_is_overloaded_and_surely_not_paid(opened, name):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        down = await fault_of(opened(name, base_url=url), chat("x", name), Overloaded)
    assert not down.may_be_paid
    assert url in down.fix


@pytest.mark.parametrize("name", VENDORS)
async def test_a_redirect_to_another_host_is_refused(opened, vendor, name):
    """The prompt and the key would go to whoever the vendor's address points at today."""
    port = vendor.url.rpartition(":")[2]
    vendor.script(Fault(flaw=Flaw.REDIRECT, match="x", to=f"http://localhost:{port}/elsewhere"))
    wrong = await fault_of(opened(name), chat("x", name), ProviderRefused)
    assert "redirects to another address" in wrong.what
    assert f"http://localhost:{port}" in wrong.found


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("flaw", [Flaw.HUGE, Flaw.HUGE_PACKED])
async def test_a_reply_of_a_hundred_megabytes_is_cut_off(opened, vendor, name, flaw):
    """Also one that is packed small: what counts is what it becomes."""
    vendor.script(Fault(flaw=flaw, match="x"))
    wrong = await fault_of(opened(name), chat("x", name), ProviderRefused)
    assert "more than 10 MB" in wrong.found
    assert wrong.may_be_paid


async def test_a_reply_below_the_bound_is_read_though_it_is_packed(vendor):
    vendor.script(Fault(flaw=Flaw.HUGE_PACKED, match="x", megabytes=1))
    settings = ProviderSettings(
        name="writer", vendor="openai", model=CHAT["openai"], base_url=vendor.openai_url
    )
    provider = VendorProvider(settings, vendor.key, most_bytes=2_000_000)
    fault = await fault_of(provider, chat("x"), Overloaded)  # spaces are no JSON, but were read
    assert "own format" in fault.what
    await provider.aclose()


async def test_fewer_vectors_than_texts_are_no_answer(opened, vendor):
    """Nobody could say whose they are."""
    provider = opened("openai", embed=True)
    with pytest.raises(ProviderRefused):
        await provider.call_many([embed("one"), embed("")])
    vendor.script(Fault(flaw=Flaw.MALFORMED, match="two"))
    with pytest.raises(Overloaded):
        await provider.call_many([embed("two"), embed("three")])


async def test_anthropic_cannot_embed_and_says_who_can(vendor):
    settings = ProviderSettings(
        name="writer", vendor="anthropic", model="claude-haiku-4-5", base_url=vendor.anthropic_url
    )
    provider = open_provider(settings, vendor.key)
    with pytest.raises(ProviderRefused, match="writer cannot embed"):
        await provider.call(of_model(embed("x"), settings.full_model))
    await provider.aclose()


async def test_a_call_that_is_cancelled_leaves_the_provider_usable(opened, vendor):
    """A worker that stops must not spoil the connections of the others."""
    vendor.script(Fault(flaw=Flaw.SILENT, seconds=30, match="slow"))
    provider = opened("openai")
    slow = asyncio.create_task(provider.call(chat("slow")))
    while not vendor.books()[CHAT["openai"]].at_once:
        await asyncio.to_thread(vendor.books)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert (await provider.call(chat("quick"))).raw


@pytest.mark.parametrize("flaw", [Flaw.STRANGE, Flaw.PORTAL, Flaw.MALFORMED])
@pytest.mark.parametrize("name", list(EMBED))
async def test_a_strange_reply_to_texts_is_overloaded(opened, vendor, name, flaw):
    vendor.script(Fault(flaw=flaw, match="x"))
    await fault_of(opened(name, embed=True), embed("x", name), Overloaded)


@pytest.mark.parametrize("key", ["sk-two\nlines", "sk-acc\u00e9nt", "sk with spaces"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key):
    """The HTTP library would print it in its complaint."""
    settings = ProviderSettings(
        name="writer", vendor="openai", model="gpt-5-mini", key_env="OPENAI_API_KEY"
    )
    with pytest.raises(ProviderRefused, match="characters that no key has") as caught:
        open_provider(settings, key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "module"),
    [("openai", "openai"), ("anthropic", "anthropic"), ("google", "google.genai")],
)
def test_a_missing_library_names_the_extra(monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    settings = ProviderSettings(name="writer", vendor=name, model=CHAT[name])
    with pytest.raises(ConfigError, match=r"pip install 'proctor\[ai\]'") as caught:
        open_provider(settings, "key")
    assert caught.value.found == f"no module named {module}"


def test_no_key_for_a_vendors_own_address_is_refused_before_anything_is_sent():
    settings = ProviderSettings(
        name="writer", vendor="openai", model="gpt-5-mini", key_env="OPENAI_API_KEY"
    )
    with pytest.raises(ProviderRefused, match="writer has no key") as caught:
        open_provider(settings, None)
    assert "OPENAI_API_KEY" in caught.value.fix
