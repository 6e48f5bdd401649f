"""What the engine does about each of its errors, and how long it waits before."""

import inspect

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor import errors
from proctor.core.retry import DEFAULT, Do, RetryPolicy, Step, next_step

FIRST = {
    errors.Fenced: Do.LEAVE,
    errors.Busy: Do.AGAIN,
    errors.TooSlow: Do.AGAIN,
    errors.ConnectionLost: Do.AGAIN,
    errors.InDoubt: Do.RECLAIM,
    errors.Unreachable: Do.AGAIN,
    errors.Limited: Do.AGAIN,
    errors.Overloaded: Do.AGAIN,
}
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.ProctorError)
]


def test_every_error_of_the_engine_has_its_own_answer():
    """A new kind must be decided on here, not fall through."""
    engine = {k for k in KINDS if issubclass(k, errors.EngineError)} - {errors.EngineError}
    assert engine <= set(FIRST)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_failure_of_each_kind(kind):
    """What a person must mend fails at once; the rest is the engine's to settle."""
    assert next_step(kind("x"), 1, 0.5).do is FIRST.get(kind, Do.FAIL)


@pytest.mark.parametrize("error", [ValueError("bug"), KeyError("bug"), KeyboardInterrupt()])
def test_what_is_not_ours_fails_at_once(error):
    """A bug is never retried into silence."""
    assert next_step(error, 1, 0.5) == Step(Do.FAIL)


@pytest.mark.parametrize("kind", [k for k in FIRST if k is not errors.Fenced])
def test_patience_ends(kind):
    """Nothing is tried for ever: also not what cannot be cut, like a claim or an undo."""
    steps = [next_step(kind("x"), n, 0.5).do for n in range(1, DEFAULT.attempts + 3)]
    assert Do.FAIL not in steps[: DEFAULT.attempts - 1]
    assert steps[DEFAULT.attempts - 1 :] == [Do.FAIL] * 3


def test_doubt_is_settled_by_a_new_claim_each_time():
    """Never by a plain retry: the write may have taken place."""
    steps = {next_step(errors.InDoubt("x"), n, 0.5).do for n in range(1, DEFAULT.attempts)}
    assert steps == {Do.RECLAIM}


def test_what_is_too_slow_twice_is_cut():
    """Once may have been chance; only a time-out cuts a chunk."""
    assert next_step(errors.TooSlow("x"), 1, 0.5).do is Do.AGAIN
    later = {next_step(errors.TooSlow("x"), n, 0.5).do for n in range(2, DEFAULT.attempts)}
    assert later == {Do.SPLIT}


def test_who_was_fenced_leaves_without_waiting():
    assert next_step(errors.Fenced("x"), 9, 0.9) == Step(Do.LEAVE, 0.0)


@given(
    kind=st.sampled_from(list(FIRST)),
    attempt=st.integers(1, 10_000),
    dice=st.floats(0, 1, exclude_max=True),
    attempts=st.integers(1, 20_000),
)
def test_every_wait_is_bounded(kind, attempt, dice, attempts):
    """At any attempt, and with a policy of any patience."""
    policy = RetryPolicy(attempts=attempts)
    assert 0.0 <= next_step(kind("x"), attempt, dice, policy).wait <= policy.most


@given(
    attempt=st.integers(1, DEFAULT.attempts - 1), low=st.floats(0, 0.5), more=st.floats(0.1, 0.4)
)
def test_the_jitter_parts_those_who_collided(attempt, low, more):
    """Two that failed together do not come back together; and none comes back at once."""
    one = next_step(errors.Busy("x"), attempt, low).wait
    other = next_step(errors.Busy("x"), attempt, low + more).wait
    assert 0.0 < one < other


def test_waits_grow_until_they_are_long_enough():
    waits = [next_step(errors.Busy("x"), n, 0.5).wait for n in range(1, DEFAULT.attempts)]
    assert waits == sorted(waits)
    assert waits[0] < 0.1


def test_a_database_that_restarts_is_waited_for():
    """About half a minute in all, with the jitter at its mean."""
    waits = [next_step(errors.Unreachable("x"), n, 0.5).wait for n in range(1, DEFAULT.attempts)]
    assert 20 <= sum(waits) <= 40
