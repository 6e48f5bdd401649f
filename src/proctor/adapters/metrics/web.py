"""Figures that stand at a web address: JSON with a path to each number, or a Prometheus query."""

from __future__ import annotations

import json
import math

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

from proctor.adapters.metrics.numbers import number, unmeasured
from proctor.errors import ConfigError, Unmeasured
from proctor.model import Figures, HttpFigures, PrometheusQuery

LARGEST: Final = 1_000_000
"""Bytes of an answer that are read."""
QUERY: Final = "/api/v1/query"
_INSTALL: Final = "pip install 'proctor[http]'"

Fill = Callable[[str], str]


def refuse(source: HttpFigures | PrometheusQuery, fill: Fill) -> None:
    """ConfigError where this could never be asked."""
    _libraries(source)
    _address(fill(source.url))
    for value in source.headers.values():
        fill(value)
    if isinstance(source, HttpFigures):
        if not source.pick:
            raise ConfigError(
                "a metric of a web address picks no number",
                fix='name at least one: pick={"errors": "$.totals.errors"}',
            )
        for name, path in source.pick.items():
            _path(name, path)


async def ask(
    source: HttpFigures | PrometheusQuery, fill: Fill, *, until: datetime, within: timedelta
) -> Figures:
    """One request, no retry; what it says as numbers by name."""
    refuse(source, fill)
    url = _address(fill(source.url))
    headers = {name: fill(value) for name, value in source.headers.items()}
    if isinstance(source, HttpFigures):
        status, body = await _fetched(url, headers, {}, within)
        if not 200 <= status < 300:
            raise unmeasured("refused the question", f"status {status}", status=status)
        answer = _json(body)
        return {name: _picked(name, path, answer) for name, path in source.pick.items()}
    asked = {"query": source.query, "time": f"{until.timestamp():.3f}"}
    return {"value": _instant(*await _fetched(url, headers, asked, within))}


def _libraries(source: HttpFigures | PrometheusQuery) -> None:
    try:
        import httpx2  # noqa: F401 - only whether it is there

        if isinstance(source, HttpFigures):
            import jsonpath_rfc9535  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise ConfigError(
            "a metric of a web address needs libraries that are not installed",
            found=str(error.name),
            fix=_INSTALL,
        ) from None


def _address(url: str) -> str:
    if not url.lower().startswith(("http://", "https://")):
        raise ConfigError(
            "the address of a metric is not one of the web",
            found=f"it begins with {url.partition(':')[0]}:" if ":" in url else "no scheme",
            fix="write http://… or https://…",
        )
    return url


async def _fetched(
    url: str, headers: Mapping[str, str], asked: Mapping[str, str], within: timedelta
) -> tuple[int, bytes]:
    """Status and body; what is `asked` goes to Prometheus' own path behind the address.

    No redirect is followed: it would carry the headers, and keys, elsewhere.
    """
    import httpx2

    def place() -> httpx2.URL:
        whole = httpx2.URL(url)
        if not asked:
            return whole
        path = whole.path if whole.path.endswith(QUERY) else whole.path.rstrip("/") + QUERY
        return whole.copy_with(path=path).copy_merge_params(asked)

    plain = {"accept": "application/json", "accept-encoding": "identity"}
    try:
        async with (
            httpx2.AsyncClient(timeout=within.total_seconds(), follow_redirects=False) as client,
            client.stream("GET", place(), headers=plain | dict(headers)) as response,
        ):
            if response.is_redirect:
                raise unmeasured(
                    "redirects to another address, which is not followed",
                    f"status {response.status_code}",
                    "name the address that answers itself",
                )
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise unmeasured("sends a packed answer", "it was asked for a plain one")
            body = b""
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > LARGEST:
                    raise unmeasured("sends too much", f"more than {LARGEST / 1e6:g} MB")
            return response.status_code, body
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError, OSError) as error:
        # From None, and by its class alone: its text may hold the address, and keys in it.
        raise unmeasured("cannot be reached", type(error).__name__) from None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        raise unmeasured("does not answer JSON", f"{len(body):,} bytes of something else") from None


def _finite(text: str) -> float:
    told = float(text)
    return told if math.isfinite(told) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _path(name: str, path: str) -> Any:
    import jsonpath_rfc9535

    try:
        return jsonpath_rfc9535.compile(path)
    except jsonpath_rfc9535.JSONPathError as error:
        raise ConfigError(
            f"the path to the metric's number {name} is no JSONPath",
            found=f"{path}: {type(error).__name__}",
            fix='write it like "$.totals.errors" or "$.data[0].value"',
        ) from None


def _picked(name: str, path: str, answer: Any) -> float:
    if not isinstance(answer, dict | list):
        if path.strip() != "$":
            raise unmeasured(f"has nothing at {path}", "the answer is a plain value")
        return number(name, answer)
    values = _path(name, path).find(answer).values()
    if len(values) != 1:
        raise unmeasured(
            f"has {'several values' if values else 'nothing'} at {path}",
            f"{len(values):,} values for {name}",
        )
    return number(name, values[0])


def _instant(status: int, body: bytes) -> float:
    """The one number of an instant query. No series is no number: an absent counter is not 0."""
    try:
        said = _json(body) if body.strip() else None
    except Unmeasured:
        if 200 <= status < 300:
            raise
        said = None  # a page of words is what most servers refuse with
    if not isinstance(said, dict):
        raise unmeasured("does not answer as Prometheus", f"status {status}", status=status)
    if said.get("status") != "success" or not 200 <= status < 300:
        told = f"{said.get('errorType', 'no reason')}: {said.get('error', '')}"
        told = f"status {status}, {' '.join(told.split())[:200]}"
        raise unmeasured("refused the query", told, status=status)
    if said.get("warnings"):
        raise unmeasured("answered with warnings", "its data may be there in part only")
    try:
        kind, result = said["data"]["resultType"], said["data"]["result"]
        if kind == "vector":
            return _text(_only(result)["value"][1])
        if kind == "scalar":
            return _text(result[1])
    except (KeyError, IndexError, TypeError):
        raise unmeasured("does not answer as Prometheus", f"status {status}") from None
    raise unmeasured(
        "gave no single number",
        f"a {str(kind)[:20]}",
        "ask for a scalar or one series: sum(rate(errors_total[5m]))",
    )


def _only(result: Any) -> Any:
    if not result:
        raise unmeasured(
            "has no series for this query",
            "an empty vector: nothing is known, and that is not 0",
            "see that the name and the labels are right, and that it is scraped",
        )
    if len(result) != 1:
        raise unmeasured("gave no single number", f"{len(result):,} series", "add them up: sum(…)")
    return result[0]


def _text(told: Any) -> float:
    try:
        return number("value", float(str(told)))
    except ValueError:
        raise unmeasured("gave no number for value", "a text") from None
