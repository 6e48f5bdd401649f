"""Notices by Apprise, to a real web server and a real mail server."""

import asyncio
import time

from datetime import timedelta

import pytest

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP

from proctor.adapters.notify import AppriseNotifier
from proctor.config import Redactor
from proctor.model import Severity
from receiver import receiving


@pytest.fixture
def receiver():
    with receiving() as server:
        yield server


async def test_a_message_arrives_with_title_text_and_severity(receiver):
    notifier = AppriseNotifier(receiver.url)
    assert await notifier.tell("a title", "a text\nof two", severity=Severity.CRITICAL) == ""
    (got,) = receiver.got
    assert (got["title"], got["message"], got["type"]) == ("a title", "a text\nof two", "failure")


@pytest.mark.parametrize(("severity", "kind"), [("info", "info"), ("warning", "warning")])
async def test_each_severity_has_its_own_look(receiver, severity, kind):
    assert await AppriseNotifier(receiver.url).tell("t", "x", severity=Severity(severity)) == ""
    assert receiver.got[0]["type"] == kind


async def test_no_secret_is_sent(receiver):
    """P12: the net is under the last step, whoever made the text."""
    notifier = AppriseNotifier(receiver.url, redact=Redactor(["hunter22"]))
    assert await notifier.tell("401 for hunter22", "hunter22", severity=Severity.INFO) == ""
    assert "hunter22" not in str(receiver.got)
    assert receiver.titles == ["401 for ***"]


async def test_a_place_that_refuses_gives_a_reason_and_no_error(receiver):
    receiver.status = 503
    url = f"{receiver.url}/token-0123456789"
    notifier = AppriseNotifier(url, redact=Redactor([url, "token-0123456789"]))
    why = await notifier.tell("t", "x", severity=Severity.INFO)
    assert "503" in why
    assert "0123456789" not in why


async def test_a_place_that_is_not_there_gives_a_reason_and_no_error(receiver):
    url = receiver.url
    receiver.server_close()
    assert await AppriseNotifier(url).tell("t", "x", severity=Severity.INFO)


async def test_a_place_that_hangs_is_not_waited_for(receiver):
    """The time limit is ours: neither this call nor the next one is held up by its thread."""
    receiver.free.clear()
    notifier = AppriseNotifier(receiver.url, within=timedelta(seconds=0.5))
    began = time.monotonic()
    assert await notifier.tell("t", "x", severity=Severity.INFO) == "no answer within 0.5 s"
    assert "still on its way" in await notifier.tell("t", "x", severity=Severity.INFO)
    assert time.monotonic() - began < 3
    receiver.free.set()


async def test_the_loop_is_free_while_a_message_is_on_its_way(receiver):
    receiver.free.clear()
    notifier = AppriseNotifier(receiver.url)
    sending = asyncio.create_task(notifier.tell("t", "x", severity=Severity.INFO))
    await asyncio.to_thread(receiver.asked.wait, 30)
    assert receiver.asked.is_set()
    assert not sending.done()
    receiver.free.set()
    assert await sending == ""


@pytest.mark.parametrize(
    ("url", "found"),
    [("nosuch://abc", "nosuch://"), ("slack://short", "slack://"), ("hunter22", "without ://")],
)
async def test_an_address_that_apprise_does_not_know_is_told_without_it(url, found):
    notifier = AppriseNotifier(url)
    assert found in notifier.fault().found
    why = await notifier.tell("t", "x", severity=Severity.INFO)
    for secret in ("short", "abc", "hunter22"):
        assert secret not in why + str(notifier.fault())


def test_an_address_is_looked_at_without_sending(receiver):
    assert AppriseNotifier(receiver.url).fault() is None
    assert receiver.got == []


async def test_mail_arrives_at_a_mail_server(tmp_path):
    mailbox = Mailbox(str(tmp_path / "mail"))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, hostname="mail"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"mailto://127.0.0.1:{port}?from=proctor@shop.example&to=ops@shop.example&mode=insecure"
    async with server:
        why = await AppriseNotifier(url).tell("run.failed", "disk full", severity=Severity.CRITICAL)
    assert why == ""
    (mail,) = list(mailbox.mailbox)
    assert "run.failed" in mail["Subject"]
    assert "disk full" in mail.as_string()
