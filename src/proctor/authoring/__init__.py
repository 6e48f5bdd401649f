"""What an author writes: sources, the decorator, answers; validated at import."""

from proctor.authoring import checks
from proctor.authoring.asking import Declined, Unanswered
from proctor.authoring.definition import Backfill, Check, backfill
from proctor.authoring.grids import Grid, grid
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
    "Declined",
    "ErrorBudget",
    "Failure",
    "Grid",
    "Query",
    "Refuse",
    "Skip",
    "Table",
    "Unanswered",
    "Watch",
    "backfill",
    "checks",
    "grid",
    "load",
    "query",
    "table",
]
