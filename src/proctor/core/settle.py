"""Decides a page: its rows and the author's answers become what to write and where the rest ended.

Columnar, because a page has thousands of rows and nearly all of them are good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from proctor.core.answer import Answered, Failure, Refuse, Skip
from proctor.core.emit import Emitting, take_emitted
from proctor.core.values import tidy
from proctor.errors import AnswerError, EngineError
from proctor.model import Bucket, Issue, Outcome, Page, Settled, Spec

_KNOWN = frozenset({dict, Skip, Refuse, Failure})
GONE = "deleted, or no longer eligible, since it was listed"


def settle(
    page: Page,
    answers: Sequence[Answered],
    spec: Spec,
    *,
    strict: bool = False,
    unfit: Mapping[int, str] | None = None,
) -> Settled:
    """Judge one answer for each row of the page, in step with it.

    A row is written when its answer holds exactly the fills, in values that can be stored;
    the stamp's value is the spec's version. Every other row becomes an issue and is counted.
    `unfit` are positions of rows that the store itself could not send, with the reason.
    With `strict` (the first page of a run, a plan, a dry run) AnswerError is raised, and nothing
    is written, where every answer is bad in the same way, or most cannot be written for what
    they are: that is a bug of the author.
    """
    if len(answers) != len(page.keys):
        raise EngineError("a page and its answers are not in step")
    faults: dict[int, Failure] = {}
    if spec.emits:
        return _settle_units(page, answers, spec, strict=strict)
    position, columns = _take(answers, spec.fills, faults)
    if position:
        position, columns = _without(position, columns, faults)
    if unfit:
        bad = {at: unfit[i] for at, i in enumerate(position) if i in unfit}
        position, columns = _dropped(position, columns, faults, bad)
    issues, counts = _issues(page, answers, faults)
    if strict and faults:
        _refuse(faults, len(page.keys), spec)
    stamp = [[spec.version] * len(position)] if spec.stamp else []
    return Settled(
        page=page,
        index=position,
        values=list(zip(*columns, *stamp, strict=True)),
        outcome=Outcome(read=sum(counts.values()), **counts),
        issues=tuple(issues),
    )


def _settle_units(page: Page, answers: Sequence[Answered], spec: Spec, *, strict: bool) -> Settled:
    """The same where each answer is the rows that a unit gives."""
    faults: dict[int, Failure] = {}
    position, emitted = take_emitted(answers, spec, (Skip, Refuse), faults)
    issues, counts = _issues(page, answers, faults)
    if strict and faults:
        _refuse(faults, len(page.keys), spec)
    return Settled(
        page=page,
        index=position,
        values=[()] * len(position),
        outcome=Outcome(read=sum(counts.values()), **counts),
        issues=tuple(issues),
        emitted=emitted,
    )


def _take(
    answers: Sequence[Answered], fills: tuple[str, ...], faults: dict[int, Failure]
) -> tuple[Sequence[int], list[list[Any]]]:
    """The positions of the answers that hold exactly the fills, and their values by column."""
    names = spelling(fills)
    position: Sequence[int] = range(len(answers))
    given: Sequence[Any] = answers
    if not {dict}.issuperset(map(type, answers)):
        position = [i for i, a in enumerate(answers) if type(a) is dict]
        given = [answers[i] for i in position]
    columns = names.columns(given)
    if columns is not None and len(position) == len(answers):
        return position, columns
    if columns is not None and _KNOWN.issuperset(map(type, answers)):
        faults |= {i: a for i, a in enumerate(answers) if isinstance(a, Failure)}
        return position, columns
    return _one_by_one(answers, names, faults)


def _one_by_one(
    answers: Sequence[Answered], names: Spelling, faults: dict[int, Failure]
) -> tuple[Sequence[int], list[list[Any]]]:
    """The same where some answer is odd: it is named, and the good ones are still taken."""
    position, rows = [], []
    for i, answer in enumerate(answers):
        if isinstance(answer, Failure):
            faults[i] = answer
        elif not isinstance(answer, Skip | Refuse):
            found = names.read(answer)
            if isinstance(found, str):
                faults[i] = Failure(found)
            else:
                position.append(i)
                rows.append(found)
    return position, [list(column) for column in zip(*rows, strict=True)]


def _without(
    position: Sequence[int], columns: list[list[Any]], faults: dict[int, Failure]
) -> tuple[Sequence[int], list[list[Any]]]:
    """Drop the rows of which some value cannot be stored."""
    bad: dict[int, str] = {}
    for column in columns:
        bad |= tidy(column)
    return _dropped(position, columns, faults, bad) if bad else (position, columns)


def _dropped(
    position: Sequence[int],
    columns: list[list[Any]],
    faults: dict[int, Failure],
    bad: Mapping[int, str],
) -> tuple[Sequence[int], list[list[Any]]]:
    """The rows and columns without those that are bad, which become faults."""
    for at, why in bad.items():
        faults[position[at]] = Failure(why)
    kept = [at for at in range(len(position)) if at not in bad]
    return [position[at] for at in kept], [[column[at] for at in kept] for column in columns]


def _issues(
    page: Page, answers: Sequence[Answered], faults: dict[int, Failure]
) -> tuple[list[Issue], dict[str, int]]:
    """Every row that is not written, in the order of the page, and the books of them."""
    issues: list[Issue] = []
    if not {dict}.issuperset(map(type, answers)) or faults:
        for i, answer in enumerate(answers):
            if i in faults:
                reason, bucket = faults[i].reason, Bucket.FAILED
            elif isinstance(answer, Skip):
                reason, bucket = str(answer.why), Bucket.SKIPPED
            elif isinstance(answer, Refuse):
                reason, bucket = str(answer.why), Bucket.REFUSED
            else:
                continue
            issues.append(Issue(key=page.keys[i], bucket=bucket, reason=reason))
    issues += [Issue(key=key, bucket=Bucket.GONE, reason=GONE) for key in page.gone]
    return issues, dict(Counter(issue.bucket.value for issue in issues))


def _refuse(faults: Mapping[int, Failure], rows: int, spec: Spec) -> None:
    """Raise where the function itself is wrong; a few bad rows, or one that raised, are just that.

    What it raises may lie in the rows unless all raise alike; what it returns lies in its code.
    """
    odd = [failure for failure in faults.values() if not failure.cause]
    right = Emitting(spec).right if spec.emits else spelling(spec.fills).right
    if 2 * len(odd) > rows:
        (reason, _), *others = Counter(failure.reason for failure in odd).most_common()
        of = f"{len(odd):,} of the {rows:,} rows" if rows > 1 else "the row"
        raise AnswerError(
            f"the function of {spec.backfill} returns what cannot be written for {of} it was given",
            found=f"most often: {reason}" if others else reason,
            fix=f"for every row {right}, Skip(why) or Refuse(why)",
        )
    first = next(iter(faults.values()))
    if first.by_check:
        return  # it is right code for wrong data: the verdicts and the error budget say so
    if 1 < len(faults) == rows and len({failure.way for failure in faults.values()}) == 1:
        raise AnswerError(
            f"the function of {spec.backfill} fails in the same way for each of the {rows:,} rows "
            "it was given",
            found=first.reason,
            fix="mend the function; for rows that it cannot do it returns Skip(why) or Refuse(why)",
        )


@dataclass(frozen=True, slots=True)
class Spelling:
    """How an answer may name the fills: in full, or a nested one by its last name."""

    full: tuple[str, ...]
    leaf: tuple[str, ...]
    """The last names where they are unambiguous, else the full ones."""

    @property
    def right(self) -> str:
        """The return statement that would be right."""
        return "return {" + ", ".join(f'"{name}": …' for name in self.leaf) + "}"

    def columns(self, answers: Sequence[dict[str, Any]]) -> list[list[Any]] | None:
        """The values by fill; None unless every answer holds exactly the fills, spelled alike."""
        if not {len(self.full)}.issuperset(map(len, answers)):
            return None
        for names in (self.full, self.leaf):
            try:
                return [list(map(itemgetter(name), answers)) for name in names]
            except KeyError:
                continue
        return None

    def read(self, answer: object) -> tuple[Any, ...] | str:
        """One answer's values in the order of the fills, or a sentence on what is wrong."""
        if answer is None:
            return f"the function returned nothing: {self.right}, Skip(why) or Refuse(why)"
        if not isinstance(answer, Mapping):
            kind = type(answer).__name__
            return f"the function returned a {kind}: {self.right}, Skip(why) or Refuse(why)"
        given = dict(answer)
        values = []
        for full, leaf in zip(self.full, self.leaf, strict=True):
            name = full if full in given else leaf
            if name not in given:
                return f"the function left out {leaf!r}: {self.right}"
            values.append(given.pop(name))
        if given:
            odd = ", ".join(sorted(str(name)[:40] for name in given))
            return f"the function returned {odd}, which fills= does not name: {self.right}"
        return tuple(values)


@lru_cache(maxsize=64)
def spelling(fills: tuple[str, ...]) -> Spelling:
    """How answers may name these fills."""
    last = [fill.rpartition(".")[2] for fill in fills]
    leaf = tuple(
        name if last.count(name) == 1 and (name == fill or name not in fills) else fill
        for fill, name in zip(fills, last, strict=True)
    )
    return Spelling(full=fills, leaf=leaf)
