"""How rows are counted before a run: one by one up to so many, by the server's guess beyond."""

from __future__ import annotations

from typing import Final

from proctor.engine.site import Site
from proctor.model import Source, Span, Spec, Survey

COUNTED: Final = 50_000_000
"""Rows that are counted for a plan, whose numbers somebody approves: it takes a minute or so."""
COUNTED_AT_ONCE: Final = 200_000
"""Rows that are counted before a run without a plan begins: it takes no time."""


async def counted(site: Site, spec: Spec, span: Span, *, upto: int) -> Survey:
    """A survey whose counts are exact if the server guesses that there are up to so many rows.

    An estimate is good for a plain table only.
    """
    if spec.kind is Source.QUERY or spec.into is not None:
        return await site.store.survey(spec, span)
    guess = await site.store.survey(spec, span, exact=False)
    if guess.estimated and guess.rows <= upto:
        return await site.store.survey(spec, span)
    return guess
