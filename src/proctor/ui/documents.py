"""Every value that a command prints, as plain JSON with stable names."""

from __future__ import annotations

import dataclasses
import enum
import json
import math

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proctor.engine.snapshot import Estimate, Rollback, Snapshot, Unwritten, Verification
from proctor.engine.writing import replace_now
from proctor.errors import ProctorError
from proctor.model import ABSENT, Account, Outcome, Run, TouchedBooks, Undone

if TYPE_CHECKING:
    from proctor.engine.audit import Audit


def plain(value: Any) -> Any:
    """Anything of the read model as JSON-safe values.

    Times become ISO 8601 text, lengths of time seconds, enumerations their word, dataclasses
    objects with their field names.
    """
    match value:
        case enum.Enum():
            said: Any = {"absent": True} if value is ABSENT else value.value
        case float():
            said = value if math.isfinite(value) else None  # JSON has no word for it
        case None | str() | int():
            said = value
        case datetime():
            said = value.isoformat()
        case timedelta():
            said = round(value.total_seconds(), 6)
        case Mapping():
            said = {str(k): plain(v) for k, v in value.items()}
        case list() | tuple() | AbstractSet():
            said = [plain(v) for v in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            said = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        case _:
            said = str(value)
    return said


def dump(document: Any) -> str:
    """One JSON document, indented, in the order it was made."""
    return json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False)


def buckets(outcome: Outcome) -> dict[str, int]:
    """The seven buckets; they add up to the rows read."""
    return {name: n for name, n in outcome.as_dict().items() if name != "read"}


def run(record: Run) -> dict[str, Any]:
    """A run as its target remembers it."""
    return {
        "id": record.id,
        "backfill": record.backfill,
        "version": record.version,
        "env": record.env,
        "target": record.target,
        "fills": list(record.fills),
        "state": record.state.value,
        "interrupted": record.interrupted,
        "reason": record.reason,
        "expected": record.expected,
        "expected_is_estimate": record.estimated,
        "read": record.outcome.read,
        "buckets": buckets(record.outcome),
        "still_eligible": plain(record.still_eligible),
        "params": _parsed(record.params),
        "span": plain(record.span),
        "tuning": plain(record.tuning),
        "created": plain(record.created),
        "started": plain(record.started),
        "ended": plain(record.ended),
        "heartbeat": plain(record.heartbeat),
        "holder": str(record.holder) if record.holder else None,
    }


def snapshot(seen: Snapshot) -> dict[str, Any]:
    """A run at one moment: the run's own fields, and how it moves."""
    return run(seen.run) | {
        "at": plain(seen.at),
        "expected": seen.expected if seen.expected is not None else seen.run.expected,
        "heartbeat_age_seconds": plain(seen.silent_for),
        "elapsed_seconds": plain(seen.elapsed),
        "rows_per_second": seen.rate,
        "eta_seconds": _range(seen.eta),
        "chunks_applied": seen.chunks_applied,
        "chunks_undone": seen.chunks_undone,
        "units": dict(seen.units.states) if seen.units else None,
        "touched": touched(seen.touched),
        "chunk_rows": seen.chunk_rows,
        "workers": seen.workers,
        "throttle": [plain(s) | {"load": s.load} for s in seen.throttle],
        "throttle_reason": seen.throttle_reason,
        "waits_for": list(seen.paid_waits),
        "paid": paid(seen.paid, seen.paid_unknown, seen.run.outcome.written),
    }


def paid(accounts: Sequence[Account], unknown: str, written: int) -> dict[str, Any]:
    """What a run has asked of providers; money as text, for it is exact."""
    total = None if unknown else sum((one.bill.most_usd for one in accounts), Decimal(0))
    return {
        "usd": plain(total),
        "usd_per_row": plain(total / written if total is not None and written else None),
        "unknown": unknown,
        "providers": [_account(one, written) for one in accounts],
    }


def _account(one: Account, written: int) -> dict[str, Any]:
    bill = plain(one.bill)
    return {
        "provider": one.name,
        "model": one.model,
        **{name: bill[name] for name in bill if name not in ("run", "provider")},
        "open_batches": list(one.open),
        "usd_per_row": plain(one.a_row(written)),
        "left_usd": plain(one.left_usd),
        "minute": {"calls": one.spent.minute, "rpm": one.limits.rpm}
        | {"tokens": one.spent.minute_tokens, "tpm": one.limits.tpm},
        "today": {"calls": one.spent.today, "daily": one.limits.daily}
        | {"begins_anew": plain(one.waits_until)},
    }


def undone(books: Undone) -> dict[str, Any]:
    """The books of an undo: its rows end in exactly one of the four."""
    return {
        "written": books.written,
        "restored": books.restored,
        "changed": books.changed,
        "gone": books.gone,
        "blocked": books.blocked,
        "left": plain(books.left),
    }


def rollback(ended: Rollback) -> dict[str, Any]:
    """How a rollback ended."""
    return {
        "run": run(ended.run),
        "dry_run": ended.dry_run,
        "interrupted_here": ended.interrupted,
        "chunks": ended.chunks,
        "elapsed_seconds": plain(ended.elapsed),
        "keys_missed": ended.keys_missed,
        "undone": undone(ended.undone),
        "touched": {
            "undone": plain(ended.untouched.tables),
            "stood_as_before": ended.untouched.back,
            "left": plain(ended.untouched.left),
            "not_undone": touched(ended.touched),
        }
        if ended.touched.names
        else None,
    }


def touched(books: TouchedBooks) -> dict[str, Any] | None:
    """Rows that called services wrote, by table; None where the backfill declares none."""
    if not books.names:
        return None
    return {
        "tables": list(books.names),
        "rows": [{k: v for k, v in plain(t).items() if k != "left"} for t in books.tables],
        "undone": books.undone,
        "left_alone": books.left,
        "calls_of_unknown_end": books.unseen,
    }


def unwritten(found: Unwritten, limit: int | None) -> dict[str, Any]:
    """Rows that were read and not written: all of them, or `limit`; and their causes."""
    return {
        "run": found.run.id,
        "total": len(found.issues),
        "groups": plain(found.groups),
        "failures": plain(found.issues[:limit]),
    }


def verification(seen: Verification) -> dict[str, Any]:
    """What `verify` saw: rows that hold, changed and gone, and those recomputed."""
    return {
        "run": run(seen.run),
        "verdict": seen.verdict,
        "reason": seen.reason,
        "written": seen.held.written,
        "held": seen.held.restored,
        "changed": seen.held.changed,
        "gone": seen.held.gone,
        "left": plain(seen.held.left),
        "recomputed": seen.recomputed,
        "different": plain(seen.different),
        "touched": {
            "written": seen.touched.written,
            "held": seen.touched.restored,
            "changed": seen.touched.changed,
        }
        if seen.touched is not None
        else None,
    }


def audit(seen: Audit) -> dict[str, Any]:
    """A sample's verdicts and what they prove, each claim also in words."""
    return {
        **plain(seen),
        "claims": [{**plain(claim), "told": claim.told} for claim in seen.claims],
        "shown": [{"key": plain(key), "values": plain(values)} for key, values in seen.shown],
    }


def error(fault: ProctorError) -> dict[str, Any]:
    """An error in its three parts, with the exit code that goes with it."""
    return {
        "error": {
            "kind": type(fault).__name__,
            "what": fault.what,
            "found": fault.found,
            "fix": fault.fix,
            "exit_code": fault.exit_code,
        }
    }


def write(document: Any, path: Path) -> None:
    """Write a document where a person asked for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_now(path, dump(document) + "\n")


def _range(forecast: Estimate | None) -> dict[str, Any] | None:
    if forecast is None:
        return None
    return {"low": plain(forecast.low), "high": plain(forecast.high)}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text
