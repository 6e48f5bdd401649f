"""P5: killed at random instants, a run never pays for more than what was in the air again."""

import os
import random
import signal
import time

from paid.songs import CODE

LONG = os.environ.get("PROCTOR_LONG") == "1"
KILLS = 100 if LONG else 8
AT_ONCE = 8
ROWS = 2000 if LONG else 300


def test_killed_at_random_instants_it_pays_again_for_calls_in_the_air_at_most(songs):
    """SIGKILL of the whole group, resumed each time, until every row is right."""
    dice = random.Random(20261128)
    songs.add(f"song {number}" for number in range(40, ROWS))
    songs.write(CODE.format(concurrency=AT_ONCE))
    songs.vendor.limit("gpt-5-mini", latency_s=0.05)
    with (songs.root / "proctor.toml").open("a") as file:
        file.write("\n[run]\nchunk_rows = 50\n")
    kills = 0
    while kills < KILLS:
        asked = songs.books.calls
        process = songs.spawn("run", "about", "--json")
        # Not before its first call: what dies earlier proves nothing. Then some way into it.
        while process.poll() is None and songs.books.calls == asked:
            time.sleep(0.005)
        time.sleep(dice.uniform(0, 0.6))
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    books = songs.books
    assert len(books.asked) == ROWS
    assert books.paid_again <= AT_ONCE * kills
    assert kills >= KILLS // 2, "most runs ended before they could be killed"
