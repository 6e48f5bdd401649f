"""Throttle signals of the user's own: numbers from outside, and three kinds of silence."""

import asyncio
import contextlib
import http.server
import json
import sys
import threading
import traceback

from decimal import Decimal

import pytest

from proctor.adapters.signals import NoAnswer, Watched, http_question, python_question
from proctor.core.throttle import describe, pressure
from proctor.errors import ConfigError, TargetError
from proctor.testing.clock import FakeClock

SECRET = "hunter22"


class Source:
    """A question whose answers the test decides."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def watched(ask, clock=None, **options):
    clock = clock or FakeClock(auto=False)
    return Watched("queue", ask, limit=100, unit="rows", clock=clock, **options)


async def test_a_number_becomes_a_signal():
    signal = await watched(Source(25))()
    assert (signal.name, signal.value, signal.limit, signal.unit) == ("queue", 25.0, 100, "rows")
    assert signal.load == 0.25


@pytest.mark.parametrize(("answer", "value"), [(Decimal("1.5"), 1.5), ("7.25", 7.25), (0, 0.0)])
async def test_numbers_come_in_several_forms(answer, value):
    assert (await watched(Source(answer))()).value == value


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (True, "a bool, not a number"),
        (None, "nothing, not a number"),
        ([1], "a list, not a number"),
        (SECRET, "a text, not a number"),
        (float("nan"), "not a finite number"),
        (ValueError(SECRET), "it raised ValueError in test_signals.py"),
        (TargetError("refused", found="no relation outbx"), "refused: no relation outbx"),
    ],
)
async def test_what_is_no_number_is_not_available_and_says_why_without_the_value(answer, why):
    """P12: an answer may hold anything."""
    signal = await watched(Source(answer))()
    assert signal.value is None
    assert signal.why.startswith("not available: ")
    assert why in signal.why
    assert SECRET not in signal.why


async def test_one_that_never_answered_is_not_watched_and_stops_nobody():
    """*Not available*: the run goes on, and every face says that this is not watched."""
    clock = FakeClock(auto=False)
    source = watched(Source(NoAnswer("status 404")), clock)
    seen = set()
    for _ in range(3):
        signal = await source()
        assert pressure([signal], seen=seen).duty == 1.0
        await clock.advance(60)
    assert describe(signal) == "queue: not watched (not available: status 404)"


async def test_one_that_fell_silent_makes_the_run_wait_and_then_stop():
    """*Vanished*: for a while nobody knows, so the run rests; then a person must look."""
    clock = FakeClock(auto=False)
    gone = [NoAnswer("status 503")] * 4
    source = watched(Source(25, *gone), clock, patience=30)
    seen = {"queue"}
    assert pressure([await source()], seen=seen).duty == 1.0
    await clock.advance(1000)  # the heart may have been still for long: that is no silence
    waiting = pressure([await source()], seen=seen)
    assert (waiting.duty, waiting.vanished) == (0.0, ())
    assert "taken as full: status 503" in waiting.reason
    await clock.advance(29)
    assert pressure([await source()], seen=seen).vanished == ()
    await clock.advance(1)
    signal = await source()
    assert pressure([signal], seen=seen).vanished == ("queue",)
    assert signal.why == "vanished: status 503, silent for 30 s"


async def test_one_that_answers_again_is_itself_again():
    """A short outage of the metrics server costs a short rest."""
    clock = FakeClock(auto=False)
    source = watched(Source(25, NoAnswer("status 503"), 30, NoAnswer("x"), 35), clock)
    found = []
    for _ in range(5):
        found.append((await source()).value)
        await clock.advance(20)
    assert found == [25, 100, 30, 100, 35]


async def test_a_slow_answer_never_holds_the_heartbeat_up():
    """The last value stands while the next is under way, and the question is not asked twice."""
    let, asked = asyncio.Event(), []

    async def slow():
        asked.append(1)
        if len(asked) > 1:
            await let.wait()
        return len(asked)

    source = watched(slow, timeout=30)
    assert (await source()).value == 1
    for _ in range(3):
        assert (await asyncio.wait_for(source(), timeout=1)).value == 1
    assert len(asked) == 2
    let.set()
    assert (await source()).value == 2


async def test_an_answer_that_does_not_come_in_time_is_silence():
    async def never():
        await asyncio.Event().wait()

    signal = await watched(never, timeout=0.01)()
    assert signal.why == "not available: no answer within 0.01 s"


# Python


async def test_a_python_function_is_asked_wherever_it_is(tmp_path, monkeypatch):
    """By its place or itself, async or not."""
    (tmp_path / "my_signals.py").write_text(
        "class Depth:\n    @staticmethod\n    def now():\n        return 7\n"
        "async def later():\n    return 8\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for question, value in [
        (python_question("my_signals:Depth.now"), 7),
        (python_question("my_signals:later"), 8),
        (python_question(lambda: 9), 9),
    ]:
        assert (await watched(question)()).value == value
    del sys.modules["my_signals"]


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("no_such_module:f", "no_such_module"),
        ("json:no_such", "no_such"),
        ("json:decoder", "a module"),
        (":f", "mpty module name"),
    ],
)
def test_a_function_that_is_not_there_is_a_clear_error(place, found):
    with pytest.raises(ConfigError) as caught:
        python_question(place)
    assert place in caught.value.what
    assert found in caught.value.found


async def test_a_function_that_blocks_is_not_called_again_until_it_returns():
    """A hanging signal costs one thread, however long the run is, and no exit waits for it."""
    let, calls = threading.Event(), []

    def block():
        calls.append(threading.current_thread())
        let.wait(30)
        return 5

    question = python_question(block)
    source = watched(question, timeout=0.01)
    first = await source()
    second = await source()
    assert "no answer within" in first.why
    assert "still without an answer" in second.why
    assert [thread.daemon for thread in calls] == [True]
    let.set()
    await asyncio.to_thread(calls[0].join, 30)
    assert (await watched(question)()).value == 5


# HTTP


class Answers(http.server.BaseHTTPRequestHandler):
    """What the path asks for."""

    def do_GET(self):
        self.server.heard.append((self.path, dict(self.headers)))
        status, body, headers = self.server.answers[self.path.partition("?")[0]]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *words):
        """Say nothing."""


@pytest.fixture
def web():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.heard = []
        server.answers = {}
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()
        thread.join()


def body(value, status=200, **headers):
    return status, json.dumps(value).encode(), headers


async def test_a_number_is_picked_from_json(web):
    """As a metrics server answers: nested, in lists, as text."""
    web.answers["/q"] = body({"data": {"result": [{"value": [1700000000, "12.5"]}]}})
    question = http_question(
        f"{web.url}/q?x=1", pick="data.result.0.value.1", headers={"X-Key": "k"}
    )
    assert (await watched(question)()).value == 12.5
    ((path, headers),) = web.heard
    assert (path, headers["X-Key"]) == ("/q?x=1", "k")


async def test_a_bare_number_needs_no_path(web):
    web.answers["/n"] = body(3)
    assert (await watched(http_question(f"{web.url}/n"))()).value == 3


@pytest.mark.parametrize(
    ("answer", "pick", "why"),
    [
        (body({}, 503), "", "status 503"),
        (body({"a": SECRET}), "a", "a text, not a number"),
        (body({"a": 1}), "b", "nothing at b (looking for b)"),
        (body([1]), "1", "nothing at 1"),
        (body([1]), "x.y", "nothing at x.y (looking for x)"),
        ((200, b"<html>hunter22", {}), "", "not JSON"),
        ((200, b"1" * (2 << 20), {}), "", "larger than 1 MiB"),
        (body({}, 302, Location="/elsewhere"), "", "status 302"),
    ],
)
async def test_a_bad_answer_says_why_without_the_answer(web, answer, pick, why):
    web.answers["/q"] = answer
    signal = await watched(http_question(f"{web.url}/q", pick=pick))()
    assert signal.value is None
    assert why in signal.why
    assert SECRET not in signal.why


async def test_a_redirect_is_not_followed(web):
    """It would carry the key in the headers to wherever the answer points."""
    web.answers["/q"] = body({}, 302, Location=f"{web.url}/thief")
    web.answers["/thief"] = body(1)
    await watched(http_question(f"{web.url}/q", headers={"Authorization": SECRET}))()
    assert [path for path, _ in web.heard] == ["/q"]


async def test_an_address_that_cannot_be_reached_shows_no_secret():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        port = server.server_port
    question = http_question(f"http://127.0.0.1:{port}/{SECRET}", headers={"Authorization": SECRET})
    signal = await watched(question)()
    assert "cannot be reached: Connection refused" in signal.why
    assert SECRET not in signal.why


@pytest.mark.parametrize("url", ["file:///etc/passwd", f"ftp://a:{SECRET}@h/", SECRET])
def test_only_addresses_of_the_web_are_allowed(url):
    with pytest.raises(ConfigError) as caught:
        http_question(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
