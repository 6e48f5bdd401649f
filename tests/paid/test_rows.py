"""P5: several rows in one request; each row's answer is kept, found and paid by itself."""

import hashlib
import os
import signal
import sqlite3
import time

from contextlib import closing
from decimal import Decimal

import pytest

from paid.songs import CODE, SCHEMA
from proctor.testing.vendor import Fault, Flaw, Served, right_answer

BODY = """said = await ctx.llm.rows(
    group, prompt="Say what it feels like.", one=lambda song: song["title"], output=Song{more}
)
return [
    one if isinstance(one, Exception)
    else {{"emotions": one.emotions, "confidence": one.confidence}}
    for one in said
]"""


def says(songs, size=10, *, more="", concurrency=2, before=""):
    """A list function that asks for its rows together."""
    head, _, _ = (
        CODE.format(concurrency=concurrency)
        .replace('version="1"', f'version="1", batch={size}, bisect=False')
        .replace("async def about(song, ctx):", "async def about(group, ctx):")
        .partition("    said =")
    )
    lines = "\n".join(f"    {line}" for line in f"{before}\n{BODY.format(more=more)}".splitlines())
    songs.write(f"from proctor import Instead\n{head}{lines}\n")


def right(title):
    """A song's answer, in whatever company it is asked."""
    answer = right_answer(SCHEMA, title)
    return answer["emotions"], answer["confidence"]


def wrong(songs):
    return {title: got for title, got in songs.rows().items() if got != right(title)}


def together(*titles):
    """How the vendor remembers a request for these songs."""
    listed = ",".join(f'{{"index":{i},"row":"{title}"}}' for i, title in enumerate(titles))
    return hashlib.sha256(f'{{"rows":[{listed}]}}'.encode()).hexdigest()


def alone(title):
    """How it remembers one that was asked alone."""
    return hashlib.sha256(title.encode()).hexdigest()


def script(songs, flaw, match='"song 7"', times=1):
    songs.vendor.script(Fault(flaw=flaw, match=match, times=times))


def kept(songs):
    """Costs of what is in the ledger, by run."""
    with closing(sqlite3.connect(songs.root / ".proctor" / "ledger.db")) as db:
        return [Decimal(c) for (c,) in db.execute("SELECT cost FROM proctor_ledger_answers")]


def test_ten_rows_go_in_one_request_and_each_is_kept(songs):
    """Four calls for forty rows; the costs of the answers add up to what the vendor charged."""
    says(songs)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not wrong(songs)
    assert songs.books.calls == 4
    assert len(kept(songs)) == 40
    assert sum(kept(songs)) == songs.books.usd


def test_rows_that_ask_the_same_are_asked_once(songs):
    """Within one request, and in two that are in flight together."""
    songs.vendor.limit("gpt-5-mini", latency_s=0.3)
    songs.sql("UPDATE songs SET title = 'song ' || (id % 10)")
    says(songs, concurrency=4)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not wrong(songs)
    assert songs.books.calls == 1


def test_another_company_asks_only_for_the_rows_that_are_missing(songs):
    """By the vendor's books: those of the second run's requests that nobody had answered."""
    says(songs)
    first = songs.run()
    assert songs.proctor("rollback", first.json["id"], "--yes").code == 0
    songs.sql("UPDATE songs SET title = 'new ' || id WHERE id IN (3, 5, 20)")
    before = songs.books
    says(songs, 8)
    assert songs.run().code == 0
    assert not wrong(songs)
    asked = set(songs.books.asked) - set(before.asked)
    assert asked == {together("new 3", "new 5"), alone("new 20")}
    assert songs.books.calls == before.calls + 2


def test_an_error_behind_the_answers_costs_nothing_twice(songs):
    """The function raises when its rows were answered: a retry finds them."""
    fail = "import pathlib\nfail = pathlib.Path('fail').exists() and group[0]['id'] == 11"
    says(songs, before=fail)
    text = (songs.root / "backfills.py").read_text()
    songs.write(
        text.replace("    return [", "    if fail:\n        raise ValueError('no')\n    return [")
    )
    (songs.root / "fail").touch()
    first = songs.run("--accept-changes", "code")
    assert songs.books.calls == 4
    (songs.root / "fail").unlink()
    again = songs.proctor("resume", first.json["id"], "--yes", "--json")
    if again.code:
        again = songs.proctor("failures", first.json["id"], "--retry", "--yes", "--json")
    assert again.code == 0, again.said
    assert not wrong(songs)
    assert songs.books.calls == 4


def test_a_validator_with_an_error_of_its_own_costs_no_answer(songs):
    """P5: it says nothing of the reply, which is kept, and read anew once the error is mended."""
    says(songs)
    checked = (
        "class Song(BaseModel):\n"
        "    @field_validator('emotions', mode='before')\n"
        "    def _lowered(cls, value):\n"
        "        return None.lower() if pathlib.Path('fail').exists() else value\n"
    )
    text = (songs.root / "backfills.py").read_text()
    text = text.replace("class Song(BaseModel):\n", checked)
    songs.write(f"import pathlib\nfrom pydantic import field_validator\n{text}")
    (songs.root / "fail").touch()
    first = songs.run()
    assert first.code, first.said
    assert sum(kept(songs)) == songs.books.usd > 0
    (songs.root / "fail").unlink()
    if first.json["state"] == "paused":
        assert songs.proctor("cancel", first.json["id"]).code == 0
    again = songs.run()
    assert again.code == 0, again.said
    assert not wrong(songs)
    assert songs.books.calls == 4


@pytest.mark.parametrize("flaw", [Flaw.REFUSAL, Flaw.WRONG_SHAPE, Flaw.UNCLOSED, Flaw.FILTERED])
def test_a_request_without_a_usable_part_is_taken_apart(songs, flaw):
    """Its rows are asked alone; the others are kept, and nothing is asked a third time."""
    says(songs)
    script(songs, flaw)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not wrong(songs)
    assert songs.books.calls == 4 + 10
    assert sum(kept(songs)) == songs.books.usd
    assert songs.proctor("rollback", ended.json["id"], "--yes").code == 0
    assert songs.run().code == 0
    assert songs.books.calls == 14


def test_of_a_request_that_was_cut_off_the_whole_parts_are_kept(songs):
    """Only the rows behind the cut are asked alone."""
    says(songs)
    script(songs, Flaw.CUT_OFF)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not wrong(songs)
    assert 4 < songs.books.calls < 14
    assert sum(kept(songs)) == songs.books.usd


def test_a_row_that_is_refused_alone_is_refused_alone(songs):
    """One answer or error for each row, in order."""
    says(songs)
    script(songs, Flaw.REFUSAL)
    script(songs, Flaw.REFUSAL, match="song 7", times=1)
    songs.sql("DELETE FROM songs WHERE title IN ('song 17', 'song 27', 'song 37')")
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert ended.json["buckets"] | {"written": 36, "refused": 1} == ended.json["buckets"]
    assert list(wrong(songs)) == ["song 7"]


def test_a_row_without_an_answer_fails_alone_and_is_counted_by_kind(songs):
    """`repair=False`: asked together, asked alone, failed."""
    says(songs, more=", repair=False")
    script(songs, Flaw.WRONG_SHAPE)
    script(songs, Flaw.WRONG_SHAPE, match="song 7", times=1)
    ended = songs.run()
    assert ended.json["buckets"]["failed"] == 1, ended.said
    report = songs.proctor("report", ended.json["id"], "--format", "json").json
    (reason,) = report["failures"]["by_reason"]
    assert reason.startswith("failed: Misfit at backfills.py")


def test_killed_between_it_asks_again_for_calls_in_the_air_at_most(songs):
    """P5: SIGKILL of the whole group while requests are in flight, then resumed."""
    songs.add(f"song {number}" for number in range(40, 200))
    songs.vendor.limit("gpt-5-mini", latency_s=0.1)
    says(songs, concurrency=2)
    with (songs.root / "proctor.toml").open("a") as file:
        file.write("\n[run]\nchunk_rows = 50\n")
    process = songs.spawn("run", "about", "--json")
    while process.poll() is None and songs.books.calls < 8:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = len(kept(songs))
    assert before >= 40, "it was killed before much was kept"
    # Another size: what is missing is found by row, not by request.
    says(songs, 9)
    ended = songs.run("--accept-changes", "code")
    assert ended.code == 0, ended.said
    assert not wrong(songs)
    # The last four calls that it had begun may have been in the air, or just answered.
    killed_after = -(-before // 10) + 4
    groups = -(-(200 - before) // 9) + 4  # each chunk's last one is shorter
    assert songs.books.calls <= killed_after + groups
    assert len(kept(songs)) == 200


def test_a_plan_pays_for_rows_together_and_the_run_finds_them(songs):
    """P7: over the pipe as in a run."""
    says(songs)
    assert songs.proctor("plan", "about").code == 0
    assert songs.books.calls == 0
    assert songs.proctor("plan", "about", "--paid-sample", "40").code == 0
    calls = songs.books.calls
    assert calls == 4
    assert songs.run().code == 0
    assert not wrong(songs)
    assert songs.books.calls <= calls + 4


def test_rows_that_are_too_much_together_are_asked_alone(songs):
    """The vendor's 400 is about the request, not about any of its rows."""
    songs.sql("UPDATE songs SET title = title || ' ' || replace(hex(zeroblob(500)), '00', 'ab ')")
    songs.vendor.limit("gpt-5-mini", most_input=2000)
    says(songs)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not wrong(songs)
    assert songs.books.calls == 40
    assert songs.books.refused == 4


def test_while_its_provider_is_down_rows_go_together_to_the_fallback(songs):
    """Four calls of the other provider, none of a single row."""
    songs.vendor.serve(Served(name="gpt-5-nano"))
    songs.configure(
        others='[providers.other]\nmodel = "openai:gpt-5-nano"\nmax_tokens = 200\n'
        f'base_url = "{songs.vendor.openai_url}"\nkey_env = "LOCAL_KEY"\n'
        "price = { input = 0.25, output = 2.0 }\n",
        fallback='["other"]',
    )
    songs.vendor.script(Fault(flaw=Flaw.OUT_OF_QUOTA, times=-1, model="gpt-5-mini"))
    says(songs)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not wrong(songs)
    assert (songs.books.calls, songs.vendor.books()["gpt-5-nano"].calls) == (0, 4)
