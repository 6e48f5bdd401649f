"""P5: replies that are kept are read anew after a change, and no call is made for them."""

import json

import pytest

from proctor.testing.vendor import Fault, Flaw

ASKS = "How would you say that {song['title']} feels?"
OTHER_PROMPT = (
    f'said = await ctx.llm(f"{ASKS}", output=Song)\n'
    'return {"emotions": said.emotions.upper(), "confidence": said.confidence}'
)
TOGETHER = '''
from typing import Literal
from pydantic import BaseModel
from proctor import backfill, table

class Song(BaseModel):
    emotions: str
    confidence: Literal["low", "medium", "high"]

@backfill(
    table("songs", key="id", columns=("id", "title")),
    fills=("emotions", "confidence"), version="1", batch={batch}, concurrency=4,
)
async def about(songs, ctx):
    """What several songs are about."""
    said = await ctx.llm.rows(
        {rows}, prompt="{prompt}", one=lambda song: song["title"], output=Song
    )
    return [one if isinstance(one, Exception) else one.model_dump() for one in said]
'''


def filled(songs):
    """A run over everything, taken back: the replies are kept, and every row is eligible."""
    first = songs.run()
    assert first.code == 0, first.said
    rows = songs.rows()
    assert songs.proctor("rollback", first.json["id"], "--yes").code == 0
    return rows


def reasons(songs, run):
    return songs.proctor("failures", run, "--json").out


def reused(songs, run):
    """How many replies a run has read anew, by its report."""
    report = songs.proctor("report", run, "--format", "json").json
    return report["questions"].get("read anew from replies that were kept of writer", 0)


def test_another_prompt_and_parser_read_the_replies_that_rows_got(songs):
    """Nothing is asked; how many were used stands in the report, and the run says what it was."""
    before = filled(songs)
    songs.says(OTHER_PROMPT)
    ended = songs.run("--reparse")
    assert ended.code == 0, ended.said
    assert songs.rows() == {t: (e.upper(), c) for t, (e, c) in before.items()}
    assert songs.books.calls == 40
    assert reused(songs, ended.json["id"]) == 40
    told = songs.sql_of(
        "ledger",
        "SELECT data FROM proctor_ledger_events WHERE name = 'run.opened' ORDER BY number DESC",
    )
    assert json.loads(told[0][0])["reparse"] == "only"
    (paid,) = songs.proctor("status", ended.json["id"], "--json").json["runs"][0]["paid"][
        "providers"
    ]
    assert paid["calls"] == 0


def strict(songs):
    """The contract takes no "low" any more."""
    code = songs.root / "backfills.py"
    code.write_text(code.read_text().replace('"low", ', ""))


def test_a_reply_that_does_not_fit_any_more_fails_its_row(songs):
    """It is not asked anew, unless --or-ask says so: then only these are paid."""
    before = filled(songs)
    low = {title for title, (_, confidence) in before.items() if confidence == "low"}
    assert 0 < len(low) < 40
    strict(songs)
    ended = songs.run("--reparse")
    assert songs.books.calls == 40
    assert set(songs.answered()) == set(before) - low
    said = reasons(songs, ended.json["id"])
    assert "a reply that was kept is no use" in said
    assert "a run without --reparse asks anew" in said
    assert songs.run("--reparse", "--or-ask").code == 0
    assert len(songs.answered()) == 40
    assert songs.books.calls == 40 + len(low)


def test_a_run_that_goes_on_reads_replies_as_it_was_begun(songs):
    """A word that is left out when it is resumed must not cost anything; --restart begins anew."""
    before = filled(songs)
    songs.says(OTHER_PROMPT)
    code = songs.root / "backfills.py"
    code.write_text(
        "from proctor import ErrorBudget\n"
        + code.read_text()
        .replace('version="1"', 'version="1", budget=ErrorBudget(count=3, after=0)')
        .replace('"low", ', "")
    )
    paused = songs.run("--reparse")
    assert paused.code != 0, paused.said
    assert songs.proctor("status", paused.json["id"], "--json").json["runs"][0]["state"] == "paused"
    strict_no_more = code.read_text().replace('Literal["medium"', 'Literal["low", "medium"')
    code.write_text(strict_no_more)
    ended = songs.run("--accept-changes", "code")
    assert ended.code == 0, ended.said
    assert ended.json["id"] == paused.json["id"]
    assert songs.rows() == {t: (e.upper(), c) for t, (e, c) in before.items()}
    assert songs.books.calls == 40


def test_rows_that_changed_or_never_asked_get_nobody_elses_reply(songs):
    """The reply to another title is no reply to this one."""
    filled(songs)
    songs.sql("UPDATE songs SET title = 'song 7, live' WHERE title = 'song 7'")
    songs.add(["song 40"])
    songs.says(OTHER_PROMPT)
    ended = songs.run("--reparse")
    assert ended.json["buckets"]["failed"] == 2
    said = reasons(songs, ended.json["id"])
    assert "the row has changed since writer replied" in said
    assert "no earlier run has a reply of writer for this row" in said
    assert {title for title, got in songs.rows().items() if got == (None, None)} == {
        "song 7, live",
        "song 40",
    }
    assert songs.books.calls == 40


def test_a_column_that_the_question_is_not_made_of_may_change(songs):
    """Such as one that a trigger touches whenever we write."""
    songs.sql("ALTER TABLE songs ADD COLUMN touched DEFAULT 0")
    songs.sql(
        "CREATE TRIGGER touched AFTER UPDATE OF emotions ON songs BEGIN "
        "UPDATE songs SET touched = touched + 1 WHERE id = NEW.id; END"
    )
    code = songs.root / "backfills.py"
    code.write_text(code.read_text().replace(', columns=("id", "title")', ""))
    filled(songs)
    code.write_text(code.read_text().replace("What does", "Say what does"))
    assert songs.run("--reparse").code == 0
    assert len(songs.answered()) == 40
    assert songs.books.calls == 40


def test_a_question_that_is_new_takes_no_other_questions_reply(songs):
    """Each contract counts its own questions, wherever the new one stands."""
    before = filled(songs)
    songs.says(
        "class Tongue(BaseModel):\n    emotions: str\n    confidence: str\n"
        "try:\n"
        "    await ctx.llm(f\"In which language is {song['title']}?\", output=Tongue)\n"
        "except Exception as error:\n    assert 'no earlier run' in str(error)\n"
        "else:\n    raise AssertionError('it was answered')\n" + OTHER_PROMPT
    )
    ended = songs.run("--reparse")
    assert ended.code == 0, ended.said
    assert songs.rows() == {t: (e.upper(), c) for t, (e, c) in before.items()}


@pytest.mark.parametrize("rows", ["songs", "songs[::-1]"])
def test_rows_of_one_request_are_known_by_themselves(songs, rows):
    """In whatever company and order they are asked; the list gives each its own."""
    told = (
        TOGETHER.replace("return [", "said = said[::-1]\n    return [") if "-" in rows else TOGETHER
    )
    songs.write(told.format(batch=10, rows=rows, prompt="How does each feel?"))
    before = filled(songs)
    calls = songs.books.calls
    songs.write(told.format(batch=7, rows=rows, prompt="How would each feel?"))
    ended = songs.run("--reparse")
    assert ended.code == 0, ended.said
    assert songs.rows() == before
    assert songs.books.calls == calls
    assert reused(songs, ended.json["id"]) == 40


def test_rows_that_are_not_the_given_ones_are_told_so(songs):
    """A copy has no key: whose reply it wants nobody can say."""
    songs.write(TOGETHER.format(batch=10, rows="songs", prompt="How?"))
    filled(songs)
    calls = songs.books.calls
    songs.write(TOGETHER.format(batch=10, rows="[dict(s) for s in songs]", prompt="How so?"))
    ended = songs.run("--reparse")
    assert "give ctx.llm.rows the rows themselves" in ended.said
    assert songs.books.calls == calls


def test_a_reply_of_a_fallback_and_of_each_of_several_is_found_again(songs):
    """Under the question that was asked first, and of whoever answered it."""
    toml = songs.root / "proctor.toml"
    songs.configure(fallback='["other"]')
    _, _, writer = toml.read_text().partition("[providers.writer]")
    other = writer.replace('fallback = ["other"]', "")
    toml.write_text(f"{toml.read_text()}\n[providers.other]\n{other}")
    songs.says(
        "said = await ctx.llm(f\"What does {song['title']} feel like?\", output=Song, "
        'provider="writer", repair=False)\n'
        "two = await ctx.llm.each(f\"And {song['title']}?\", output=Song, "
        'providers=("writer", "other"))\n'
        'return {"emotions": said.emotions + two["other"].emotions, "confidence": "low"}'
    )
    songs.vendor.script(Fault(flaw=Flaw.WRONG_SHAPE, match="does song 7 ", times=1))
    before, calls = filled(songs), songs.books.calls
    code = songs.root / "backfills.py"
    code.write_text(code.read_text().replace("What does", "Say what does").replace("And", "Or"))
    ended = songs.run("--reparse")
    assert ended.code == 0, ended.said
    assert songs.rows() == before
    assert songs.books.calls == calls


def test_replies_that_are_pruned_are_not_there_to_be_read(songs):
    """Retention holds for what ties them to rows, too."""
    filled(songs)
    songs.sql_of("ledger", "DELETE FROM proctor_ledger_answers")
    songs.says(OTHER_PROMPT)
    ended = songs.run("--reparse")
    assert "was pruned" in ended.said


def test_what_asks_nobody_has_nothing_to_read_anew(songs):
    """Wrong use, and nothing is begun."""
    songs.says('return {"emotions": "none", "confidence": "low"}')
    code = songs.root / "backfills.py"
    code.write_text(code.read_text().replace("async def about(song, ctx)", "def about(song)"))
    ended = songs.run("--reparse")
    assert ended.code == 2
    assert "no replies to read anew" in ended.said
    assert songs.run("--or-ask").code == 2
