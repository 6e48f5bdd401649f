"""Each status of a service is one of our errors, so that limits and rows know what to do."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from proctor.adapters.providers.statuses import Case, broken, judged
from proctor.errors import Limited, OutOfQuota, Overloaded, ProviderRefused
from proctor.model import ServiceSettings


def case(status, found="", key="", **headers):
    """A status with what is told of it."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    settings = ServiceSettings(name="r", url="https://h/x", at="https://h", idempotency_key=key)
    return Case(settings, status, httpx2.Headers(named), found or str(status))


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 529, 408, 425])
def test_what_may_pass_is_tried_again(status):
    """A refusal to work has not cost; of the others nobody knows."""
    error = judged(case(status, retry_after="3"))
    assert type(error) is Overloaded
    assert error.retry_after == 3
    assert error.may_be_paid == (status not in {503, 529})


@pytest.mark.parametrize("status", [400, 404, 410, 413, 422, 451])
def test_what_is_wrong_with_one_question_is_its_rows(status):
    """And says how to make an answer of it."""
    error = judged(case(status))
    assert type(error) is ProviderRefused
    assert error.of_question
    assert f"expect = [200, {status}]" in error.fix


@pytest.mark.parametrize("status", [401, 403, 405, 407, 415, 501, 304])
def test_what_is_wrong_with_all_questions_stops_the_run(status):
    """Not row after row."""
    error = judged(case(status))
    assert type(error) is ProviderRefused
    assert not error.of_question


def test_a_conflict_is_waited_for_only_where_the_key_makes_it_one_with_ourselves():
    """The call before, whose reply was lost, is still at work."""
    assert type(judged(case(409, key="Idempotency-Key"))) is Overloaded
    assert judged(case(409)).of_question


@pytest.mark.parametrize(
    ("status", "found", "kind"),
    [
        (429, "429: slow down", Limited),
        (429, "429: 100 requests per minute", Limited),
        (429, "429: Quota exceeded for 'Queries per minute'", Limited),
        (429, "429: Daily limit reached", OutOfQuota),
        (429, "429: 1000 requests per day", OutOfQuota),
        (429, "429: quota exceeded", OutOfQuota),
        (402, "402: Payment required", OutOfQuota),
    ],
)
def test_a_rate_is_waited_for_and_a_quota_pauses(status, found, kind):
    """No retry helps where the day or the money is used up."""
    assert type(judged(case(status, found))) is kind


def test_a_wait_may_be_told_as_a_moment():
    """Retry-After has two forms, and what is neither is no wait."""
    soon = datetime.now(UTC) + timedelta(seconds=40)
    error = judged(case(429, retry_after=format_datetime(soon, usegmt=True)))
    assert 30 < error.retry_after <= 40
    past = datetime.now(UTC) - timedelta(days=1)
    assert judged(case(503, retry_after=format_datetime(past, usegmt=True))).retry_after == 0
    assert judged(case(503, retry_after="tomorrow")).retry_after is None


@pytest.mark.parametrize(
    ("fault", "kind", "may_be_paid"),
    [
        (httpx2.ConnectTimeout("x"), Overloaded, False),
        (httpx2.PoolTimeout("x"), Overloaded, False),
        (httpx2.ReadTimeout("x"), Overloaded, True),
        (TimeoutError(), Overloaded, True),
        (httpx2.RemoteProtocolError("x"), Overloaded, True),
        (httpx2.TooManyRedirects("x"), Overloaded, True),
        (httpx2.InvalidURL("x"), ProviderRefused, False),
    ],
)
def test_what_broke_on_the_way_says_whether_it_may_have_cost(fault, kind, may_be_paid):
    """P6: what nobody knows counts as spent."""
    error = broken(case(200).settings, fault, "")
    assert type(error) is kind
    assert error.may_be_paid == may_be_paid
