"""Figures from outside, asked of real servers: what is no number in time is no figure."""

import asyncio
import contextlib
import http.server
import json
import threading

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest

from proctor.adapters.metrics import OutsideMeter
from proctor.config.environ import fill
from proctor.errors import ConfigError, Unmeasured
from proctor.model import HttpFigures, ProbeAnswer, PrometheusQuery, PythonFigures

SECRET = "hunter22-9f8e7d"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Pages(http.server.BaseHTTPRequestHandler):
    """Answers what the test put under a path; notes what it was asked."""

    def do_GET(self):
        path, _, _ = self.path.partition("?")
        self.server.asked.append((self.path, dict(self.headers)))
        status, headers, body = self.server.pages[path]
        if body is None:
            self.server.hold.wait()
            body = b""
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_words):
        pass


@pytest.fixture
def web():
    """A server; `web(path, body)` puts a page there and gives its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.pages, server.asked, server.hold = {}, [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def put(path, body, status=200, **headers):
        told = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        server.pages[path] = (status, headers, told)
        return f"http://127.0.0.1:{server.server_port}{path}"

    put.asked = server.asked
    yield put
    server.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


async def measured(source, *, within=10 * SECOND, **variables):
    meter = OutsideMeter(lambda text: fill(text, variables, "the metric"))
    return await meter.measure(source, since=NOW - SECOND, until=NOW, within=within)


async def refused(source, **more):
    with pytest.raises(Unmeasured) as caught:
        await measured(source, **more)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


async def test_numbers_are_picked_from_json(web):
    """A yes is 1 and a no is 0; whole numbers stay whole."""
    url = web("/health", {"ok": True, "queue": {"old": False, "ages": [3, 2.5]}})
    pick = {"ok": "$.ok", "old": "$.queue.old", "age": "$.queue.ages[1]", "n": "$['queue'].ages[0]"}
    found = await measured(HttpFigures(url=url, pick=pick))
    assert found == {"ok": 1, "old": 0, "age": 2.5, "n": 3}
    assert {type(value) for value in found.values()} == {int, float}


async def test_a_plain_number_is_an_answer(web):
    assert await measured(HttpFigures(url=web("/n", 7), pick={"value": "$"})) == {"value": 7}


async def test_variables_are_filled_when_it_is_asked(web):
    """In the address and in headers; a variable that is not set is an error of the metric."""
    web("/stats", {"n": 1})
    url = web("/stats", {"n": 1}) + "?key=${KEY}"
    source = HttpFigures(url=url, pick={"n": "$.n"}, headers={"Authorization": "Bearer ${KEY}"})
    assert SECRET not in repr(source)
    assert await measured(source, KEY=SECRET) == {"n": 1}
    path, headers = web.asked[-1]
    assert path == f"/stats?key={SECRET}"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert "KEY" in await refused(source)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"n": "7"}, "a str in its place"),
        ({"n": None}, "nothing in its place"),
        ({"n": [1]}, "a list in its place"),
        ({"m": 1}, "nothing at $.n"),
        ({}, "nothing at $.n"),
        (7, "nothing at $.n"),
        (b'{"n": NaN}', "not answer JSON"),
        (b'{"n": 1e999}', "not answer JSON"),
        (b"<html>", "not answer JSON"),
        (b"", "not answer JSON"),
        (b"[" * 100_000, "not answer JSON"),
        (b'{"n": 1' + b"0" * 500 + b"}", "more than can be held"),
        (b'{"n": 1, "x": "' + b"x" * 1_000_000 + b'"}', "more than 1 MB"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_is_no_number_is_no_figure(web, body, told):
    assert told in await refused(HttpFigures(url=web("/n", body), pick={"n": "$.n"}))


async def test_several_values_are_no_figure(web):
    url = web("/n", {"n": [1, 2]})
    assert "several values" in await refused(HttpFigures(url=url, pick={"n": "$.n[*]"}))


async def test_no_redirect_is_followed(web):
    """It would carry the headers, and the keys in them, elsewhere."""
    there = web("/there", {"n": 1})
    url = web("/here", b"", status=302, Location=there)
    source = HttpFigures(url=url, pick={"n": "$.n"}, headers={"x-key": "${KEY}"})
    assert "redirects" in await refused(source, KEY=SECRET)
    assert [path for path, _ in web.asked] == ["/here"]


async def test_a_packed_answer_is_not_unpacked(web):
    """A small one may hold gigabytes."""
    url = web("/n", b"x", **{"Content-Encoding": "gzip"})
    assert "packed" in await refused(HttpFigures(url=url, pick={"n": "$.n"}))


@pytest.mark.parametrize("status", [204, 404, 500, 503])
async def test_a_refusal_is_no_figure(web, status):
    url = web("/n", b"" if status == 204 else {"n": 1}, status=status)
    assert await refused(HttpFigures(url=url, pick={"n": "$.n"}))


async def test_an_address_where_nobody_is_does_not_show_its_key(web):
    port = web("/n", 1).split(":")[2].partition("/")[0]
    url = f"http://127.0.0.1:{int(port) ^ 1}/${{KEY}}"
    assert "cannot be reached" in await refused(HttpFigures(url=url, pick={"n": "$"}), KEY=SECRET)


async def test_a_server_that_never_answers_ends_by_the_time_out(web):
    url = web("/slow", None)
    short = timedelta(milliseconds=100)
    told = await refused(HttpFigures(url=url, pick={"n": "$"}), within=short)
    assert "in time" in told or "cannot be reached" in told


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (HttpFigures(url="file:///etc/passwd", pick={"n": "$"}), "not one of the web"),
        (HttpFigures(url="http://h/", pick={}), "picks no number"),
        (HttpFigures(url="http://h/", pick={"n": "n.m"}), "JSONPath"),
        (HttpFigures(url="http://${NOBODY}/", pick={"n": "$"}), "NOBODY"),
        (PrometheusQuery(url="prometheus:9090", query="up"), "not one of the web"),
    ],
)
async def test_what_could_never_be_asked_is_said_before(source, told):
    meter = OutsideMeter(lambda text: fill(text, {}, "the metric"))
    with pytest.raises(ConfigError, match=told):
        meter.refuse(source)
    assert told in await refused(source)


async def test_a_question_for_somebody_else_is_refused():
    assert "ProbeAnswer" in await refused(ProbeAnswer(probe="home"))


def prometheus(result, kind="vector", **more):
    return {"status": "success", "data": {"resultType": kind, "result": result}} | more


def one(value):
    return [{"metric": {}, "value": [NOW.timestamp(), value]}]


@pytest.mark.parametrize(
    ("body", "value"),
    [(prometheus(one("0.25")), 0.25), (prometheus([NOW.timestamp(), "3"], "scalar"), 3)],
)
async def test_prometheus_gives_one_number(web, body, value):
    """Asked for the moment of the look, by the documented address."""
    url = web("/prom/api/v1/query", body).removesuffix("/api/v1/query") + "/?tenant=7"
    source = PrometheusQuery(url=url, query="sum(rate(errors[5m]))", headers={"x-k": "${KEY}"})
    assert await measured(source, KEY=SECRET) == {"value": value}
    path, headers = web.asked[-1]
    where, _, asked = path.partition("?")
    assert where == "/prom/api/v1/query"
    assert parse_qsl(asked) == [
        ("tenant", "7"),
        ("query", "sum(rate(errors[5m]))"),
        ("time", f"{NOW.timestamp():.3f}"),
    ]
    assert headers["x-k"] == SECRET


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (prometheus([]), 200, "no series"),
        (prometheus(one("1") + one("2")), 200, "2 series"),
        (prometheus(one("NaN")), 200, "NaN"),
        (prometheus(one("+Inf")), 200, "infinity"),
        (prometheus(one("many")), 200, "a text"),
        (prometheus([], "matrix"), 200, "a matrix"),
        (prometheus([0, "up"], "string"), 200, "a string"),
        (prometheus(one("1"), warnings=["a store is away"]), 200, "warnings"),
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, 400, "parse error"),
        (prometheus(one("1")), 503, "refused"),
        ({"status": "success"}, 200, "as Prometheus"),
        ({"status": "success", "data": {"resultType": "vector", "result": [{}]}}, 200, "as Prom"),
        ([], 200, "as Prometheus"),
        (b"", 502, "as Prometheus"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_prometheus_does_not_know_is_no_figure(web, body, status, told):
    """No series is not 0, and NaN is nothing."""
    url = web("/api/v1/query", body, status=status)
    assert told in await refused(PrometheusQuery(url=url, query="up"))


async def asynchronous():
    await asyncio.sleep(0)
    return {"a": 1, "b": True}


@pytest.mark.parametrize(
    ("call", "found"),
    [(lambda: 0.5, {"value": 0.5}), (lambda: {"n": 2}, {"n": 2}), (asynchronous, {"a": 1, "b": 1})],
)
async def test_a_function_gives_a_number_or_numbers_by_name(call, found):
    assert await measured(PythonFigures(call=call)) == found


def leaks():
    raise ValueError(SECRET)


def leaves():
    raise SystemExit(SECRET)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (leaks, "ValueError"),
        (leaves, "SystemExit"),
        (lambda: SECRET, "a str"),
        (lambda: None, "nothing"),
        (lambda: float("nan"), "NaN"),
        (dict, "no numbers by name"),
        (lambda: {1: 2}, "no numbers by name"),
        (lambda: {"n": SECRET}, "a str"),
    ],
)
async def test_a_function_that_fails_is_an_error_of_the_metric(call, told):
    """What it raised is told by its class: its text may hold anything."""
    assert told in await refused(PythonFigures(call=call))


@pytest.mark.parametrize("kind", ["blocking", "async", "stubborn"])
async def test_a_function_that_never_returns_ends_by_the_time_out(kind):
    """Also an async one that blocks its loop, or swallows its cancellation; later it is busy."""
    free = threading.Event()

    async def waits():
        free.wait()

    async def stubborn():
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    call = {"blocking": free.wait, "async": waits, "stubborn": stubborn}[kind]
    source = PythonFigures(call=call)
    meter = OutsideMeter()

    async def ask(within):
        return await meter.measure(source, since=NOW, until=NOW, within=within)

    with pytest.raises(Unmeasured, match="in time"):
        await ask(timedelta(milliseconds=50))
    with pytest.raises(Unmeasured, match="busy"):
        await ask(10 * SECOND)
    free.set()
