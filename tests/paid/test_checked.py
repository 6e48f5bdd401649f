"""Ready checks in real runs: what a model gets wrong is caught, counted by kind, not written."""

import json

import pytest

from proctor.testing.vendor import Fault, Flaw, Served

EMBEDDER = "text-embedding-3-small"
CODE = '''
import os
from proctor import ErrorBudget, backfill, checks, table

@backfill(
    table("songs", key="id", columns=("id", "title")),
    fills=("emotions", "confidence"), version="1", concurrency=16, {more}
    checks=[{checks}],
)
async def about(song, ctx):
    """What a song is about, and where that lies."""
    said = await ctx.llm(f"What does {{song['title']}} feel like?", provider="writer")
    (vector,) = await ctx.embed([song["title"]], provider="embedder")
    loud = 0.0 if song["title"].startswith("silence") else 1.0
    return {{"emotions": said, "confidence": [n * loud for n in vector]}}
'''
ALL = """
        checks.empty("emotions"), checks.leaked_tags("emotions"), checks.refusal("emotions"),
        checks.cut_off("emotions"), checks.length("emotions", most=200),
        checks.vector("confidence", dimension=8, norm=(0.99, 1.01)),
"""
FREE = "budget=ErrorBudget(share=1),"
LEAK = "check leaked_tags: emotions holds [confidence: …]"
TAGGED = "It is about the sea. [confidence: high]"
"""What no repair takes for reasoning: it stands behind the answer, as a part of it."""
TIRED = "I'm sorry, but I can't help with that request."


@pytest.fixture
def checked(songs):
    """The songs, asked for in words and as vectors."""
    songs.vendor.serve(Served(name=EMBEDDER, kind="embed", dimensions=8))
    told = {
        "model": f'"openai:{EMBEDDER}"', "base_url": f'"{songs.vendor.openai_url}"',
        "key_env": '"LOCAL_KEY"', "price": "{ input = 0.02 }",
    }  # fmt: skip
    lines = "\n".join(f"{name} = {it}" for name, it in told.items())
    songs.configure(others=f"[providers.embedder]\n{lines}\n")
    songs.define = lambda checks=ALL, more=FREE: songs.write(CODE.format(checks=checks, more=more))
    songs.define()
    return songs


def plant(songs, flaw, title, **words):
    """Let the question or the text of one song go wrong."""
    songs.vendor.script(Fault(flaw=flaw, match=title, times=-1, **words))


def reasons(songs, run):
    """Reason to how many rows failed by it."""
    told = json.loads(songs.proctor("failures", run, "--json").out)
    return {group["what"]: group["count"] for group in told["groups"]}


def unfilled(songs):
    return {title for title, row in songs.rows().items() if row == (None, None)}


def test_each_planted_fault_is_caught_counted_by_kind_and_not_written(checked):
    """A leaked tag, a refusal, a cut-off, an over-long text, an empty one, a zero vector.

    The zero vector of a provider is no answer, before any check sees it, and for an empty text it
    is asked once more; a vector that the function makes is the check's.
    """
    plant(checked, Flaw.SAYS, "does song 1 ", says=TAGGED)
    plant(checked, Flaw.SAYS, "does song 2 ", says="It is about the sea. <tool_call>")
    plant(checked, Flaw.SAYS, "does song 3 ", says=TIRED)
    plant(checked, Flaw.SAYS, "does song 4 ", says="It is about a man who")
    plant(checked, Flaw.SAYS, "does song 5 ", says=f"It is {'very ' * 50}sad.")
    plant(checked, Flaw.SAYS, "does song 6 ", says=" \n")
    checked.sql("UPDATE songs SET title = title || '.' WHERE id IN (8, 9)")
    checked.sql("UPDATE songs SET title = 'silence' WHERE id = 10")
    plant(checked, Flaw.ZERO, "song 7.", model=EMBEDDER)
    plant(checked, Flaw.WRONG_SHAPE, "song 8.", model=EMBEDDER)
    ended = checked.run()
    assert ended.json["buckets"]["failed"] == 8, ended.said
    assert ended.json["buckets"]["written"] == 32
    found = reasons(checked, ended.json["id"])
    (zero,) = [what for what in found if what.startswith("Unanswered at backfills.py")]
    assert found == {
        zero: 1,
        LEAK: 1,
        "check leaked_tags: emotions holds <tool_call>": 1,
        "check refusal: emotions is a refusal": 1,
        "check cut_off: emotions ends in the middle of a sentence": 1,
        "check length: emotions is longer than 200 characters": 1,
        "check vector: confidence is a zero vector": 1,
        "check vector: confidence has 9 dimensions, not 8": 1,
    }
    assert unfilled(checked) == {
        *(f"song {n}" for n in range(1, 6)),
        "song 7.",
        "song 8.",
        "silence",
    }


def test_a_row_that_a_check_rejected_is_not_paid_for_again(checked):
    """P5: its answer is kept; the same question gives the same rejection, for nothing."""
    plant(checked, Flaw.SAYS, "does song 3 ", says=TIRED)
    first = checked.run()
    assert first.json["buckets"]["failed"] == 1
    calls = checked.books.calls
    again = checked.proctor("failures", first.json["id"], "--retry", "--json")
    assert "song 3" in unfilled(checked), again.said
    assert checked.books.calls == calls


def test_a_leak_in_every_answer_stops_the_run_before_anything_is_written(checked):
    """The error budget: the reason names the check and a key to look at."""
    checked.define(more="")
    checked.vendor.script(Fault(flaw=Flaw.SAYS, match="does song", says=TAGGED, times=-1))
    ended = checked.run()
    assert (ended.code, ended.json["state"]) == (1, "paused")
    assert LEAK in ended.said
    assert len(unfilled(checked)) == 40


def test_a_spike_of_leaks_stops_a_run_that_began_well(checked):
    """More than the budget bears: the rest of the rows is not even asked for."""
    checked.add(f"verse {number}" for number in range(300))
    with (checked.root / "proctor.toml").open("a") as file:
        file.write("\n[run]\nchunk_rows = 20\n")
    checked.define(more="budget=ErrorBudget(share=0.05, after=40),")
    checked.vendor.script(Fault(flaw=Flaw.SAYS, match="does verse", says=TAGGED, times=-1))
    ended = checked.run()
    assert (ended.code, ended.json["state"]) == (1, "paused")
    assert ended.json["buckets"]["written"] == 40
    assert checked.books.calls < 340
    leaks = checked.sql("SELECT count(*) FROM songs WHERE emotions LIKE '%[confidence%'")
    assert leaks == [(0,)]


def test_a_warning_is_written_and_counted_in_the_report(checked):
    checked.define('checks.length("emotions", most=20, level="warning"), ')
    plant(checked, Flaw.SAYS, "does song 3 ", says="Sad.")
    ended = checked.run()
    assert ended.json["buckets"]["written"] == 40, ended.said
    told = checked.proctor("report", ended.json["id"], "--json").json["warnings"]
    assert told == [
        "39 rows written with a warning of check length: emotions is longer than 20 characters"
    ]


def test_what_no_check_could_tell_is_counted_and_never_green(checked):
    """P8: a short text is in no language that anybody could know."""
    checked.define('checks.language("emotions", "en"), ')
    checked.vendor.script(Fault(flaw=Flaw.SAYS, match="does song", says="Sad.", times=-1))
    shown = checked.proctor("dry-run", "about", "--paid-sample", "5", "--json").json["checks"]
    assert [(c["verdict"], c["samples"], c["unsure"]) for c in shown] == [("inconclusive", 0, 5)]
    ended = checked.run()
    assert ended.json["buckets"]["written"] == 40, ended.said
    (told,) = checked.proctor("report", ended.json["id"], "--json").json["warnings"]
    assert told.startswith("40 rows written without a verdict of check language: emotions")


def test_plan_and_dry_run_show_the_verdicts_beside_the_previews(checked):
    plant(checked, Flaw.SAYS, "does song", says=TAGGED)
    more = ' checks.near_duplicates("emotions"), checks.repeats("confidence", min_samples=3),'
    checked.define(ALL + more)
    plan = checked.proctor("plan", "about", "--paid-sample", "6", "--json").json
    found = {(c["kind"], c["field"]): c for c in plan["checks"]}
    assert found["leaked_tags", "emotions"]["verdict"] == "fail"
    assert (
        "6 of 6 rows failed (6: holds [confidence: …])"
        in found["leaked_tags", "emotions"]["reason"]
    )
    assert found["vector", "confidence"]["verdict"] == "pass"
    assert found["repeats", "confidence"]["verdict"] == "pass"
    assert found["near_duplicates", "emotions"]["verdict"] == "inconclusive"
    assert {row["bucket"] for row in plan["sample"]} == {"failed"}
    dry = checked.proctor("dry-run", "about", "--paid-sample", "6")
    assert "6 of 6 rows failed" in dry.said
    assert f"{LEAK}" in dry.said
    assert len(unfilled(checked)) == 40


def test_a_reason_tells_nothing_of_a_sensitive_field(checked):
    """P12: it is the same for all rows, and quotes none."""
    checked.define(more=f'{FREE} sensitive=("emotions",),')
    plant(checked, Flaw.SAYS, "does song 3 ", says="Zanzibar is the name. [confidence: high]")
    plant(checked, Flaw.SAYS, "does song 4 ", says="It is about Zanzibar and")
    ended = checked.run()
    run = ended.json["id"]
    assert sum(reasons(checked, run).values()) == 2
    for words in (("report", run), ("failures", run), ("dry-run", "about"), ("plan", "about")):
        checked.proctor(*words)
    assert not any("Zanzibar" in said for said in checked.heard)


def test_what_was_approved_covers_the_checks(checked, monkeypatch):
    """P9: also where a parameter comes from elsewhere than the code."""
    checked.define('checks.length("emotions", most=int(os.environ.get("PYTHONMOST", "500"))),')
    made = checked.proctor("plan", "about", "--out", "plan.json")
    assert made.code == 0, made.said
    monkeypatch.setenv("PYTHONMOST", "499")
    (checked.root / "backfills.py").write_text((checked.root / "backfills.py").read_text() + "\n")
    ended = checked.run("--plan", "plan.json")
    assert ended.code == 3, ended.said
    assert "checks=" in ended.said
    assert len(unfilled(checked)) == 40


def test_verify_says_which_rows_a_check_would_now_reject(checked):
    ended = checked.run()
    assert ended.code == 0, ended.said
    checked.define(ALL + ' checks.length("emotions", most=5),')
    seen = checked.proctor("verify", ended.json["id"], "--json")
    assert seen.json["verdict"] == "fail"
    assert {row["reason"] for row in seen.json["different"]} == {
        "now rejected by check length: emotions is longer than 5 characters"
    }
    assert len(seen.json["different"]) == 40
