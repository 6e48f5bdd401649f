"""What goes wrong at a vendor: what is tried again, what fails a row, what is refused."""

import pytest

from proctor.testing.vendor import Fault, Flaw

BAD = "song 7 "
"""In the question of one song alone: `song 7 feel` and not `song 17 feel`."""


def script(songs, flaw, **words):
    """Let this go wrong with one song's calls; every call of it unless said otherwise."""
    songs.vendor.script(Fault(flaw=flaw, **{"match": f"does {BAD}", "times": -1, **words}))


def row(songs, title="song 7"):
    return songs.rows()[title]


def failures(songs, run):
    """What `proctor failures` lists."""
    return songs.proctor("failures", run, "--json").out


@pytest.mark.parametrize(
    "flaw",
    [
        Flaw.SERVER_ERROR,
        Flaw.UNAVAILABLE,
        Flaw.OVERLOADED,
        Flaw.RESET_EARLY,
        Flaw.RESET_LATE,
        Flaw.MALFORMED,
    ],
)
def test_what_may_pass_is_tried_again(songs, flaw):
    """5xx and broken connections: the row is right in the end."""
    script(songs, flaw, times=2)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    paid = 2 if flaw.paid else 0
    assert songs.books.paid_again == paid


def test_a_reply_that_does_not_come_is_asked_for_again(songs):
    """timeout_s bounds each call."""
    songs.configure(timeout_s=0.5)
    script(songs, Flaw.SILENT, times=1, seconds=30.0)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()


def test_a_vendor_stricter_than_we_were_told_is_obeyed(songs):
    """429 costs no row, and few calls come to it."""
    songs.vendor.limit("gpt-5-mini", rpm=20, window_s=2.0)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    assert songs.books.calls == 40
    assert songs.books.most_in_window <= 20
    assert songs.books.limited <= 40


def test_a_question_that_always_breaks_fails_its_row_and_says_what_the_vendor_said(songs):
    """While others are answered the provider is not down: the question is at fault."""
    script(songs, Flaw.SERVER_ERROR)
    songs.add(f"later {number}" for number in range(400))
    songs.configure(concurrency=1, rpm=1500)
    ended = songs.run()
    assert ended.json["buckets"]["failed"] == 1, ended.said
    assert "5 tries broke" in failures(songs, ended.json["id"])
    assert "The server had an error" in failures(songs, ended.json["id"])


def test_a_question_that_is_too_long_fails_its_row_alone(songs):
    """The vendor's 400 is about this question, and the run goes on."""
    long = "word " * 9000
    songs.sql("UPDATE songs SET title = ? WHERE id = 8", long)
    ended = songs.run()
    assert ended.json["buckets"] | {"written": 39, "failed": 1} == ended.json["buckets"], ended.said
    assert "maximum context length" in failures(songs, ended.json["id"])


@pytest.mark.parametrize(
    ("flaw", "why"), [(Flaw.REFUSAL, "the model refused"), (Flaw.FILTERED, "content filter")]
)
def test_a_refusal_is_counted_as_refused(songs, flaw, why):
    """No failure: exit 0, and listed."""
    script(songs, flaw)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert ended.json["buckets"]["refused"] == 1
    assert list(songs.wrong()) == ["song 7"]
    assert why in failures(songs, ended.json["id"])
    assert songs.books.calls == 40


def test_a_function_may_fill_in_something_of_its_own_for_a_refusal(songs):
    """`except Declined`."""
    script(songs, Flaw.REFUSAL)
    songs.says(CATCHING, more="from proctor import Declined")
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert ended.json["buckets"]["written"] == 40
    assert row(songs) == ("unknown", "low")


def test_a_page_in_place_of_a_reply_stops_the_run_and_says_so(songs):
    """A portal answers everything with HTML: one error, and the calls count as paid."""
    songs.vendor.script(Fault(flaw=Flaw.PORTAL, times=-1))
    ended = songs.run()
    assert ended.code == 2, ended.said
    assert "not in its vendor's own format" in ended.said
    assert set(songs.rows().values()) == {(None, None)}


def test_a_provider_that_goes_down_ends_the_run_and_a_resume_goes_on(songs):
    """Not row after row: nothing is failed, and what was answered is kept."""
    songs.configure(concurrency=4)
    songs.vendor.script(Fault(flaw=Flaw.UNAVAILABLE, match="song 3", times=-1))
    songs.sql("DELETE FROM songs WHERE title NOT LIKE 'song 3%'")
    ended = songs.run()
    assert ended.code == 2, ended.said
    assert "cannot answer now" in ended.said
    assert "503" in ended.said
    assert songs.proctor("status", "--json").json["runs"][0]["buckets"]["failed"] == 0


def test_money_that_is_gone_at_the_vendor_pauses_the_run(songs):
    """insufficient_quota: no retry helps, and a person must act."""
    script(songs, Flaw.OUT_OF_QUOTA, times=1)
    ended = songs.run()
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert songs.proctor("resume", ended.json["id"]).code == 0
    assert not songs.wrong()
    assert songs.books.paid_again == 0


CATCHING = """try:
    said = await ctx.llm(f"What does {song['title']} feel like?", output=Song)
except Declined:
    return {"emotions": "unknown", "confidence": "low"}
return {"emotions": said.emotions, "confidence": said.confidence}"""
