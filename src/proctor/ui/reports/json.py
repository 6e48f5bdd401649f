"""The statistics file: a run's report for other programs."""

from __future__ import annotations

from typing import Any

from proctor.engine.snapshot import Report
from proctor.model import ChunkRecord
from proctor.ui import documents, units


def document(report: Report) -> dict[str, Any]:
    """Totals first, then what they are made of.

    `processed = updated + skipped + errors`: rows written; those that needed nothing (skipped,
    unchanged, gone); those that a person should look at (refused, failed, conflicted).
    """
    books = report.run.outcome
    return {
        "run": documents.run(report.run),
        "made": documents.plain(report.made),
        "processed": books.read,
        "updated": books.written,
        "skipped": books.skipped + books.unchanged + books.gone,
        "errors": books.refused + books.failed + books.conflicted,
        "success_rate": report.success_rate,
        "duration_seconds": documents.plain(report.elapsed),
        "rows_per_second": report.rows_per_second,
        "expected": report.expected,
        "expected_is_estimate": report.run.estimated,
        "keys_missed": documents.plain(report.missed),
        "buckets": documents.buckets(books),
        "books_balance": books.balances,
        "still_eligible": documents.plain(report.run.still_eligible),
        "units": units.document(report.units),
        "touched": documents.touched(report.touched),
        "failures": {
            "total": report.issues_total,
            "by_reason": documents.plain(report.issues_by_reason),
            "listed": documents.plain(report.issues),
        },
        "questions": documents.plain(report.noted),
        "chunks": [_chunk(c) for c in report.chunks],
        **_over_time(report),
        **_paid(report),
        "sample": documents.plain(report.sample),
        "actions": [
            {"at": documents.plain(at), "who": who, "what": what, "change": change}
            for at, who, what, change in report.actions
        ],
        "warnings": list(report.warnings),
        "next_steps": list(report.next_steps),
        "rollback": documents.undone(report.rollback) if report.rollback else None,
    }


def _chunk(c: ChunkRecord) -> dict[str, Any]:
    return {
        "number": c.chunk.number,
        "after": documents.plain(c.chunk.after),
        "upto": documents.plain(c.chunk.upto),
        "sweep": c.chunk.sweep,
        "attempt": c.chunk.attempt,
        "state": c.state.value,
        "worker": c.worker,
        "applied": documents.plain(c.applied),
        "took_seconds": documents.plain(c.took),
        "read": c.outcome.read,
        "buckets": documents.buckets(c.outcome),
        "undone": c.undone,
        "has_undo": c.has_undo,
    }


def _over_time(report: Report) -> dict[str, Any]:
    """How fast it went, and when and why it waited."""
    return {
        "rates": [
            {"at": documents.plain(at), "rows_per_second": value} for at, value in report.rates
        ],
        "throttle": [{"at": documents.plain(at), "reason": why} for at, why in report.throttle],
    }


def _paid(report: Report) -> dict[str, Any]:
    """What providers were asked, beside what a plan foresaw of it."""
    written = report.run.outcome.written
    return {
        "paid": documents.paid(report.paid, report.paid_unknown, written),
        "foreseen": documents.plain(report.planned),
    }


def render(report: Report) -> str:
    """The document as text."""
    return documents.dump(document(report)) + "\n"
