"""P5: an answer that was paid is kept, however long the ledger cannot be written."""

import os
import sqlite3
import threading

from contextlib import closing

from paid.songs import until

LOCKED_S = 33 if os.environ.get("PROCTOR_LONG") == "1" else 3
"""A statement of the ledger waits 30 seconds for its lock."""


def test_answers_that_come_while_the_ledger_is_locked_are_kept(songs):
    """Somebody copies the file, or another run writes: nothing is paid again."""
    songs.vendor.limit("gpt-5-mini", latency_s=1.0)
    process = songs.spawn("run", "about", "--json")
    until(lambda: songs.books.at_once == 16, "sixteen calls in the air")
    ledger = songs.root / ".proctor" / "ledger.db"
    let_go = threading.Event()
    with closing(sqlite3.connect(ledger, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        until(lambda: songs.books.at_once == 0, "all of them answered")
        let_go.wait(LOCKED_S)
        other.rollback()
    ended = songs.ended(process, 120)
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    assert (songs.books.calls, songs.books.paid_again) == (40, 0)
