"""How much of what a backfill is for is filled by now: counted, or by the server's guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from proctor.authoring import Backfill
from proctor.engine.counting import COUNTED_AT_ONCE, counted
from proctor.engine.site import Site
from proctor.model import Source, Span, Spec, Survey

_ENDLESS: Final = 2**31 - 1
"""So many attempts nobody uses up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """Rows that the backfill is for, now. `eligible` ones still lack their fill."""

    backfill: str
    env: str
    total: int
    done: int
    eligible: int
    share: float | None
    """The part that is done; None of nothing: an empty table proves nothing."""
    exact: bool
    """Whether all were counted; else the server's guess is in it."""


async def coverage(
    site: Site, backfill: Backfill, params: Mapping[str, str], *, exact: bool = False
) -> Covered:
    """Count what is in scope and what of that is still eligible; writes nothing.

    Unless `exact`, a big plain table is guessed at. A unit that has used up its attempts is not
    done.
    """
    spec, _ = backfill.bind(params)
    await site.store.inspect(spec)
    left = await _counted(site, replace(spec, attempts=_ENDLESS if spec.attempts else 0), exact)
    whole, total = left, left.rows
    if not spec.attempts:
        # Rows of another stamp, and those that `where=` leaves out, are told apart so alone.
        whole = await _counted(site, replace(spec, missing="1 = 1", stamp=None), exact)
        total = whole.eligible
    eligible = min(left.eligible, total)  # rows may come and go between the two
    done = total - eligible
    return Covered(
        backfill=backfill.name,
        env=site.env,
        total=total,
        done=done,
        eligible=eligible,
        share=done / total if total else None,
        exact=not (left.estimated or whole.estimated),
    )


async def _counted(site: Site, spec: Spec, exact: bool) -> Survey:  # noqa: FBT001 - as it was asked
    # Only a plain table can be guessed at.
    if exact or spec.kind is Source.QUERY or spec.into is not None:
        return await site.store.survey(spec, Span())
    return await counted(site, spec, Span(), upto=COUNTED_AT_ONCE)


__all__ = ["Covered", "coverage"]
