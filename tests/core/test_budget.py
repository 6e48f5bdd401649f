"""How many failed rows a run bears."""

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.budget import GO, Word, judge_errors
from proctor.model import Outcome


def books(failed, read):
    return Outcome(read=read, written=read - failed, failed=failed)


def judge(chunk, so_far=None, *, share=0.01, count=None, after=1000):
    return judge_errors(chunk, so_far or Outcome(), share=share, count=count, after=after)


def test_no_failure_goes_on():
    assert judge(books(0, 500)) is GO
    assert GO.go
    assert GO.reason == ""


def test_the_share_is_borne_up_to_its_very_number():
    assert judge(books(10, 1000)).go
    over = judge(books(11, 1000))
    assert over.word is Word.PAUSE
    assert not over.go
    assert over.reason == "11 of 1,000 rows failed (1.1%); the error budget is 1.0%"


@given(percent=st.integers(0, 100), hundreds=st.integers(1, 1000))
def test_the_boundary_is_exact_for_every_percentage(percent, hundreds):
    """29 % of 100 is 29, though 0.29 * 100 is a little less."""
    share, read, allowed = percent / 100, 100 * hundreds, percent * hundreds
    assert judge(books(allowed, read), books(0, 1), share=share, after=1).go
    if allowed < read:
        over = books(allowed + 1, read)
        assert not judge(over, share=share, after=1).go


def test_the_share_counts_chunk_and_run_together():
    assert judge(books(5, 500), books(5, 500)).go
    assert not judge(books(6, 500), books(5, 500)).go


def test_a_share_of_too_few_rows_says_nothing():
    """3 of 5 is no rate: before enough rows were read the share is not judged."""
    assert judge(books(3, 5)).go
    assert judge(books(499, 500), books(0, 499)).go
    assert not judge(books(499, 500), books(0, 500)).go


def test_a_first_chunk_in_which_all_fail_is_a_bug():
    found = judge(books(20, 20))
    assert found.word is Word.PAUSE
    assert found.reason == "all 20 rows of the first chunk failed"


@pytest.mark.parametrize(
    ("chunk", "so_far", "share"),
    [
        pytest.param(books(1, 1), None, 0.01, id="one row may be a bad row"),
        pytest.param(books(20, 21), None, 0.01, id="one was good"),
        pytest.param(books(20, 20), books(0, 1), 0.01, id="not the first chunk"),
        pytest.param(books(20, 20), None, 1.0, id="every failure is borne"),
        pytest.param(Outcome(), None, 0.01, id="nothing was read"),
    ],
)
def test_a_chunk_that_proves_no_bug_goes_on(chunk, so_far, share):
    assert judge(chunk, so_far, share=share).go


def test_a_count_is_absolute_from_the_first_row():
    assert judge(books(3, 10), count=3).go
    over = judge(books(4, 10), count=3)
    assert not over.go
    assert over.reason == "4 rows failed; the error budget is 3"
    assert not judge(books(1, 10), count=0).go
    assert not judge(books(1, 10), books(3, 10**9), count=3, share=1.0).go


def test_no_failure_at_all_may_be_asked_for():
    assert judge(books(0, 5000), share=0.0).go
    assert not judge(books(1, 5000), share=0.0).go


@given(
    failed=st.integers(0, 500), read=st.integers(500, 1000), share=st.floats(0, 1, allow_nan=False)
)
def test_fewer_failures_never_pause_what_more_would_not(failed, read, share):
    if judge(books(failed, read), share=share, after=1).go and failed:
        assert judge(books(failed - 1, read), share=share, after=1).go
