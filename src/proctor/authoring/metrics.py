"""What a rollout watches over time, and by which rules: `from proctor import metrics`.

    metrics.sql("conversion", "SELECT count(*) FILTER (WHERE paid) AS events, count(*) AS total "
                "FROM visits WHERE at >= :since AND at < :until",
                baseline=metrics.matched_windows(allowed=0.85), critical=True)

Each is measured on a fixed grid and judged by a condition over `result`, or against a baseline.
The rules have the names of Argo Rollouts' analysis. Raises DefinitionError, which shows the right
code; see docs/gates.md.
"""

from __future__ import annotations

import re

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from proctor.authoring.given import short, text
from proctor.authoring.rules import of_baseline, rules
from proctor.core.gates import named
from proctor.errors import DefinitionError
from proctor.model import (
    Baseline,
    CheckedRows,
    Coverage,
    HttpFigures,
    Metric,
    Mode,
    ProbeAnswer,
    PrometheusQuery,
    PythonFigures,
    RunFigures,
    SourceOfFigures,
    SqlCounts,
)
from proctor.model.metric import FAILED, OTHER

if TYPE_CHECKING:
    from typing import Unpack

_SQL = (
    'metrics.sql("orders", "SELECT count(*) AS value FROM orders", '
    'success_condition="result.value > 0")'
)
_COUNTED = (
    'metrics.sql("conversion", "SELECT count(*) FILTER (WHERE paid) AS events, count(*) AS total '
    'FROM visits WHERE at >= :since AND at < :until", '
    "baseline=metrics.matched_windows(allowed=0.85))"
)
_HTTP = (
    'metrics.http("health", "https://example.com/health", pick={"ok": "$.ok"}, '
    'success_condition="result.ok == 1")'
)
_PROMETHEUS = (
    'metrics.prometheus("errors", "http://prometheus:9090", "sum(rate(errors_total[5m]))", '
    'failure_condition="result.value > 0.5")'
)

_ERRORS = (
    'metrics.run("errors", "mood", errors=["ReadTimeout", "leaked_tags"], '
    'failure_condition=\'result["failed.ReadTimeout_new"] > 10 or result["failed.other"] > 0\')'
)


class Rules(TypedDict, total=False):
    """What every metric takes beside its source."""

    interval: timedelta
    count: int
    initial_delay: timedelta
    success_condition: str
    failure_condition: str
    failure_limit: int
    inconclusive_limit: int
    consecutive_error_limit: int
    consecutive_success_limit: int
    dry_run: bool
    critical: bool
    min_samples: int
    baseline: Baseline
    timeout: timedelta


def sql(name: str, sql: str, **given: Unpack[Rules]) -> Metric:
    """One SELECT of one row of named numbers: `SELECT count(*) AS value FROM orders`.

    `:since` and `:until` are the moments in UTC between which it shall count. For a baseline it
    gives `events` and `total`, which are whole numbers: a ratio says nothing of how sure it is.
    """
    asked = text("the sql of a metric", sql, _SQL)
    if not re.match(r"\s*(select|with)\b", asked, re.IGNORECASE):
        raise _no("a metric reads: its sql is one SELECT", asked, _SQL)
    if asked.rstrip().endswith(";"):
        raise _no("the sql of a metric ends without a semicolon", asked[-40:], _SQL)
    if (":since" in asked) != (":until" in asked):
        raise _no("a time has two ends: :since and :until belong together", asked, _COUNTED)
    return _metric(name, SqlCounts(sql=asked), given, f"{_COUNTED} or {_SQL}")


def http(
    name: str,
    url: str,
    *,
    pick: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    **given: Unpack[Rules],
) -> Metric:
    """Numbers of an address that answers JSON: `pick={"ok": "$.ok"}`, each a JSONPath.

    `url` and `headers` may hold `${NAME}`, filled in from the environment when it is asked.
    """
    if not isinstance(pick, Mapping) or not pick:
        raise _no("http: pick= names figures and where they stand", repr(pick), _HTTP)
    for figure, path in pick.items():
        if not isinstance(figure, str) or not figure.isidentifier():
            raise _no("http: a figure in pick= has a name", repr(figure), _HTTP)
        if not isinstance(path, str) or not path.startswith("$"):
            raise _no(f"http: {figure} is picked by a JSONPath, from $", repr(path), _HTTP)
    source = HttpFigures(url=_url("http", url, _HTTP), pick=dict(pick), headers=_headers(headers))
    return _metric(name, source, given, _HTTP)


def prometheus(
    name: str,
    url: str,
    query: str,
    *,
    headers: Mapping[str, str] | None = None,
    **given: Unpack[Rules],
) -> Metric:
    """An instant query of one number, which is `result.value`; no series at all is no data."""
    source = PrometheusQuery(
        url=_url("prometheus", url, _PROMETHEUS),
        query=text("the query of prometheus", query, _PROMETHEUS),
        headers=_headers(headers),
    )
    return _metric(name, source, given, _PROMETHEUS)


def python(name: str, call: Callable[[], Any], **given: Unpack[Rules]) -> Metric:
    """A function without arguments, async or not: a number, `result.value`, or numbers by name."""
    right = 'metrics.python("queue", queue_length, failure_condition="result.value > 1000")'
    if not callable(call):
        raise _no("python: a metric calls a function", repr(call), right)
    return _metric(name, PythonFigures(call=call), given, right)


def coverage(name: str, backfill: str, **given: Unpack[Rules]) -> Metric:
    """How far a backfill came: `eligible`, `done`, `total`, `share`; `exact` is 1 where counted."""
    right = 'metrics.coverage("coverage", "mood", success_condition="result.share >= 0.5")'
    source = Coverage(backfill=text("the backfill of coverage", backfill, right))
    return _metric(name, source, given, right)


def run(name: str, backfill: str, *, errors: Sequence[str] = (), **given: Unpack[Rules]) -> Metric:
    """Books and calls of a backfill's latest run, and with `_new` what they grew by since a look.

    `read`, `written`, `failed` and the other buckets, `rate` (rows a second), `limited` (429s),
    `fallbacks`, `calls`, `usd`. errors: classes of exceptions and names of ready checks, such as
    `("ReadTimeout", "leaked_tags")`: each gives `result["failed.ReadTimeout"]`, its failed rows;
    `result["failed.other"]` are those of no class that is named.
    """
    right = 'metrics.run("limited", "mood", failure_condition="result.limited_new > 10")'
    backfill = text("the backfill of run", backfill, right)
    made = _metric(name, RunFigures(backfill=backfill, errors=_classes(errors)), given, right)
    asked = named(made.success_condition or "0") | named(made.failure_condition or "0")
    there = {f"{FAILED}{one}{new}" for one in (*errors, OTHER) for new in ("", "_new")}
    if lost := sorted(one for one in asked if one.startswith(FAILED) and one not in there):
        raise _no(
            f"metric {made.name} asks for errors that errors= does not name: nobody counts them",
            ", ".join(lost) + f", and errors={tuple(errors)!r}",
            _ERRORS,
        )
    return made


def _classes(errors: Any) -> tuple[str, ...]:
    """Names of classes of errors; `other` is what none of them is."""
    if isinstance(errors, str) or not isinstance(errors, Sequence):
        raise _no("errors= is a list of names", repr(errors), _ERRORS)
    for one in errors:
        if not isinstance(one, str) or not one.isidentifier() or one == OTHER:
            what = "errors= are names of exception classes, without a module, and of ready checks"
            raise _no(what, repr(one), _ERRORS)
    return tuple(dict.fromkeys(errors))


def rows(name: str, backfill: str, *, latest: int = 200, **given: Unpack[Rules]) -> Metric:
    """A backfill's ready checks over its latest rows: `rows`, `failures`, `warnings`, `unsure`."""
    right = 'metrics.rows("quality", "mood", latest=1000, success_condition="result.failures == 0")'
    if type(latest) is not int or latest < 1:
        raise _no("rows: latest= is a number of rows", repr(latest), right)
    source = CheckedRows(backfill=text("the backfill of rows", backfill, right), latest=latest)
    return _metric(name, source, given, right)


def probe(name: str, probe: str, **given: Unpack[Rules]) -> Metric:
    """A probe of the rollout as a metric: `result.ok` is 1 or 0."""
    right = 'metrics.probe("health", "api answers", success_condition="result.ok == 1")'
    return _metric(name, ProbeAnswer(probe=text("the probe", probe, right)), given, right)


def concurrent(
    *, allowed: float, direction: str = "decrease", confidence: float = 0.95
) -> Baseline:
    """Compare with those who do not see the new data yet, in the same hours: the best there is.

    Needs `control_events` and `control_total`. allowed: the ratio of rates that is still
    accepted, `metrics.concurrent(allowed=0.85)`; above 1 with `direction="increase"`.
    """
    right = "metrics.concurrent(allowed=0.85)"
    return of_baseline(Mode.CONCURRENT, right, allowed, direction, confidence)


def matched_windows(
    *,
    allowed: float,
    windows: int = 8,
    lag: timedelta = timedelta(days=7),
    direction: str = "decrease",
    confidence: float = 0.95,
) -> Baseline:
    """Compare with the same hours of `windows` earlier times, each `lag` before the next.

    How much these differ by themselves is part of the verdict, so there have to be four or more.
    """
    right = "metrics.matched_windows(allowed=0.85, windows=8, lag=timedelta(days=7))"
    return of_baseline(
        Mode.MATCHED_WINDOWS, right, allowed, direction, confidence, windows=windows, lag=lag
    )


def fixed(
    *, rate: float, allowed: float, direction: str = "decrease", confidence: float = 0.95
) -> Baseline:
    """Compare with a rate that somebody wrote down: `metrics.fixed(rate=0.05, allowed=0.85)`.

    For bars that do not move; a rate of last week is better compared by matched windows.
    """
    right = "metrics.fixed(rate=0.05, allowed=0.85)"
    return of_baseline(Mode.FIXED, right, allowed, direction, confidence, rate=rate)


def _metric(name: Any, source: SourceOfFigures, given: Rules, right: str) -> Metric:
    made = Metric(
        name=text("the name of a metric", name, right), source=source, **rules(dict(given), right)
    )
    if made.baseline is None and not (made.success_condition or made.failure_condition):
        raise _no(
            f"metric {made.name} has no condition and no baseline: nothing would be asked of it",
            "neither success_condition=, failure_condition= nor baseline=",
            right,
        )
    if made.baseline is not None:
        _comparable(made, made.baseline)
    return made


def _comparable(metric: Metric, baseline: Baseline) -> None:
    """A baseline compares counts, and matched windows need a source that knows earlier ones."""
    wanted = ["events", "total"]
    if baseline.mode is Mode.CONCURRENT:
        wanted += ["control_events", "control_total"]
    there: set[str] | None = set()  # None where only the first look can tell
    match metric.source:
        case SqlCounts(sql=asked):
            there = {name for name in wanted if re.search(rf"\b{name}\b", asked)}
            there = None if re.search(r"select\s+\*", asked, re.IGNORECASE) else there
        case HttpFigures(pick=pick):
            there = set(pick)
        case PythonFigures():
            there = None
    if there is not None and (lacking := [name for name in wanted if name not in there]):
        raise _no(
            f"metric {metric.name} has a baseline, which compares counts, never a ratio",
            f"no figure is called {' or '.join(lacking)}",
            _COUNTED,
        )
    if baseline.mode is Mode.MATCHED_WINDOWS and not (
        isinstance(metric.source, SqlCounts) and metric.source.windowed
    ):
        raise _no(
            f"metric {metric.name} is compared with earlier windows, which its source cannot count",
            "no :since and :until",
            _COUNTED,
        )


def _url(kind: str, url: Any, right: str) -> str:
    told = text(f"the url of {kind}", url, right)
    if not told.startswith(("http://", "https://", "${")):
        # An address may hold a password: it is not quoted.
        raise _no(
            f"{kind}: an address begins with http://, https:// or ${{NAME}}", "another", right
        )
    return told


def _headers(headers: Any) -> dict[str, str]:
    if headers is None:
        return {}
    if not isinstance(headers, Mapping) or not all(
        isinstance(part, str) for pair in headers.items() for part in pair
    ):
        right = 'headers={"Authorization": "Bearer ${API_TOKEN}"}'
        raise _no("headers are texts by name", type(headers).__name__, right)
    return dict(headers)


def _no(what: str, found: object, right: str) -> DefinitionError:
    return DefinitionError(what, found=short(str(found)), fix=right)


__all__ = [
    "concurrent",
    "coverage",
    "fixed",
    "http",
    "matched_windows",
    "probe",
    "prometheus",
    "python",
    "rows",
    "run",
    "sql",
]
