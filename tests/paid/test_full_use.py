"""A run that is slow by its calls keeps as many of them in flight as it may."""

from paid.songs import CODE, until
from proctor.testing.vendor import Fault, Flaw

AT_ONCE = 4


def test_rows_of_later_chunks_are_asked_about_while_one_waits_for_its_last_answer(songs):
    """An answer that takes a minute keeps its own chunk from being written, and nothing else."""
    songs.write(CODE.format(concurrency=AT_ONCE))
    with (songs.root / "proctor.toml").open("a") as file:
        file.write("\n[run]\nchunk_rows = 10\n")
    songs.vendor.script(Fault(flaw=Flaw.SILENT, match="song 15 ", seconds=300))
    songs.spawn("run", "about", "--json")
    until(lambda: len(songs.answered()) == 30, "the rows of all other chunks")
    assert songs.books.at_once == 1
    assert songs.books.most_at_once <= AT_ONCE
