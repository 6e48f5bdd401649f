"""P5: a reply that is no use is repaired for nothing, then for money, and is never final."""

import json
import sqlite3

from contextlib import closing

import pytest

from paid.songs import SCHEMA
from proctor.authoring.repairing import complaint
from proctor.authoring.replies import Misfit
from proctor.testing.vendor import Fault, Flaw, right_answer

MISFIT = Misfit("the model's reply does not fit Song: emotions: Field required", "")
COMPLAINT = "That cannot be used"
SEVEN = "does song 7 "


def script(songs, flaw, match=SEVEN, times=1):
    """Let this go wrong with a song's calls, or with repairs."""
    songs.vendor.script(Fault(flaw=flaw, match=match, times=times))


def repaired(bad):
    """What the vendor answers to a complaint: it knows the last message alone."""
    answer = right_answer(SCHEMA, complaint(bad))
    return answer["emotions"], answer["confidence"]


def failures(songs, run):
    return songs.proctor("failures", run, "--json").out


def kept(songs):
    """Keys and replies in the ledger."""
    with closing(sqlite3.connect(songs.root / ".proctor" / "ledger.db")) as db:
        return db.execute("SELECT key, raw FROM proctor_ledger_answers").fetchall()


def test_reasoning_in_front_of_an_answer_costs_nothing(songs):
    """The free repair: no second call, and no word of the reasoning in the row."""
    script(songs, Flaw.THINKING, match="song", times=-1)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    assert songs.books.calls == 40


@pytest.mark.parametrize(
    ("flaw", "bad"),
    [
        (Flaw.WRONG_SHAPE, MISFIT),
        (
            Flaw.UNCLOSED,
            Misfit("the model's reasoning stands in its reply, behind a tag that is open", ""),
        ),
        (Flaw.ZERO, Misfit("the model's reply is empty", "")),
    ],
)
def test_a_reply_that_is_no_use_is_repaired_by_one_more_call(songs, flaw, bad):
    """The model is told what was wrong; an unclosed tag is never data."""
    script(songs, flaw)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert ended.json["buckets"]["written"] == 40
    assert songs.rows()["song 7"] == repaired(bad)
    assert list(songs.wrong()) == ["song 7"]
    assert songs.books.calls == 41


def test_a_repair_is_kept_and_paid_once(songs):
    """P5: it is a question of its own."""
    script(songs, Flaw.WRONG_SHAPE)
    first = songs.run()
    assert songs.proctor("rollback", first.json["id"], "--yes").code == 0
    assert songs.run().code == 0
    assert songs.rows()["song 7"] == repaired(MISFIT)
    assert songs.books.calls == 41


def test_a_cut_off_reply_is_repaired_too(songs):
    """Perhaps it is shorter this time."""
    script(songs, Flaw.CUT_OFF)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert ended.json["buckets"]["written"] == 40
    assert songs.books.calls == 41
    assert songs.rows()["song 7"] != (None, None)


@pytest.mark.parametrize(
    ("flaw", "kind", "why"),
    [
        (Flaw.WRONG_SHAPE, "Misfit", "does not fit Song: emotions: Field required"),
        (Flaw.CUT_OFF, "CutOff", "cut off after"),
        (Flaw.UNCLOSED, "Leaked", "behind a tag that is open"),
    ],
)
def test_what_cannot_be_repaired_fails_its_row_and_is_counted_by_kind(songs, flaw, kind, why):
    """The reason is the first reply's; the others are right."""
    script(songs, flaw)
    script(songs, Flaw.WRONG_SHAPE, match=COMPLAINT)
    ended = songs.run()
    assert ended.json["buckets"]["failed"] == 1, ended.said
    assert list(songs.wrong()) == ["song 7"]
    assert songs.rows()["song 7"] == (None, None)
    assert why in failures(songs, ended.json["id"])
    assert songs.books.calls == 41
    report = songs.proctor("report", ended.json["id"], "--format", "json").json
    (reason,) = report["failures"]["by_reason"]
    assert reason.startswith(f"failed: {kind} at backfills.py")


def test_the_paid_repair_can_be_left_out(songs):
    """`repair=False`: one call, and the row fails."""
    songs.says(
        "said = await ctx.llm(f\"What does {song['title']} feel like?\", output=Song, "
        'repair=False)\nreturn {"emotions": said.emotions, "confidence": said.confidence}'
    )
    script(songs, Flaw.WRONG_SHAPE)
    ended = songs.run()
    assert ended.json["buckets"]["failed"] == 1, ended.said
    assert songs.books.calls == 40


def test_a_retry_asks_anew_what_got_no_answer_and_keeps_the_old_one(songs):
    """Of the others nothing is paid again; later runs find the good answer for nothing."""
    script(songs, Flaw.WRONG_SHAPE)
    script(songs, Flaw.WRONG_SHAPE, match=COMPLAINT)
    first = songs.run()
    assert first.json["buckets"]["failed"] == 1, first.said
    before = kept(songs)
    again = songs.proctor("failures", first.json["id"], "--retry", "--yes", "--json")
    assert again.code == 0, again.said
    assert not songs.wrong()
    assert songs.books.calls == 42
    after = kept(songs)
    assert set(before) < set(after)
    assert len(after) == len(before) + 1
    verdict = songs.proctor("verify", again.json["id"], "--json").json["verdict"]
    assert verdict == "pass"
    for run in (again, first):
        assert songs.proctor("rollback", run.json["id"], "--yes").code == 0
    assert songs.run().code == 0
    assert not songs.wrong()
    assert songs.books.calls == 42


def test_a_run_over_everything_does_not_pay_for_a_bad_reply_again(songs):
    """Else a schedule would pay for the same row for ever: only --retry and --keys ask anew."""
    script(songs, Flaw.WRONG_SHAPE)
    script(songs, Flaw.WRONG_SHAPE, match=COMPLAINT)
    assert songs.run().json["buckets"]["failed"] == 1
    assert songs.run().json["buckets"]["failed"] == 1
    assert songs.books.calls == 41


def test_one_retry_asks_once_however_bad_the_reply(songs):
    """Within one run a bad reply is final, also where two rows ask the same."""
    songs.sql("UPDATE songs SET title = 'song 7' WHERE id = 1")
    script(songs, Flaw.WRONG_SHAPE, times=-1)
    script(songs, Flaw.WRONG_SHAPE, match=COMPLAINT, times=-1)
    first = songs.run()
    assert first.json["buckets"]["failed"] == 2, first.said
    calls = songs.books.calls
    assert calls == 40  # 39 questions and a repair
    for retries in (1, 2):
        again = songs.proctor("failures", first.json["id"], "--retry", "--yes", "--json")
        assert "does not fit Song" in again.said
        assert songs.books.calls == calls + retries


def test_a_repair_waits_for_the_same_budget(songs):
    """P6: it is reserved as every call is, and money that is gone pauses the run."""
    songs.says(
        "said = await ctx.llm(f\"What does {song['title']} feel like?\", output=Song)\n"
        'return {"emotions": said.emotions, "confidence": said.confidence}',
        concurrency=1,
    )
    script(songs, Flaw.WRONG_SHAPE, match="song", times=-1)
    songs.configure(budget_usd='"0.0015"')
    ended = songs.run()
    assert ended.code == 3, ended.said
    spent = songs.books.usd
    assert 0 < spent <= 0.0015
    told = json.dumps(ended.json)
    assert "budget" in told
