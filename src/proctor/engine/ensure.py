"""Whether a backfill is done: the question that a deploy asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from proctor.authoring import Backfill
from proctor.engine.show import plural
from proctor.engine.site import Site
from proctor.model import Run, Span, Survey

_ENDLESS: Final = 2**31 - 1
"""So many attempts nobody uses up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensured:
    """The answer: rows still eligible, measured now, and the latest run if there was one.

    A unit that has used up its attempts remains too: no run takes it, and it is not done.

    `remaining` is None where nothing can count them: that is inconclusive, and never done.
    """

    remaining: int | None
    run: Run | None
    reason: str

    @property
    def done(self) -> bool:
        """Whether nothing remains to be done."""
        return self.remaining == 0


async def ensure(site: Site, backfill: Backfill, params: Mapping[str, str]) -> Ensured:
    """Count what is eligible at this moment: a finished run proves nothing about today."""
    spec, _ = backfill.bind(params)
    await site.store.inspect(spec)
    survey = await site.store.survey(spec, Span())
    runs = await site.store.runs(backfill=backfill.name)
    latest = runs[0] if runs else None
    if survey.estimated:
        return Ensured(remaining=None, run=latest, reason=_inconclusive(survey))
    if spec.attempts:
        every = await site.store.survey(replace(spec, attempts=_ENDLESS), Span())
        if every.estimated:
            return Ensured(remaining=None, run=latest, reason=_inconclusive(every))
        if failed := every.eligible - survey.eligible:
            have = "has" if failed == 1 else "have"
            why = f"{plural(failed, 'unit')} {have} failed, with no attempt left"
            if survey.eligible:
                why += f"; {survey.eligible:,} more can still be done"
            return Ensured(remaining=every.eligible, run=latest, reason=why)
    if not survey.eligible:
        return Ensured(remaining=0, run=latest, reason="no eligible row is left")
    are = "is" if survey.eligible == 1 else "are"
    why = f"{plural(survey.eligible, 'row')} {are} still eligible"
    if latest is None:
        why += "; it was never run here"
    elif latest.still_eligible:
        parts = ", ".join(f"{n:,} {r}" for r, n in latest.still_eligible.items() if n)
        why += f"; the latest run ({latest.id}, {latest.state.value}) left: {parts or 'none'}"
    else:
        why += f"; the latest run is {latest.id} ({latest.state.value})"
    return Ensured(remaining=survey.eligible, run=latest, reason=why)


def _inconclusive(survey: Survey) -> str:
    return (
        "inconclusive: the eligible rows cannot be counted within statement_timeout_s; the server "
        f"guesses about {survey.eligible:,}. Raise it in proctor.toml for this environment, or "
        "make the source's query and the conditions cheaper, by an index for example"
    )
