"""The `Meter` of a project: asks whoever a source names, within its time, and judges the answer."""

from __future__ import annotations

import asyncio

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from proctor.adapters.metrics.functions import Functions
from proctor.adapters.metrics.numbers import unmeasured
from proctor.errors import ConfigError, Unmeasured
from proctor.model import Figures, HttpFigures, PrometheusQuery, PythonFigures, SourceOfFigures


class OutsideMeter:
    """A `Meter` (see ports) for `HttpFigures`, `PrometheusQuery` and `PythonFigures`."""

    def __init__(self, fill: Callable[[str], str] = str) -> None:
        """`fill` puts the environment's values into the `${NAME}` of addresses and headers."""
        self._fill = fill
        self._functions = Functions()

    def refuse(self, source: SourceOfFigures) -> None:
        """Say before a rollout begins what could never be measured; asks nobody.

        Raises ConfigError for an address that is none, a JSONPath that is none, a missing
        library, or a variable that is not set.
        """
        if isinstance(source, HttpFigures | PrometheusQuery):
            from proctor.adapters.metrics import web

            web.refuse(source, self._fill)

    async def measure(
        self,
        source: SourceOfFigures,
        /,
        *,
        since: datetime,  # noqa: ARG002 - what these ask is about now, or says its own window
        until: datetime,
        within: timedelta,
    ) -> Figures:
        """See the port. A Prometheus query is asked for the moment `until`, the others for now."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                return await self._asked(source, until=until, within=within)
        except TimeoutError:
            seconds = within.total_seconds()
            raise unmeasured("gave no answer in time", f"none within {seconds:g} s") from None
        except ConfigError as error:
            wrong = Unmeasured(error.what, found=error.found, fix=error.fix)
            wrong.for_good = True
            raise wrong from None

    async def _asked(self, source: Any, *, until: datetime, within: timedelta) -> Figures:
        match source:
            case PythonFigures():
                return await self._functions.ask(source)
            case HttpFigures() | PrometheusQuery():
                from proctor.adapters.metrics import web

                return await web.ask(source, self._fill, until=until, within=within)
            case _:
                raise Unmeasured(
                    "nobody can measure this from outside",
                    found=type(source).__name__,
                    fix="it is measured where the rollout runs",
                )


__all__ = ["OutsideMeter"]
