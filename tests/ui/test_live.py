"""A run as it goes, on a terminal and off it."""

import io

from dataclasses import replace
from datetime import timedelta

from rich.console import Console

from proctor.engine.snapshot import Estimate, Undoing
from proctor.model import Outcome, RunState, Tuning, Undone
from proctor.ui import documents, lines, live
from proctor.ui.text import runs


class Terminal(io.StringIO):
    """A stream at which somebody looks."""

    def isatty(self):
        return True


def later(seen, seconds, **changes):
    return replace(seen, at=seen.at + timedelta(seconds=seconds), **changes)


def test_off_a_terminal_there_is_a_line_every_few_seconds(seen):
    """A log of a night is readable: not one line a snapshot."""
    out = io.StringIO()
    with lines.view(out) as view:
        for tenth in range(0, 70, 5):
            view(later(seen, tenth / 10))
    shown = out.getvalue().splitlines()
    assert len(shown) == 4  # at 0, 3 and 6 s, and the last one
    assert shown[0] == (
        "running: processed 1,500 of 3,421 (43.8 %); 812 rows/s; 2.0 s to 4.0 s left; "
        "written 1,480, skipped 15, failed 5"
    )


def test_a_change_of_state_is_said_at_once(seen):
    """Nobody waits three seconds to hear that a run failed."""
    out = io.StringIO()
    failed = replace(seen.run, state=RunState.FAILED, reason="disk full")
    with lines.view(out) as view:
        view(seen)
        view(later(seen, 0.1, run=failed))
    assert out.getvalue().splitlines()[-1].startswith("failed: ")
    assert out.getvalue().rstrip().endswith("disk full")
    assert len(out.getvalue().splitlines()) == 2


def test_the_line_says_why_it_waits(seen):
    assert lines.line(replace(seen, throttle_reason="lag 12 of 10 s")).endswith(
        "waiting: lag 12 of 10 s"
    )


def test_knobs_that_an_operator_has_turned_are_shown(seen):
    """Whoever comes later must see that the run is slow because somebody asked for it."""
    knobs = Tuning(workers=1, pause=timedelta(seconds=0.5), rows_per_second=1000)
    tuned = replace(seen, run=replace(seen.run, tuning=knobs))
    told = "tuned to 1 worker, rests of 500 ms, at most 1,000 rows/s"
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    console.print(live.panel(tuned))
    assert told in console.file.getvalue()
    assert told in lines.line(tuned)
    assert "tuned" not in lines.line(seen)


def test_the_panel_shows_rate_eta_buckets_throttle_and_chunk_size(seen):
    """Everything that an operator decides by is on the screen."""
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    console.print(live.panel(replace(seen, throttle_reason="lag 12 of 10 s")))
    shown = console.file.getvalue()
    for said in (
        "normalize_wardrobe",
        "1,500 / 3,421",
        "812 rows/s",
        "2.0 s to 4.0 s left",
        "written 1,480",
        "failed 5",
        "chunk 500 rows",
        "2 workers",
        "waiting: lag 12 of 10 s",
        "replication lag: not watched",
    ):
        assert said in shown, said


def test_rows_that_were_not_counted_are_shown_as_a_guess(seen):
    """On every face: what a bar fills up to may be the server's estimate."""
    guessed = replace(seen, run=replace(seen.run, estimated=True))
    assert "processed 1,500 of ~3,421 (43.8 %)" in lines.line(guessed)
    console = Console(file=io.StringIO(), width=160)
    console.print(live.panel(guessed), *runs.runs([guessed]))
    shown = console.file.getvalue()
    assert "1,500 / ~3,421" in shown
    assert shown.count("~3,421") == 2
    assert documents.snapshot(guessed)["expected_is_estimate"] is True


def test_the_live_view_leaves_the_last_state_on_the_screen(seen):
    """After the run the screen shows how it ended."""
    console = Console(file=io.StringIO(), width=160, force_terminal=True)
    with live.LiveView(console) as view:
        view(seen)
        view(later(seen, 1, run=replace(seen.run, state=RunState.SUCCEEDED)))
        view.say("stopping after the chunk in hand")
    shown = console.file.getvalue()
    assert "succeeded" in shown
    assert "stopping after the chunk in hand" in shown


def test_how_a_run_began_is_said_once_above_what_changes(seen):
    """Below a run that has ended, "resuming" would be the last that one reads of it."""
    console = Console(file=io.StringIO(), width=160, force_terminal=True)
    with live.LiveView(console) as view:
        view(seen)
        view.tell("resuming run r-1, which was paused")
        view(later(seen, 1, run=replace(seen.run, state=RunState.SUCCEEDED)))
    shown = console.file.getvalue()
    assert shown.count("resuming run r-1, which was paused") == 1
    assert shown.index("resuming run") < shown.index("succeeded")
    out = io.StringIO()
    with lines.view(out) as view:
        view.tell("resuming run r-1, which was paused")
        view(seen)
    assert out.getvalue().startswith("resuming run r-1, which was paused\nrunning: ")


def test_a_run_of_unknown_length_is_shown_without_a_share(seen):
    unknown = replace(seen, expected=None, run=replace(seen.run, expected=None), eta=None)
    assert " of " not in lines.line(unknown)
    console = Console(file=io.StringIO(), width=160)
    console.print(live.panel(unknown))
    assert "%" not in console.file.getvalue()


def test_more_rows_than_expected_are_no_share(seen):
    """A key that was given and is not there is read, too: 3 of 2 is no 100 %."""
    more = replace(seen, expected=2, run=replace(seen.run, outcome=Outcome(read=3, written=3)))
    assert "processed 3 (2 eligible at its start);" in lines.line(more)
    console = Console(file=io.StringIO(), width=160)
    console.print(live.panel(more))
    assert "3 (2 eligible at its start)" in console.file.getvalue()
    assert "%" not in console.file.getvalue()


def test_nothing_left_is_not_forecast(seen):
    """At the end there is no `about 0 ms left`."""
    none = Estimate(low=timedelta(0), high=timedelta(0))
    assert "left" not in lines.line(replace(seen, eta=none))


def undoing(done, **more):
    books = Undone(written=100 * done, restored=100 * done - 1, changed=1)
    return Undoing(undone=books, chunks_undone=done, chunks=10, **more)


def test_a_rollback_says_why_it_waits_and_why_it_stops(seen):
    """As a run does: in the line and on the screen, with the signals."""
    waiting = undoing(5, throttle_reason="lag 12 of 10 s", stopping="SIGINT received")
    out = io.StringIO()
    with live.UndoView(out) as view:
        view(waiting)
        view.say("stopping")
    assert (
        out.getvalue()
        .splitlines()[0]
        .endswith("waiting: lag 12 of 10 s; stopping: SIGINT received")
    )
    assert out.getvalue().splitlines()[-1] == "stopping"
    screen = Terminal()
    with live.UndoView(screen) as view:
        view(replace(waiting, throttle=seen.throttle))
        view.say("the chunk in hand is being finished")
    for said in (
        "waiting: lag 12 of 10 s",
        "stopping: SIGINT received",
        "replication lag: not watched",
        "the chunk in hand is being finished",
    ):
        assert said in screen.getvalue(), said


def test_a_rollback_that_is_watched_counts_chunks(seen):
    """Rows read say nothing of how far it is."""
    rolling = replace(
        seen,
        run=replace(seen.run, state=RunState.ROLLING_BACK, reason="what it wrote is to be undone"),
        chunks_applied=10,
        chunks_undone=4,
        throttle_reason="lag 12 of 10 s",
    )
    assert lines.line(rolling).startswith("rolling_back: undone 4 of 10 chunks (40.0 %); ")
    assert "waiting: lag 12 of 10 s; what it wrote is to be undone" in lines.line(rolling)
    console = Console(file=io.StringIO(), width=160)
    console.print(live.panel(rolling))
    assert "undone 4 of 10 chunks (40.0 %)" in console.file.getvalue()


def test_a_rollback_shows_its_pace_and_the_time_left():
    """Half of it in ten seconds: about ten more, as a range."""
    out, clock = io.StringIO(), iter((0.0, 10.0, 11.0, 20.0))
    with live.UndoView(out, now=lambda: next(clock)) as view:
        view(undoing(5))
        view(undoing(6))  # too soon for another line
        view(undoing(10))
    first, last = out.getvalue().splitlines()
    assert first.startswith("undone 5 of 10 chunks (50.0 %); 50 rows/s; 8.0 s to 13 s left; ")
    assert first.endswith("restored 499, left alone 1, gone 0, blocked 0")
    assert last.startswith("undone 10 of 10 chunks (100 %); 50 rows/s; restored 999")
