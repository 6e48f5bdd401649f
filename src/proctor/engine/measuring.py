"""Looks at a metric: asks whoever knows its figures, and says of every failure that it is one."""

from __future__ import annotations

import asyncio

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from proctor.authoring import Backfill
from proctor.core.likeness import error_class
from proctor.engine.coverage import coverage
from proctor.engine.latest import examine_latest
from proctor.engine.site import Site, as_it_is
from proctor.engine.worked import time_worked
from proctor.errors import ConfigError, Denied, ProctorError, TargetError, Unmeasured
from proctor.model import (
    Bill,
    Bucket,
    CheckedRows,
    Coverage,
    Figures,
    HttpFigures,
    Issue,
    Level,
    Metric,
    Outcome,
    ProbeAnswer,
    PrometheusQuery,
    Ruling,
    RunFigures,
    SourceOfFigures,
    SqlCounts,
)
from proctor.model.metric import FAILED, OTHER
from proctor.ports import Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """Whoever can be asked for figures: the site's store and ledger, and the world outside.

    `params` are those of backfills that take some, by the backfill's name.
    """

    site: Site
    meter: Meter
    backfills: Mapping[str, Backfill]
    params: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    probe: Callable[[str], Awaitable[Figures]] | None = None
    """Asks a probe of a rollout by its name; None outside of one."""

    async def measure(
        self, metric: Metric, *, since: datetime, until: datetime, before: Figures | None = None
    ) -> Figures:
        """One look. `before` is what the look before gave, for what has grown since.

        Raises Unmeasured whatever the source fails with, also where it gives no answer within
        the metric's time-out; an error of the question is never a number.
        """
        try:
            async with asyncio.timeout(metric.timeout.total_seconds()):
                return await self._asked(metric, since, until, before or {})
        except Unmeasured:
            raise
        except ProctorError as error:
            wrong = Unmeasured(error.what, found=error.found, fix=error.fix)
            if isinstance(error, TargetError):
                wrong.for_good, wrong.missing = error.for_good, error.missing
            wrong.for_good = wrong.for_good or isinstance(error, ConfigError | Denied)
            raise wrong from None
        except TimeoutError:
            raise Unmeasured(
                f"metric {metric.name} gave no answer in time",
                found=f"none within {metric.timeout.total_seconds():g} s",
                fix="make the question cheaper, or raise timeout=",
            ) from None
        except Exception as error:  # noqa: BLE001 - also an author's check that raises
            # By its class alone: its text may hold what stands in a row.
            raise Unmeasured(
                f"metric {metric.name} could not be measured", found=type(error).__name__
            ) from None

    async def _asked(
        self, metric: Metric, since: datetime, until: datetime, before: Figures
    ) -> Figures:
        source, within = metric.source, metric.timeout
        match source:
            case SqlCounts():
                return await self.site.store.figures(
                    source.sql, since=since, until=until, within=within
                )
            case Coverage():
                return await self._covered(source)
            case RunFigures():
                return await self._of_run(source, before)
            case CheckedRows():
                return await self._checked(source)
            case ProbeAnswer() if self.probe is not None:
                return await self.probe(source.probe)
            case _:
                return await self.meter.measure(source, since=since, until=until, within=within)

    async def _covered(self, source: Coverage) -> Figures:
        seen = await coverage(self.site, *self._named(source.backfill))
        told: dict[str, float] = {
            "eligible": seen.eligible,
            "done": seen.done,
            "total": seen.total,
            "exact": int(seen.exact),
        }
        return told if seen.share is None else told | {"share": seen.share}

    async def _of_run(self, source: RunFigures, before: Figures) -> Figures:
        self._named(source.backfill)
        runs = await self.site.store.runs(backfill=source.backfill)
        if not runs:
            raise Unmeasured(f"{source.backfill} has no run in {self.site.env} yet")
        run = as_it_is(runs[0])
        accounts = (await self.site.accounts([run.id])).get(run.id, ())
        whole = sum((one.bill for one in accounts), Bill(run=run.id, provider=""))
        at_work = (await time_worked(self.site, run, self.site.clock.now())).total_seconds()
        now: dict[str, float] = {
            **run.outcome.as_dict(),
            "seconds": at_work,
            "calls": whole.calls,
            "limited": whole.limited,
            "fallbacks": whole.fallbacks,
            "usd": float(whole.most_usd),
            "spent_usd": float(whole.usd),
            "held_usd": float(whole.held_usd),
        }
        if source.errors:
            now |= _by_class(source.errors, await self.site.store.issues(run.id))
        grown = {f"{name}_new": _grown(value, before.get(name)) for name, value in now.items()}
        seconds = grown["seconds_new"]
        rate = grown["read_new"] / seconds if seconds > 0 else 0.0
        return now | grown | {"rate": rate}

    async def _checked(self, source: CheckedRows) -> Figures:
        seen = await examine_latest(
            self.site, *self._named(source.backfill), source.latest, tell=False
        )
        grave = [one for one in seen.checks if one.level is not Level.WARNING]
        return {
            "rows": seen.rows,
            "failures": sum(one.failures for one in grave),
            "critical": sum(one.failures for one in grave if one.level is Level.CRITICAL),
            "warnings": sum(one.failures for one in seen.checks if one.level is Level.WARNING),
            "unsure": sum(one.unsure for one in grave),
            "passed": int(seen.verdict is Ruling.PASS),
        }

    def _named(self, name: str) -> tuple[Backfill, Mapping[str, str]]:
        if name not in self.backfills:
            error = Unmeasured(
                f"there is no backfill named {name}",
                found=f"defined: {', '.join(sorted(self.backfills)) or 'none'}",
            )
            error.for_good = True
            raise error
        return self.backfills[name], self.params.get(name, {})


def _by_class(errors: Sequence[str], issues: Sequence[Issue]) -> dict[str, float]:
    """Failed rows by class of error: of each that was named, also where there are none."""
    counts: dict[str, float] = dict.fromkeys((f"{FAILED}{one}" for one in (*errors, OTHER)), 0)
    for issue in issues:
        if issue.bucket is Bucket.FAILED:
            name = error_class(issue.reason)
            counts[f"{FAILED}{name if name in errors else OTHER}"] += 1
    return counts


_OF_RUN: Final = {
    *Outcome().as_dict(),
    *("seconds", "calls", "limited", "fallbacks", "usd", "spent_usd", "held_usd"),
}
_GIVES: Final[Mapping[type, frozenset[str]]] = {
    Coverage: frozenset({"eligible", "done", "total", "exact", "share"}),
    CheckedRows: frozenset({"rows", "failures", "critical", "warnings", "unsure", "passed"}),
    PrometheusQuery: frozenset({"value"}),
    ProbeAnswer: frozenset({"ok"}),
}


def gives(source: SourceOfFigures) -> frozenset[str] | None:
    """The names that figures of a source can have; None where only its answer tells them."""
    match source:
        case HttpFigures():
            return frozenset(source.pick)
        case RunFigures():
            classes = {f"{FAILED}{one}" for one in (*source.errors, OTHER) if source.errors}
            counted = {*_OF_RUN, *classes}
            return frozenset({*counted, *(f"{name}_new" for name in counted), "rate"})
        case _:
            return _GIVES.get(type(source))


def _grown(now: float, then: Any) -> float:
    """What came since the look before; where it is less by now another run has begun."""
    return now - then if then is not None and then <= now else now


__all__ = ["Gauge", "gives"]
