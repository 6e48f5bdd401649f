"""For how long a run was worked on: what a report's duration and rate are made of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from proctor.engine.worked import worked
from proctor.model import Event, Run, RunState, Span

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
RUN = Run(
    id="r1",
    backfill="b",
    version="1",
    env="local",
    target="t",
    fills=("x",),
    state=RunState.RUNNING,
    epoch=2,
    span=Span(),
    digest="{}",
    params="{}",
    created=START,
    started=START,
)


def after(seconds):
    return START + timedelta(seconds=seconds)


def told(**when):
    return [
        Event(name=f"run.{name}", at=after(at), run="r1", env="local", who="mira", data={})
        for name, at in sorted(when.items(), key=lambda pair: pair[1])
    ]


def seconds(run, at, events=(), signs=()):
    return worked(run, after(at), events, [after(s) for s in signs]).total_seconds()


def test_a_pause_is_no_work():
    """Ten seconds, half a minute's rest, five seconds: fifteen."""
    done = replace(RUN, state=RunState.SUCCEEDED, ended=after(45))
    assert seconds(done, 100, told(opened=0, paused=10, resumed=40, succeeded=45)) == 15


def test_a_run_that_rests_does_not_grow_older():
    for state in (RunState.PAUSED, RunState.FAILED):
        resting = replace(RUN, state=state, heartbeat=after(9))
        assert seconds(resting, 100, told(opened=0, paused=10)) == 10
        assert seconds(resting, 100) == 9  # without the ledger's record


def test_a_killed_process_worked_until_its_last_sign_of_life():
    """It told nobody of its end: its last chunk, event or heartbeat does."""
    dead = replace(RUN, interrupted=True, heartbeat=after(12))
    assert seconds(dead, 1000, told(opened=0)) == 12
    assert seconds(dead, 1000, told(opened=0), signs=[5, 13]) == 13
    resumed = replace(RUN, heartbeat=after(110))
    assert seconds(resumed, 110, told(opened=0, resumed=100), signs=[5, 13, 104]) == 23


def test_a_run_that_goes_on_counts_until_now():
    assert seconds(RUN, 50, told(opened=0, paused=10, resumed=40)) == 20


def test_giving_up_a_run_that_rests_adds_nothing():
    gone = replace(RUN, state=RunState.CANCELLED, ended=after(90))
    assert seconds(gone, 100, told(opened=0, paused=10, cancelled=90)) == 10


def test_a_clock_that_was_set_back_takes_nothing_away():
    assert seconds(RUN, 50, told(opened=0, paused=-5, resumed=40)) == 10
