"""One call of a service: what goes out, and every way to fail told as one of our errors."""

import asyncio
import json
import socket
import sys

from decimal import Decimal

import pytest

from proctor.adapters.providers.called import CalledService
from proctor.adapters.providers.service import open_service, picker_of
from proctor.errors import ConfigError, Limited, OutOfQuota, Overloaded, ProviderRefused
from proctor.model import Ask, Kind, Price, ServiceSettings, canonical
from proctor.testing.vendor import Fault, Flaw, Served, right_reply, serve_vendor

SERVED = Served(name="resolver", kind="service")
PRICE = Price(
    input_per_million=Decimal(0), output_per_million=Decimal(0), per_request=1, source="test"
)


@pytest.fixture(scope="module")
def shared():
    with serve_vendor(SERVED) as server:
        yield server


@pytest.fixture
def vendor(shared):
    shared.serve(SERVED)
    shared.advance(61)
    return shared


@pytest.fixture
async def opened(vendor):
    """Opens the service, with these settings instead of the usual."""
    services = []

    def opened(*, key=vendor.key, most_bytes=None, **said):
        told = {
            "name": "resolver",
            "url": f"{vendor.service_url('resolver')}/isbn?title={{title}}",
            "at": vendor.url,
            "headers": {"Authorization": "Bearer ${KEY}"},
            "price": PRICE,
            "timeout_s": 10.0,
        }
        settings = ServiceSettings(**(told | said))
        bound = {} if most_bytes is None else {"most_bytes": most_bytes}
        service = CalledService(settings, {"KEY": key}, **bound)
        services.append(service)
        return service

    yield opened
    for service in services:
        await service.aclose()


def ask(service, **values):
    """The question of these values."""
    return Ask(
        kind=Kind.HTTP,
        provider="resolver",
        model=service._settings.model,
        sent=canonical({"values": values}),
        most_input=0,
    )


async def fault_of(service, kind, title="x"):
    with pytest.raises(kind) as caught:
        await service.call(ask(service, title=title))
    assert "resolver" in caught.value.what
    assert caught.value.__cause__ is None
    return caught.value


async def test_a_reply_is_kept_whole_with_its_status(opened):
    """What is wanted of it is taken out later."""
    service = opened()
    reply = await service.call(ask(service, title="a&b ü"))
    kept = json.loads(reply.raw)
    assert kept == {"status": 200, "body": right_reply("isbn", {"title": "a&b ü"})}
    assert PRICE.of(reply.usage) == 1


async def test_a_call_that_changes_things_carries_the_questions_key(opened, vendor):
    """The same question is the same key: what was done is not done again."""
    service = opened(method="POST", idempotency_key="Idempotency-Key")
    question = ask(service, title="once")
    assert await service.call(question) == await service.call(question)
    await service.call(ask(service, title="another"))
    assert list(vendor.books()["resolver"].done.values()) == [2]  # one path and body, two keys


@pytest.mark.parametrize(
    ("flaw", "kind", "may_be_paid"),
    [
        (Flaw.SERVER_ERROR, Overloaded, True),
        (Flaw.UNAVAILABLE, Overloaded, False),
        (Flaw.OVERLOADED, Overloaded, False),
        (Flaw.RESET_EARLY, Overloaded, True),
        (Flaw.RESET_LATE, Overloaded, True),
        (Flaw.MALFORMED, Overloaded, True),
        (Flaw.PORTAL, Overloaded, True),
        (Flaw.OUT_OF_QUOTA, OutOfQuota, None),
        (Flaw.LIMITED, Limited, None),
        (Flaw.HUGE, ProviderRefused, True),
        (Flaw.HUGE_PACKED, ProviderRefused, True),
    ],
)
async def test_what_goes_wrong_is_told_apart(opened, vendor, flaw, kind, may_be_paid):
    """As for models: what waits, what is tried again, what stops, and what may have cost."""
    vendor.script(Fault(flaw=flaw, match="x", seconds=7.5))
    error = await fault_of(opened(), kind)
    assert getattr(error, "may_be_paid", None) == may_be_paid
    if flaw is Flaw.LIMITED:
        assert error.retry_after == 7.5


async def test_no_reply_in_time_may_have_cost(opened, vendor):
    """Nobody knows."""
    vendor.script(Fault(flaw=Flaw.SILENT, match="x", seconds=30))
    error = await fault_of(opened(timeout_s=0.2), Overloaded)
    assert error.may_be_paid
    assert "within 0.2 s" in error.found


async def test_nobody_there_has_not_cost(opened):
    """The connection was never made."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x?t={{title}}"
        error = await fault_of(opened(url=url), Overloaded)
    assert not error.may_be_paid
    assert url.partition("?")[0] in error.fix


async def test_a_rate_and_a_day_are_told_apart(opened, vendor):
    """The one is waited for, the other pauses the run."""
    vendor.serve(Served(name="resolver", kind="service", rpm=1))
    service = opened()
    await service.call(ask(service, title="1"))
    assert 50 < (await fault_of(service, Limited)).retry_after <= 61
    vendor.serve(Served(name="resolver", kind="service", daily=1))
    await fault_of(service, OutOfQuota)


async def test_a_wrong_secret_names_its_variable_and_is_never_shown(opened):
    """P12: also where the service repeats it."""
    error = await fault_of(opened(key="wrong-8dZ72hQ"), ProviderRefused)
    assert not error.of_question
    assert "KEY" in error.fix
    assert "wrong-8dZ72hQ" not in f"{error} {error!r}"
    assert "***" in error.found


async def test_what_is_not_there_is_its_questions_fault(opened):
    """404 of one row stops no other, unless `expect` says that it is an answer."""
    error = await fault_of(opened(), ProviderRefused, "unknown")
    assert error.of_question
    assert "expect = [200, 404]" in error.fix
    service = opened(expect=(200, 404))
    kept = json.loads((await service.call(ask(service, title="unknown"))).raw)
    assert kept["status"] == 404


async def test_a_redirect_to_another_host_is_refused(opened, vendor):
    """Secrets in headers would go along."""
    port = vendor.url.rpartition(":")[2]
    vendor.script(Fault(flaw=Flaw.REDIRECT, match="x", to=f"http://localhost:{port}/elsewhere"))
    error = await fault_of(opened(), ProviderRefused)
    assert "redirects to another address" in error.what
    assert "set url to" in error.fix


async def test_a_redirect_on_the_same_host_is_followed(opened, vendor):
    """A slash that was forgotten: nothing travels further than it was meant to."""
    there = "/services/resolver/isbn?title=moved"
    vendor.script(Fault(flaw=Flaw.REDIRECT, match="x1", to=there))
    service = opened()
    kept = json.loads((await service.call(ask(service, title="x1"))).raw)
    assert kept["body"] == right_reply("isbn", {"title": "moved"})


async def test_a_question_of_another_service_is_not_asked(opened):
    """Its answer would be kept under a wrong name."""
    service = opened()
    with pytest.raises(ValueError, match="not GET https"):
        await service.call(
            Ask(kind=Kind.HTTP, provider="r", model="GET https://x", sent="{}", most_input=0)
        )


async def test_a_call_that_is_cancelled_leaves_the_service_usable(opened, vendor):
    """A worker that stops must not spoil the connections of the others."""
    vendor.script(Fault(flaw=Flaw.SILENT, seconds=30, match="slow"))
    service = opened()
    slow = asyncio.create_task(service.call(ask(service, title="slow")))
    while not vendor.books()["resolver"].at_once:
        await asyncio.to_thread(vendor.books)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert (await service.call(ask(service, title="quick"))).raw


BODY = {"items": [{"isbn": "1"}, {"isbn": "2"}], "none": None}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.items[0].isbn", "1"),
        ("$.none", None),
        ("$.items[*].isbn", ["1", "2"]),
        ("$.items[?@.isbn == '2'].isbn", ["2"]),
        ("$.nowhere[*]", []),
    ],
)
def test_a_path_of_one_place_gives_a_value_and_any_other_a_list(path, found):
    """RFC 9535; a null that is there is a value."""
    settings = ServiceSettings(name="r", url="https://h/", at="https://h", pick=path)
    assert picker_of(settings)(BODY) == found


def test_a_place_that_is_not_there_is_no_value():
    """Nor is it null."""
    settings = ServiceSettings(name="r", url="https://h/", at="https://h", pick="$.items[9].isbn")
    with pytest.raises(LookupError):
        picker_of(settings)(BODY)


def test_what_is_no_path_is_told_with_its_place():
    """Before anything is asked."""
    settings = ServiceSettings(name="r", url="https://h/", at="https://h", pick="items[0]")
    with pytest.raises(ConfigError, match=r"\[providers\.r\] is no JSON path"):
        picker_of(settings)


@pytest.mark.parametrize(("module", "pick"), [("jsonpath_rfc9535", "$.a"), ("httpx2", "")])
def test_a_missing_library_names_the_extra(monkeypatch, module, pick):
    """Who calls no service needs none of them."""
    monkeypatch.setitem(sys.modules, module, None)
    settings = ServiceSettings(name="r", url="https://h/", at="https://h", pick=pick)
    with pytest.raises(ConfigError, match=r"pip install 'proctor\[http\]'"):
        picker_of(settings) if pick else open_service(settings, {})


@pytest.mark.parametrize("secret", ["two\nlines", "acc\u00e9nt"])
def test_a_secret_that_cannot_be_sent_is_refused_and_not_shown(secret):
    """The HTTP library would print it in its complaint."""
    settings = ServiceSettings(name="r", url="https://h/", at="https://h")
    with pytest.raises(ConfigError, match="the variable KEY") as caught:
        open_service(settings, {"KEY": secret})
    assert secret not in str(caught.value)


@pytest.fixture
async def said(opened):
    """What comes of a reply of these very bytes."""

    async def said(status, kind, body):
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}"
            writer.write(head.encode() + b"\r\nconnection: close\r\n\r\n" + body)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            service = opened(url=f"http://127.0.0.1:{port}/{{title}}")
            return json.loads((await service.call(ask(service, title="x"))).raw)["body"]

    return said


@pytest.mark.parametrize("charset", ["hex", "rot13", "undefined", "no-such-one"])
async def test_a_charset_that_makes_no_text_is_no_fault_of_the_row(said, charset):
    """The status says what it is, and what stands there is shown as far as can be."""
    with pytest.raises(Overloaded, match="500: zz"):
        await said(500, f"text/html; charset={charset}", b"zz")
    assert await said(200, f"text/plain; charset={charset}", b"zz") == "zz"


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "no-such-one"])
async def test_json_is_utf_8_whatever_its_header_says(said, charset):
    """Many servers name a charset that they do not use."""
    kind = f"application/json; charset={charset}"
    assert await said(200, kind, '{"a": "é"}'.encode()) == {"a": "é"}


async def test_json_in_a_charset_of_old_is_read_as_its_header_says(said):
    """Where it is no UTF-8; without such a word it is no JSON."""
    body = '{"a": "é"}'.encode("latin-1")
    assert await said(200, "application/json; charset=iso-8859-1", body) == {"a": "é"}
    with pytest.raises(Overloaded, match="no JSON"):
        await said(200, "application/json", body)


async def test_a_number_without_an_end_is_no_json(said):
    """1e999 would be kept as Infinity, and written into a row."""
    with pytest.raises(Overloaded, match="no JSON"):
        await said(200, "application/json", b'{"a": 1e999}')
