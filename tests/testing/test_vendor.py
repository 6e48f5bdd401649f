"""The local vendor: limits and books must be honest, for we are checked against them."""

import json
import urllib.error
import urllib.request

from decimal import Decimal

import pytest

from proctor.testing.vendor import (
    Fault,
    Flaw,
    Served,
    right_answer,
    right_text,
    right_vector,
    serve_vendor,
    tokens_of,
)

M = "gpt-5-mini"


@pytest.fixture
def serve():
    """Start a vendor for one test."""
    running = []

    def serve(*served, **said):
        context = serve_vendor(*served, **said)
        running.append(context)
        return context.__enter__()

    yield serve
    for context in running:
        context.__exit__(None, None, None)


def ask(server, text, *, model=M, cap=100, key=None, path="/chat/completions"):
    """One request in OpenAI's shape: status, headers, body."""
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    body |= {"max_completion_tokens": cap, "input": text}
    request = urllib.request.Request(
        server.openai_url + path,
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {key or server.key}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as reply:
            return reply.status, reply.headers, json.load(reply)
    except urllib.error.HTTPError as fault:
        with fault:
            return fault.code, fault.headers, json.load(fault)


def test_the_right_answer_is_known_and_the_books_count_it(serve):
    vendor = serve(Served(name=M, input_usd=Decimal(1), output_usd=Decimal(10)))
    text = "waves and storms"
    status, _, body = ask(vendor, text)
    assert (status, body["choices"][0]["message"]["content"]) == (200, right_text(text))
    books = vendor.books()[M]
    used = (tokens_of(text), tokens_of(right_text(text)))
    assert (books.input_tokens, books.output_tokens) == used
    assert books.usd == Decimal(used[0] + 10 * used[1]) / 1_000_000
    assert books.usd > 0


def test_the_same_question_twice_is_seen_as_paid_again(serve):
    vendor = serve(Served(name=M))
    for text in ("one", "two", "one", "one"):
        ask(vendor, text)
    assert (vendor.books()[M].calls, vendor.books()[M].paid_again) == (4, 2)


def test_requests_of_any_window_are_limited_and_the_wait_is_true(serve):
    """After exactly that wait the next one is let in, and not before."""
    vendor = serve(Served(name=M, rpm=3))
    assert [ask(vendor, "x")[0] for _ in range(5)] == [200, 200, 200, 429, 429]
    _, headers, body = ask(vendor, "x")
    assert body["error"]["code"] == "rate_limit_exceeded"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    wait_s = int(headers["retry-after-ms"]) / 1000
    vendor.advance(wait_s - 5)
    assert ask(vendor, "x")[0] == 429
    vendor.advance(5)
    assert ask(vendor, "x")[0] == 200
    assert vendor.books()[M].most_in_window == 3


def test_tokens_are_held_by_the_cap_and_settled_by_what_was_used(serve):
    """As vendors do: a cap that is never used up still bounds what is let in at once."""
    vendor = serve(Served(name=M, tpm=200))
    assert ask(vendor, "x", cap=250)[0] == 429
    assert [ask(vendor, "x", cap=150)[0] for _ in range(3)] == [200, 200, 200]
    assert vendor.books()[M].most_tokens_in_window <= 200
    vendor.advance(61)
    assert ask(vendor, "x", cap=190)[0] == 200


def test_a_daily_quota_begins_anew_at_midnight(serve):
    vendor = serve(Served(name=M, daily=2))
    assert [ask(vendor, "x")[0] for _ in range(3)] == [200, 200, 429]
    _, headers, body = ask(vendor, "x")
    assert "per day" in body["error"]["message"]
    vendor.advance(int(headers["retry-after"]))
    assert ask(vendor, "x")[0] == 200
    assert list(vendor.books()[M].by_day.values()) == [2, 1]


def test_limits_change_while_it_runs(serve):
    vendor = serve(Served(name=M))
    vendor.limit(M, rpm=1)
    assert [ask(vendor, "x")[0] for _ in range(2)] == [200, 429]


def test_keys_and_models_are_checked_and_nothing_is_charged(serve):
    vendor = serve(Served(name=M))
    assert ask(vendor, "x", key="wrong")[0] == 401
    assert ask(vendor, "x", model="other")[0] == 404
    assert ask(vendor, "x", path="/embeddings")[0] == 404
    assert vendor.books()[M].calls == 0


def test_a_fault_hits_the_calls_that_it_is_meant_for(serve):
    vendor = serve(Served(name=M))
    vendor.script(Fault(flaw=Flaw.OVERLOADED, match="storm", times=2))
    told = [ask(vendor, text)[0] for text in ("calm", "storm", "calm", "storm", "storm")]
    assert told == [200, 529, 200, 529, 200]
    assert (vendor.books()[M].calls, vendor.books()[M].failed) == (3, 2)


def test_in_a_process_of_its_own_it_is_the_same_vendor(serve):
    vendor = serve(Served(name=M, rpm=1), process=True)
    assert [ask(vendor, "x")[0] for _ in range(2)] == [200, 429]
    assert (vendor.books()[M].calls, vendor.books()[M].limited) == (1, 1)


def test_stopped_it_gives_the_port_back(serve):
    for process in (False, True):
        vendor = serve(Served(name=M), process=process)
        vendor.stop()
        with pytest.raises(urllib.error.URLError):
            ask(vendor, "x")


def test_a_row_of_a_batch_is_answered_as_if_it_were_alone():
    """What a batch call must come to is known row by row."""
    row = {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "mood": {"type": "string"}},
    }
    batch = {"type": "object", "properties": {"songs": {"type": "array", "items": row}}}
    songs = [{"id": 7, "title": "Waves"}, {"id": 9, "title": "Storms"}]
    answer = right_answer(batch, json.dumps({"songs": songs}))
    assert [song["id"] for song in answer["songs"]] == [7, 9]
    for song, said in zip(songs, answer["songs"], strict=True):
        assert said == right_answer(row, json.dumps(song))


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "integer", "minimum": 3, "maximum": 5}, lambda v: 3 <= v <= 5),
        ({"type": "number", "exclusiveMinimum": 0}, lambda v: v > 0),
        ({"type": "integer", "maximum": -5}, lambda v: v <= -5),
        ({"enum": ["a", "b"]}, lambda v: v in {"a", "b"}),
        ({"const": 4}, lambda v: v == 4),
        ({"type": "boolean"}, lambda v: v in {True, False}),
        ({"type": "null"}, lambda v: v is None),
        ({"type": "string", "maxLength": 4}, lambda v: 0 < len(v) <= 4),
        ({"type": "string", "minLength": 90}, lambda v: len(v) >= 90),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 1}, lambda v: len(v) == 1),
        ({"type": ["string", "null"]}, lambda v: isinstance(v, str)),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, lambda v: isinstance(v, str)),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "integer"}}}, lambda v: isinstance(v, int)),
    ],
)
def test_an_answer_fits_its_schema(schema, fits):
    assert fits(right_answer(schema, "waves and storms"))


def test_vectors_have_length_one_and_differ():
    one, other = right_vector("waves", 64), right_vector("storms", 64)
    assert sum(number * number for number in one) == pytest.approx(1)
    assert one != other
    assert one == right_vector("waves", 64)
