"""What an author asks of metrics: judged at once, and every mistake shows the right code."""

from datetime import timedelta

import pytest

from proctor import DefinitionError, metrics
from proctor.core.gates import fault
from proctor.model import Baseline, Direction, Metric, Mode, SqlCounts

COUNTS = (
    "SELECT count(*) FILTER (WHERE paid) AS events, count(*) AS total FROM visits "
    "WHERE at >= :since AND at < :until"
)
SPLIT = (
    "SELECT sum(new * paid) AS events, sum(new) AS total, sum(old * paid) AS control_events, "
    "sum(old) AS control_total FROM visits"
)
HALF = "result.share >= 0.5"
YES = "result.ok == 1"


def queue():
    return 3


def test_a_metric_is_what_was_asked_for():
    made = metrics.sql(
        "conversion",
        COUNTS,
        interval=timedelta(minutes=15),
        initial_delay=timedelta(minutes=30),
        baseline=metrics.matched_windows(allowed=0.85, windows=6, lag=timedelta(days=1)),
        critical=True,
        min_samples=500,
    )
    assert made == Metric(
        name="conversion",
        source=SqlCounts(sql=COUNTS),
        interval=timedelta(minutes=15),
        initial_delay=timedelta(minutes=30),
        baseline=Baseline(
            mode=Mode.MATCHED_WINDOWS, allowed=0.85, windows=6, lag=timedelta(days=1)
        ),
        critical=True,
        min_samples=500,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: metrics.sql(
            "orders", "WITH x AS (SELECT 1) SELECT 1 AS value", success_condition="result.value > 0"
        ),
        lambda: metrics.sql("split", SPLIT, baseline=metrics.concurrent(allowed=0.9)),
        lambda: metrics.sql(
            "all", "SELECT * FROM booked", baseline=metrics.concurrent(allowed=0.9)
        ),
        lambda: metrics.sql("fixed", COUNTS, baseline=metrics.fixed(rate=0.05, allowed=0.85)),
        lambda: metrics.http(
            "health", "https://api/health", pick={"ok": "$.ok"}, success_condition=YES
        ),
        lambda: metrics.http(
            "up",
            "${API}/x",
            pick={"ok": "$.ok"},
            headers={"A": "${T}"},
            failure_condition="result.ok == 0",
        ),
        lambda: metrics.prometheus(
            "errors",
            "http://p:9090",
            "sum(x)",
            failure_condition="result.value > 1",
            failure_limit=-1,
            consecutive_success_limit=3,
        ),
        lambda: metrics.python("queue", queue, failure_condition="result.value > 10", count=None),
        lambda: metrics.python(
            "both", queue, baseline=metrics.concurrent(allowed=1.2, direction="increase")
        ),
        lambda: metrics.coverage("coverage", "mood", success_condition=HALF),
        lambda: metrics.run("limited", "mood", failure_condition="result.limited_new > 10"),
        lambda: metrics.run(
            "errors",
            "mood",
            errors=["ReadTimeout", "leaked_tags"],
            failure_condition='result["failed.ReadTimeout_new"] > 9 or result["failed.other"] > 0',
        ),
        lambda: metrics.rows(
            "quality", "mood", latest=1000, success_condition="result.failures == 0"
        ),
        lambda: metrics.probe("alive", "api", success_condition=YES, dry_run=True),
    ],
)
def test_every_source_has_a_maker(make):
    made = make()
    assert isinstance(made, Metric)
    assert all(not fault(one) for one in (made.success_condition, made.failure_condition) if one)


def cov(**words):
    return metrics.coverage("coverage", "mood", **{"success_condition": HALF, **words})


def ran(**words):
    return metrics.run(
        "errors", "mood", failure_condition='result["failed.ValueError"] > 0', **words
    )


def counted(**words):
    return metrics.sql("conversion", words.pop("sql", COUNTS), **words)


WEEKS = metrics.matched_windows(allowed=0.85)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: metrics.coverage("c", "mood"), "no condition and no baseline"),
        (lambda: metrics.coverage(" ", "mood", success_condition=HALF), "name of a metric"),
        (lambda: metrics.coverage("c", None, success_condition=HALF), "backfill of coverage"),
        (lambda: cov(intervall=timedelta(1)), "does not know this word"),
        (lambda: cov(interval=timedelta(-1)), "interval= is a length of time above zero"),
        (lambda: cov(interval=timedelta(0)), "interval= is a length of time above zero"),
        (lambda: cov(interval=15), "interval= is a length of time"),
        (
            lambda: cov(initial_delay=timedelta(-1)),
            "initial_delay= is a length of time of at least",
        ),
        (lambda: cov(timeout=timedelta(0)), "timeout= is a length of time above"),
        (lambda: cov(failure_limit=-2), "failure_limit= is a whole number of at least -1"),
        (lambda: cov(failure_limit=1.5), "failure_limit= is a whole number"),
        (lambda: cov(failure_limit=True), "failure_limit= is a whole number"),
        (lambda: cov(count=0), "count= is a whole number of at least 1"),
        (lambda: cov(min_samples=0), "min_samples= is a whole number of at least 1"),
        (lambda: cov(critical="yes"), "critical= is True or False"),
        (lambda: cov(baseline=0.85), "baseline= is one of proctor.metrics"),
        (lambda: cov(consecutive_success_limit=4, count=3), "cannot be reached within count"),
        (lambda: counted(baseline=WEEKS, consecutive_success_limit=2), "judged by a condition"),
        (
            lambda: cov(success_condition="share > 0.5"),
            r"no condition: it knows no share.*character 1",
        ),
        (lambda: cov(success_condition="result.share >"), "no condition: invalid syntax"),
        (lambda: cov(failure_condition=3), "failure_condition= must be text"),
        (lambda: ran(errors="ReadTimeout"), "errors= is a list of names"),
        (lambda: ran(errors=["httpx.ReadTimeout"]), "without a module"),
        (lambda: ran(errors=["other"]), "names of exception classes"),
        (lambda: ran(errors=[ValueError]), "names of exception classes"),
        (lambda: ran(errors=["ValueEror"]), r"nobody counts them.*failed\.ValueError"),
        (lambda: cov(baseline=WEEKS), "compares counts, never a ratio"),
        (
            lambda: counted(sql="SELECT a / b AS ratio FROM x", baseline=WEEKS),
            "compares counts, never a ratio",
        ),
        (
            lambda: counted(sql="SELECT 1 AS events, 2 AS total", baseline=WEEKS),
            "compared with earlier windows",
        ),
        (lambda: counted(baseline=metrics.concurrent(allowed=0.85)), "compares counts"),
        (lambda: metrics.python("q", queue, baseline=WEEKS), "compared with earlier windows"),
        (
            lambda: metrics.prometheus(
                "q", "http://p", "x", baseline=metrics.fixed(rate=0.5, allowed=0.9)
            ),
            "compares counts",
        ),
        (lambda: counted(sql="DELETE FROM visits", success_condition=HALF), "one SELECT"),
        (lambda: counted(sql="SELECT 1 AS value;", success_condition=HALF), "without a semicolon"),
        (lambda: counted(sql="SELECT 1 WHERE at > :since", success_condition=HALF), "two ends"),
        (
            lambda: metrics.http("h", "ftp://x", pick={"ok": "$.ok"}, success_condition=YES),
            "begins with http",
        ),
        (
            lambda: metrics.http("h", "http://x", pick={}, success_condition=YES),
            "pick= names figures",
        ),
        (
            lambda: metrics.http("h", "http://x", pick={"ok": "ok"}, success_condition=YES),
            "JSONPath",
        ),
        (
            lambda: metrics.http("h", "http://x", pick={"a b": "$.ok"}, success_condition=YES),
            "has a name",
        ),
        (
            lambda: metrics.http(
                "h", "http://x", pick={"ok": "$.ok"}, headers={"a": 1}, success_condition=YES
            ),
            "headers are texts",
        ),
        (lambda: metrics.python("q", "queue", success_condition=YES), "calls a function"),
        (lambda: metrics.rows("r", "mood", latest=0, success_condition=YES), "number of rows"),
        (lambda: metrics.concurrent(allowed=1.15), "must not decrease is allowed a part"),
        (lambda: metrics.concurrent(allowed=1), "must not decrease"),
        (lambda: metrics.concurrent(allowed=0), "must not decrease"),
        (
            lambda: metrics.concurrent(allowed=0.85, direction="increase"),
            "must not increase is allowed more",
        ),
        (lambda: metrics.concurrent(allowed=0.85, direction="down"), "direction is"),
        (lambda: metrics.concurrent(allowed="85%"), "allowed= is a number"),
        (lambda: metrics.concurrent(allowed=float("nan")), "allowed= is a number"),
        (lambda: metrics.concurrent(allowed=0.85, confidence=95), "confidence is between"),
        (
            lambda: metrics.matched_windows(allowed=0.85, windows=3),
            "windows= is a whole number of at least 4",
        ),
        (lambda: metrics.matched_windows(allowed=0.85, lag=timedelta(0)), "lag= is a length"),
        (lambda: metrics.fixed(rate=5, allowed=0.85), "rate is a share"),
        (lambda: metrics.fixed(rate=0.9, allowed=1.5, direction="increase"), "rate is a share"),
    ],
)
def test_a_mistake_is_told_at_once_with_the_right_code(make, what):
    with pytest.raises(DefinitionError, match=what) as raised:
        make()
    assert raised.value.fix


def test_an_address_with_a_password_in_it_is_not_quoted():
    with pytest.raises(DefinitionError) as raised:
        metrics.http("h", "user:hunter2@host", pick={"ok": "$.ok"}, success_condition=YES)
    assert "hunter2" not in str(raised.value)


def test_a_direction_is_of_the_models_words():
    made = metrics.fixed(rate=0.01, allowed=1.5, direction="increase")
    assert made.direction is Direction.INCREASE
