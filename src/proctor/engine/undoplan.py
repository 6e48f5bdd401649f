"""The plan of a rollback: what its dry run saw, in a file that a protected environment takes."""

from __future__ import annotations

import hashlib
import json

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from proctor.engine.approval import span_of
from proctor.engine.snapshot import Rollback
from proctor.errors import PlanVoid, UsageError
from proctor.model import Run, Span
from proctor.ports import UndoTerms

FIX = "make a new one with `proctor rollback RUN --dry-run --out FILE`, and have it looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPlan:
    """Which rows of which run are to be restored; the counts are what the dry run saw."""

    run: str
    backfill: str
    env: str
    target: str
    fills: tuple[str, ...]
    span: Span
    since: datetime | None
    settled: int
    """Rows that the run had written."""
    counts: Mapping[str, int]
    touched: bool = False
    """Whether the rows that a called service wrote are among them."""

    @classmethod
    def of(cls, seen: Rollback) -> UndoPlan:
        """The plan that a dry run amounts to."""
        run, undone = seen.run, seen.undone
        names = ("written", "restored", "changed", "gone", "blocked")
        return cls(
            run=run.id,
            backfill=run.backfill,
            env=run.env,
            target=run.target,
            fills=run.fills,
            span=seen.terms.span,
            since=seen.terms.since,
            settled=run.outcome.written,
            counts={name: int(getattr(undone, name)) for name in names},
            touched=seen.terms.touched,
        )

    @property
    def digest(self) -> str:
        """One digest over everything in it."""
        return hashlib.sha256(json.dumps(self._parts(), sort_keys=True).encode()).hexdigest()

    def _parts(self) -> dict[str, Any]:
        since = self.since.isoformat() if self.since else None
        parts = {**asdict(self), "fills": list(self.fills), "since": since}
        if not self.touched:  # as plans were written before there were such rows
            del parts["touched"]
        return parts

    def document(self) -> dict[str, Any]:
        """As the file keeps it."""
        return {"rollback": self._parts(), "digest": self.digest}

    @classmethod
    def read(cls, path: Path) -> UndoPlan:
        """From a file; UsageError when it is none, PlanVoid if it was edited."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            found = document["rollback"]
            since = found["since"]
            plan = cls(
                **{
                    **found,
                    "fills": tuple(found["fills"]),
                    "span": span_of(found["span"]),
                    "since": datetime.fromisoformat(since) if since else None,
                }
            )
            same = document["digest"] == plan.digest
        except OSError as error:
            raise UsageError(
                "the plan file cannot be read", found=f"{path}: {error.strerror}", fix=FIX
            ) from error
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UsageError(
                "this is not the plan of a rollback", found=str(path), fix=FIX
            ) from error
        if not same:
            raise PlanVoid(
                "the plan file was changed after it was made",
                found="its digest does not match its parts",
                fix=FIX,
            )
        return plan

    def terms_for(self, run: Run, asked: UndoTerms) -> UndoTerms:
        """The terms that were approved; PlanVoid unless they are this run's and what was asked."""
        if self.run != run.id or self.env != run.env:
            raise PlanVoid(
                "the plan is of another run",
                found=f"run {self.run} in {self.env}; this is run {run.id} in {run.env}",
                fix=FIX,
            )
        if not asked.whole and (asked.span, asked.since) != (self.span, self.since):
            raise PlanVoid(
                "the plan covers another part of the run",
                found="--keys, --from, --to or --since says otherwise",
                fix=f"leave them out, or {FIX}",
            )
        if self.settled != run.outcome.written:
            raise PlanVoid(
                "the run wrote more rows since the plan was made",
                found=f"{run.outcome.written:,} now, {self.settled:,} then",
                fix=FIX,
            )
        if asked.touched and not self.touched:
            raise PlanVoid(
                "the plan leaves the rows of the called service alone",
                found="--touched, which its dry run was not given",
                fix=f"leave it out, or {FIX}",
            )
        return replace(asked, span=self.span, since=self.since, touched=self.touched)
