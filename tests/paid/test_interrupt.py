"""Ctrl-C while questions wait for a slow limit, or for a slow vendor."""

import signal
import time

import pytest

from paid.songs import until

SOON = 10
"""Seconds within which a stop is over; a command takes a second or two to begin and to end."""


def stopped(songs, process, times=1):
    """The end of a process that was told to stop so many times."""
    began = time.monotonic()
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        said = next((line for line in process.stderr if "stopping" in line or "aband" in line), "")
        assert said
    ended = songs.ended(process)
    assert time.monotonic() - began < SOON
    return ended


@pytest.mark.parametrize("times", [1, 2])
def test_a_stop_while_questions_wait_for_their_turn(songs, times):
    """Rpm lets one through in three seconds; nobody waits for the other thirty."""
    songs.configure(rpm=20)
    process = songs.spawn("run", "about", "--json")
    until(lambda: songs.books.calls, "the first call")
    ended = stopped(songs, process, times)
    assert ended.code == 130, ended.said
    assert ended.json["state"] == "paused"
    assert "SIGINT" in ended.json["reason"]
    songs.configure()
    again = songs.run("--accept-changes", "providers")
    assert again.code == 0, again.said
    assert again.json["resumed"]
    assert not songs.wrong()
    assert (songs.books.calls, songs.books.paid_again) == (40, 0)


def test_a_stop_waits_for_what_is_in_the_air(songs):
    """It is paid: two seconds later it is kept, and nothing new was asked meanwhile."""
    songs.vendor.limit("gpt-5-mini", latency_s=2.0)
    process = songs.spawn("run", "about", "--json")
    until(lambda: songs.books.at_once == 16, "sixteen calls in the air")
    ended = stopped(songs, process)
    assert ended.code == 130, ended.said
    assert songs.books.calls == 16
    songs.vendor.limit("gpt-5-mini", latency_s=0.0)
    assert songs.run().code == 0
    assert not songs.wrong()
    assert (songs.books.calls, songs.books.paid_again) == (40, 0)


def test_a_second_stop_waits_for_nobody(songs):
    """Calls in the air count as spent; they are asked again, and no others."""
    songs.vendor.limit("gpt-5-mini", latency_s=30.0)
    process = songs.spawn("run", "about", "--json")
    until(lambda: songs.books.at_once == 16, "sixteen calls in the air")
    ended = stopped(songs, process, 2)
    assert ended.code == 130, ended.said
    assert "Traceback" not in ended.err
    songs.vendor.limit("gpt-5-mini", latency_s=0.0)
    again = songs.run()
    assert again.code == 0, again.said
    assert not songs.wrong()
    assert songs.books.paid_again <= 16


def test_a_stop_while_a_question_waits_to_be_tried_again(songs):
    """The wait after a 5xx is no reason to stay."""
    from proctor.testing.vendor import Fault, Flaw

    songs.vendor.script(Fault(flaw=Flaw.SERVER_ERROR, match="does song 7 ", times=-1))
    process = songs.spawn("run", "about", "--json")
    until(lambda: songs.books.failed >= 3, "three tries that broke")
    ended = stopped(songs, process)
    assert ended.code == 130, ended.said
    assert songs.books.calls == 39
