"""Several providers are asked at once; each is counted, and none spoils another's answer."""

import subprocess
import sys

from decimal import Decimal

import pytest

from paid.songs import CODE, right
from proctor.testing.vendor import Fault, Flaw, Served

OTHER = "gpt-5-nano"
SEVEN = "does song 7 "
EACH = """said = await ctx.llm.each(
    f"What does {song['title']} feel like?", providers=("writer", "other"), output=Song%s
)
told = {name: one for name, one in said.items() if not isinstance(one, Exception)}
if not told:
    return Refuse("nobody answers")
first = next(iter(told.values()))
return {"emotions": first.emotions, "confidence": ",".join(told)}"""


@pytest.fixture
def pair(songs):
    """Two providers of the vendor, and a function that asks both."""
    songs.vendor.serve(Served(name=OTHER, input_usd=Decimal("0.25"), output_usd=Decimal(2)))
    songs.configure(
        others=f'[providers.other]\nmodel = "openai:{OTHER}"\nmax_tokens = 200\n'
        f'base_url = "{songs.vendor.openai_url}"\nkey_env = "LOCAL_KEY"\n'
        "price = { input = 0.25, output = 2.0 }\n",
        fallback='["other"]',
    )
    songs.says(EACH % "", more="from proctor import Refuse")
    return songs


def script(songs, flaw, model, match=SEVEN, times=1):
    songs.vendor.script(Fault(flaw=flaw, match=match, times=times, model=model))


def voices(songs):
    """Title to the names of those who answered."""
    return {title: names for title, (_, names) in songs.rows().items()}


def calls(songs):
    books = songs.vendor.books()
    return books["gpt-5-mini"].calls, books[OTHER].calls


def test_every_provider_is_asked_once_for_each_row(pair):
    """By the vendor's books; a second run asks nobody."""
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert set(voices(pair).values()) == {"writer,other"}
    assert {t: e for t, (e, _) in pair.rows().items()} == {t: right(t)[0] for t in pair.rows()}
    assert calls(pair) == (40, 40)
    assert pair.proctor("rollback", ended.json["id"], "--yes").code == 0
    assert pair.run().code == 0
    assert calls(pair) == (40, 40)


@pytest.mark.parametrize("flaw", [Flaw.REFUSAL, Flaw.FILTERED])
def test_one_that_refuses_leaves_the_others_answer(pair, flaw):
    """It is an answer, not a failure, and no fallback speaks for it."""
    script(pair, flaw, "gpt-5-mini")
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert voices(pair)["song 7"] == "other"
    report = pair.proctor("report", ended.json["id"], "--format", "json").json
    assert report["questions"] == {"declined by writer, one of several asked": 1}
    assert ended.json["buckets"]["written"] == 40
    assert calls(pair) == (40, 40)


def test_one_that_refuses_in_prose_is_not_asked_to_mend_it(pair):
    """It has answered: no call is paid to hear it again."""
    said = "I cannot name 20 verifiable books of that month."
    fault = Fault(flaw=Flaw.SAYS, match=SEVEN, model="gpt-5-mini", says=said)
    pair.vendor.script(fault)
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert voices(pair)["song 7"] == "other"
    report = pair.proctor("report", ended.json["id"], "--format", "json").json
    assert report["questions"] == {"declined by writer, one of several asked": 1}
    assert calls(pair) == (40, 40)


def test_one_whose_reply_is_no_use_is_repaired_and_then_left_out(pair):
    """The repair is asked of itself."""
    script(pair, Flaw.WRONG_SHAPE, OTHER)
    script(pair, Flaw.WRONG_SHAPE, OTHER, match="That cannot be used")
    assert pair.run().code == 0
    assert voices(pair)["song 7"] == "writer"
    assert calls(pair) == (40, 41)


def test_one_that_is_down_stops_the_run_unless_the_author_goes_on(pair):
    """What the other said is kept; the resumed run pays for none of it again."""
    script(pair, Flaw.OUT_OF_QUOTA, OTHER, match="", times=1)
    ended = pair.run()
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert pair.proctor("resume", ended.json["id"]).code == 0
    assert set(voices(pair).values()) == {"writer,other"}
    assert calls(pair) == (40, 40)


def test_an_author_may_go_on_without_one_that_is_down(pair):
    """`on_outage="go_on"`: rows are written by those that answer."""
    pair.says(EACH % ', on_outage="go_on"', more="from proctor import Refuse")
    script(pair, Flaw.UNAVAILABLE, OTHER, match="", times=-1)
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert set(voices(pair).values()) == {"writer"}
    assert calls(pair) == (40, 0)


def test_gathering_single_calls_works_as_well(pair):
    """`asyncio.gather(ctx.llm(…, provider=…), …)`."""
    head, _, _ = CODE.format(concurrency=8).partition("    said =")
    asked = 'ctx.llm(text, output=Song, provider="{}")'
    pair.write(
        f"import asyncio\n{head}    text = f\"What does {{song['title']}} feel like?\"\n"
        f"    a, b = await asyncio.gather({asked.format('writer')}, {asked.format('other')})\n"
        '    return {"emotions": a.emotions, "confidence": b.confidence}\n'
    )
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert not pair.wrong()
    assert calls(pair) == (40, 40)


@pytest.mark.parametrize("names", ['"writer"', "()", '("writer", "writer")'])
def test_names_that_cannot_be_asked_are_an_error_of_the_author(pair, names):
    """Before anybody is."""
    pair.says(EACH.replace('("writer", "other")', names) % "", more="from proctor import Refuse")
    ended = pair.run()
    assert ended.code == 2, ended.said
    assert "names each provider once" in ended.said
    assert calls(pair) == (0, 0)


def test_a_vendors_library_is_loaded_beside_the_run(pair):
    """It takes seconds: the run's heart beats meanwhile, and calls in the air keep their time."""
    code = (
        "import sys, threading\n"
        "from proctor.ui.cli import main\n"
        "seen = set()\n"
        "def hear(event, told):\n"
        "    if event == 'import' and told[0] == 'openai':\n"
        "        seen.add(threading.current_thread() is threading.main_thread())\n"
        "sys.addaudithook(hear)\n"
        "assert main(['run', 'about']) == 0\n"
        "assert seen == {False}, seen\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=300
    )
    assert told.returncode == 0, told.stderr
