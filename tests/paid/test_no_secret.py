"""P12: a key is nowhere but in the environment and on the wire, whatever goes wrong."""

import pytest

from paid.conftest import KEY
from proctor.testing.vendor import Fault, Flaw

ECHO = """import os
print(os.environ["LOCAL_KEY"])
said = await ctx.llm(f"What does {song['title']} feel like? " + os.environ["LOCAL_KEY"],
    output=Song)
raise ValueError("it broke with " + os.environ["LOCAL_KEY"])"""


def leaks(songs):
    """Where the key stands: files of the project beside its table, and whatever was said."""
    found = [
        path
        for path in songs.root.rglob("*")
        if path.is_file() and KEY.encode() in path.read_bytes()
    ]
    return found + [text for text in songs.heard if KEY in text]


@pytest.mark.parametrize("flaw", sorted(set(Flaw) - {Flaw.SILENT, Flaw.HUGE, Flaw.HUGE_PACKED}))
def test_no_key_is_left_after_any_fault(songs, flaw):
    """In no file of .proctor, no row of the ledger, no report, no line that was printed."""
    songs.sql("DELETE FROM songs WHERE id > 3")
    to = f"{songs.vendor.url}/elsewhere"
    songs.vendor.script(Fault(flaw=flaw, times=2, seconds=0.1, to=to))
    ended = songs.run("--debug", "--log", "json")
    for words in (("failures",), ("report",), ("status",)):
        songs.proctor(*words, *([] if words == ("status",) else [run_of(songs)]))
    assert ended.code in (0, 1, 2, 3), ended.said
    assert leaks(songs) == []


def test_no_key_is_left_after_a_wrong_one_was_refused(songs, monkeypatch):
    """The vendor's words may hold it."""
    monkeypatch.setenv("LOCAL_KEY", KEY[:-1])
    ended = songs.run("--debug")
    assert ended.code == 2
    assert all(KEY[:-1] not in text for text in songs.heard)


def test_no_key_is_left_where_the_function_itself_shows_it(songs):
    """An exception of the author's is redacted before it is kept."""
    songs.sql("DELETE FROM songs WHERE id > 3")
    songs.says(ECHO.replace('print(os.environ["LOCAL_KEY"])\n', ""))
    ended = songs.run("--debug")
    assert "it broke with ***" in ended.said
    assert leaks(songs) == []


def run_of(songs):
    """The newest run."""
    return songs.proctor("status", "--json").json["runs"][0]["id"]
