"""A part of the key space: as it was typed, as the store understands it, and what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proctor.engine.site import Site
from proctor.engine.snapshot import Missed
from proctor.errors import OperatorError, UsageError
from proctor.model import Bucket, Issue, Key, Run, Span, Spec, Survey
from proctor.model.keytext import key_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the key space as it was typed."""

    limit: int | None = None
    keys: tuple[str, ...] = ()
    start: str | None = None
    stop: str | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing was cut off."""
        return self == Part()


async def resolve(site: Site, spec: Spec, part: Part, keys: tuple[Any, ...] = ()) -> Span:
    """A typed part as the store's own keys.

    Raises UsageError for what cannot be a key, and for bounds that are the wrong way round: a
    part that can hold no row is a slip of the hand.
    """
    parse = site.store.parse_key
    span = Span(
        start=parse(spec, part.start) if part.start is not None else None,
        stop=parse(spec, part.stop) if part.stop is not None else None,
        keys=(*dict.fromkeys((*(parse(spec, k) for k in part.keys), *keys)),),
        limit=part.limit,
    )
    if span.start is not None and span.stop is not None:
        await _refuse_backwards(site, spec, span.start, span.stop)
    return span


async def _refuse_backwards(site: Site, spec: Spec, start: Key, stop: Key) -> None:
    """Raise UsageError when the scan meets `stop` before `start`."""
    if start == stop or not await _behind(site, spec, start, stop):
        return
    order = ", ".join(f"{p.column} descending" if p.descending else p.column for p in spec.key)
    raise UsageError(
        "--from and --to are the wrong way round: no key can lie between them",
        found=f"--from {key_text(start)} --to {key_text(stop)}; keys are scanned by {order}",
        fix=f"write --from {key_text(stop)} --to {key_text(start)}",
    )


async def _behind(site: Site, spec: Spec, start: Key, stop: Key) -> bool:
    """Whether `start` comes after `stop`; where no row lies on either side, numbers can tell."""
    for part, first, last in zip(spec.key, start, stop, strict=True):
        if not (isinstance(first, int) and isinstance(last, int)):
            break
        if first != last:
            return (first < last) if part.descending else (first > last)
    # Text, collations, times: only the store knows their order.
    try:
        there = await site.store.survey(spec, Span(start=start, stop=stop), exact=False)
        if there.first is not None:
            return False
        turned = await site.store.survey(spec, Span(start=stop, stop=start), exact=False)
    except OperatorError:
        # A rollback needs no source; whoever does will say in better words what is missing.
        return False
    return turned.first is not None


def foreseen(span: Span, survey: Survey) -> Missed | None:
    """What a plan's survey says of the keys that were given; None for none, or none counted."""
    if not span.keys or survey.estimated:
        return None
    cut = span.limit is not None and survey.eligible >= span.limit
    return Missed(
        given=len(span.keys),
        not_found=len(span.keys) - survey.rows,
        not_eligible=0 if cut else survey.rows - survey.eligible,
    )


async def missed(site: Site, spec: Spec, run: Run, issues: Sequence[Issue]) -> Missed | None:
    """The keys given to a run that it did not find, or found to need nothing; None where none were.

    A run settles such a key as gone: whether its row is there at all is asked now.
    """
    if not run.span.keys:
        return None
    given = set(run.span.keys)
    gone = [i.key for i in issues if i.bucket is Bucket.GONE and i.key in given]
    not_found = len((await site.store.read_keys(spec, gone)).gone) if gone else 0
    return Missed(given=len(given), not_found=not_found, not_eligible=len(gone) - not_found)
