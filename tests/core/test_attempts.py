"""Where a unit stands after an attempt."""

from datetime import UTC, datetime, timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.attempts import Attempt, after
from proctor.model import Bucket, UnitNote, UnitState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FINAL = (UnitState.COMPLETED, UnitState.FAILED)


def attempt(bucket, *, run="r", version="1", ended=NOON, started=NOON, most=5):
    return Attempt(
        key=(1,),
        bucket=bucket,
        run=run,
        version=version,
        ended=ended,
        most=most,
        note=UnitNote(started=started),
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(Bucket), st.integers(-99, 99), st.sampled_from("12")), max_size=30
    )
)
def test_only_a_final_state_has_an_end_and_it_is_never_before_the_begin(story):
    """Whatever happens to a unit, and whosever clock is late."""
    unit = None
    for bucket, minutes, version in story:
        started = NOON + timedelta(minutes=minutes)
        was = unit
        if was and was.state is UnitState.FAILED and was.version == version:
            continue  # it is not eligible any more
        unit = after(unit, attempt(bucket, started=started, version=version)) or was
        if unit is None:
            continue
        assert (unit.completed is not None) == (unit.state in FINAL)
        assert unit.completed is None or unit.completed >= unit.started
        assert 0 <= unit.attempts <= 5


@pytest.mark.parametrize("bucket", [Bucket.GONE, Bucket.CONFLICTED])
def test_what_was_no_attempt_leaves_no_trace(bucket):
    """The unit stands as it stood."""
    assert after(None, attempt(bucket)) is None


def test_attempts_begin_anew_with_another_version_and_after_a_completion():
    """What counted against the old code does not count against the new one."""
    failed = after(None, attempt(Bucket.FAILED))
    assert after(failed, attempt(Bucket.FAILED)).attempts == 2
    assert after(failed, attempt(Bucket.FAILED, version="2")).attempts == 1
    done = after(failed, attempt(Bucket.WRITTEN))
    assert (done.state, done.attempts) == (UnitState.COMPLETED, 2)
    assert after(done, attempt(Bucket.FAILED)).attempts == 1
