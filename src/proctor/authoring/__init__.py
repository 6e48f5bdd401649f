"""What an author writes: sources, the decorator, answers; validated at import."""

from proctor.authoring.definition import Backfill, Check, backfill
from proctor.authoring.registry import REGISTRY, load
from proctor.authoring.sources import Query, Table, query, table
from proctor.authoring.words import Context, ErrorBudget, Watch
from proctor.core.answer import Answer, Answered, Failure, Refuse, Skip

__all__ = [
    "REGISTRY",
    "Answer",
    "Answered",
    "Backfill",
    "Check",
    "Context",
    "ErrorBudget",
    "Failure",
    "Query",
    "Refuse",
    "Skip",
    "Table",
    "Watch",
    "backfill",
    "load",
    "query",
    "table",
]
