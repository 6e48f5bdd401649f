"""Reads what other tools found of the same rows: dbt, Great Expectations, pandera, Pointblank.

Of a document only names, counts and verdicts are taken: their samples hold values of rows. What
looked at no rows, raised, or has an unknown form is inconclusive, whatever the tool says of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from proctor.model import Checked, Level, Ruling

LONGEST: Final = 200
"""Characters of a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one document says. `at` is when it was made; None where it does not say."""

    tool: str
    at: datetime | None
    checks: tuple[Checked, ...]


def read(document: Any, *, rows: int) -> Evidence:
    """The findings of a document. `rows` are those that are filled, where a tool does not count."""
    match document:
        case {"metadata": {"dbt_schema_version": str(schema)}, "results": list(results)} if (
            "run-results" in schema
        ):
            found = _dbt(results, rows)
            return _made("dbt", document["metadata"].get("generated_at"), found)
        case {"success": bool(), "results": list(results), "statistics": Mapping()}:
            return _made("Great Expectations", _loaded(document), _expectations(results, rows))
        case {"SCHEMA": Mapping()} | {"DATA": Mapping()}:
            return _made("pandera", None, _schema_errors(document, rows))
        case [{"assertion_type": str()}, *_]:
            last = max(str(_field(step, "time_processed") or "") for step in document)
            return _made("Pointblank", last, [_step(step) for step in document])
        case [{"schema_context": _, "check": _, "failure_case": _}, *_]:
            return _made("pandera", None, _failure_cases(document, rows))
    return _made("an unknown tool", None, [])


def _made(tool: str, at: Any, found: Sequence[Checked]) -> Evidence:
    """Without a single finding it says nothing, and that is no pass."""
    nothing = _checked(tool, "its results", Ruling.INCONCLUSIVE, "nothing in it can be read")
    return Evidence(tool=tool, at=_moment(at), checks=tuple(found) or (nothing,))


def _checked(
    tool: str,
    name: Any,
    verdict: Ruling,
    reason: str,
    *,
    samples: int = 0,
    failures: int = 0,
    unsure: int = 0,
    level: Level = Level.ERROR,
) -> Checked:
    if verdict is Ruling.PASS and samples <= 0:
        verdict, reason = Ruling.INCONCLUSIVE, f"no row was looked at; {reason}"
    return Checked(
        kind=tool,
        field=str(name)[:LONGEST],
        level=level,
        verdict=verdict,
        reason=reason,
        samples=max(samples, failures),
        failures=failures,
        unsure=unsure,
    )


def _counted(failures: int, samples: int) -> str:
    return f"{failures:,} of {samples:,} rows failed"


def _dbt(results: Sequence[Any], rows: int) -> list[Checked]:
    """Tests; and models that did not come about, of which no test can say anything."""
    found = []
    for one in results:
        if not isinstance(one, Mapping):
            return []
        sort, _, name = str(one.get("unique_id", "")).partition(".")
        status, failures = str(one.get("status")), _whole(one.get("failures"))
        name = name.partition(".")[2] or name
        if "test" not in sort:
            if status not in ("success", "no-op"):
                found.append(_checked("dbt", name, Ruling.INCONCLUSIVE, f"{sort}: {status}"))
            continue
        told = f"{failures:,} failures; dbt does not say of how many rows, {rows:,} are filled"
        verdict = {"pass": Ruling.PASS, "warn": Ruling.FAIL, "fail": Ruling.FAIL}.get(
            status, Ruling.INCONCLUSIVE
        )
        found.append(
            _checked(
                "dbt",
                name,
                verdict,
                told if verdict is not Ruling.INCONCLUSIVE else f"its status is {status[:40]}",
                samples=rows,
                failures=failures,
                level=Level.WARNING if status == "warn" else Level.ERROR,
            )
        )
    return found


def _loaded(document: Mapping[str, Any]) -> Any:
    match document.get("meta"):
        case {"run_id": {"run_time": at}} | {"batch_markers": {"ge_load_time": at}}:
            return at
    return None


def _expectations(results: Sequence[Any], rows: int) -> list[Checked]:
    found = []
    for one in results:
        match one:
            case {"success": bool(), "expectation_config": Mapping() as config}:
                found.append(_expectation(one, config, rows))
            case _:
                return []
    return found


def _expectation(one: Mapping[str, Any], config: Mapping[str, Any], rows: int) -> Checked:
    told = config.get("kwargs")
    column = told.get("column") if isinstance(told, Mapping) else None
    name = str(config.get("type") or config.get("expectation_type"))
    name += f" of {column}" if column else ""
    critical = config.get("severity", "critical") == "critical"
    level = Level.ERROR if critical else Level.WARNING
    result = one.get("result")
    result = result if isinstance(result, Mapping) else {}
    if _raised(one.get("exception_info")):
        return _checked("Great Expectations", name, Ruling.INCONCLUSIVE, "it raised", level=level)
    failures = _whole(result.get("unexpected_count"))
    if "element_count" in result:
        missing = _whole(result.get("missing_count"))
        samples = _whole(result["element_count"]) - missing
    else:
        missing, samples = 0, rows
    return _checked(
        "Great Expectations",
        name,
        Ruling.PASS if one["success"] else Ruling.FAIL,
        _counted(failures, samples),
        samples=samples,
        failures=failures,
        unsure=missing,
        level=level,
    )


def _raised(told: Any) -> bool:
    """It says so at the top, or once for each of its metrics."""
    if not isinstance(told, Mapping):
        return False
    if "raised_exception" in told:
        return bool(told["raised_exception"])
    return bool(told)


def _schema_errors(document: Mapping[str, Any], rows: int) -> list[Checked]:
    """Pandera's report of errors: it says what failed, and nothing of what passed."""
    groups = [kinds for kinds in document.values() if isinstance(kinds, Mapping)]
    errors = [one for kinds in groups for told in kinds.values() for one in _list(told)]
    return [
        _failed(one.get("column"), one.get("check"), 1, rows)
        for one in errors
        if isinstance(one, Mapping)
    ]


def _list(told: Any) -> Sequence[Any]:
    return told if isinstance(told, list) else ()


def _failure_cases(document: Sequence[Any], rows: int) -> list[Checked]:
    counts: Counter[tuple[Any, Any]] = Counter()
    for one in document:
        if isinstance(one, Mapping):
            counts[str(one.get("column")), str(one.get("check"))] += 1
    return [_failed(column, check, n, rows) for (column, check), n in counts.items()]


def _failed(column: Any, check: Any, failures: int, rows: int) -> Checked:
    name = f"{str(check).partition('(')[0]} of {column}"  # without values that it was given
    return _checked(
        "pandera",
        name,
        Ruling.FAIL,
        f"at least {failures:,} of {max(rows, failures):,} rows failed",
        samples=rows,
        failures=failures,
    )


def _step(step: Any) -> Checked:
    """Its levels are flags; of a step that could not be made they are null, as its counts are."""
    if not isinstance(step, Mapping):
        return _checked("Pointblank", "a step", Ruling.INCONCLUSIVE, "nothing in it can be read")
    column = step.get("column")
    name = f"{step.get('assertion_type')}{f' of {column}' if column else ''}"
    samples, failures = step.get("n"), step.get("n_failed")
    if not isinstance(samples, int) or not isinstance(failures, int) or not step.get("active"):
        return _checked("Pointblank", name, Ruling.INCONCLUSIVE, "it could not be made")
    verdict, level = Ruling.PASS, Level.ERROR
    for flag in (Level.CRITICAL, Level.ERROR, Level.WARNING):
        if step.get(flag.value) is True:
            verdict, level = Ruling.FAIL, flag
            break
    bounds = any(step.get(flag.value) is not None for flag in Level)
    if failures and not bounds:
        verdict = Ruling.FAIL
    told = _counted(failures, samples)
    return _checked(
        "Pointblank", name, verdict, told, samples=samples, failures=failures, level=level
    )


def _field(step: Any, name: str) -> Any:
    return step.get(name) if isinstance(step, Mapping) else None


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _moment(at: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(at))
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


__all__ = ["Evidence", "read"]
