"""What an author writes: sources, the decorator, answers; validated at import."""

from proctor.authoring import checks, metrics, probes, stages
from proctor.authoring.definition import Backfill, Check, backfill
from proctor.authoring.grids import Grid, grid
from proctor.authoring.registry import REGISTRY, load, load_rollouts
from proctor.authoring.repairing import Instead
from proctor.authoring.replies import Declined, Unanswered, Unasked
from proctor.authoring.rollouts import ROLLOUTS, rollout
from proctor.authoring.sources import Query, Table, query, table
from proctor.authoring.words import Context, ErrorBudget, Watch
from proctor.core.answer import Answer, Answered, Failure, Refuse, Skip

__all__ = [
    "REGISTRY",
    "ROLLOUTS",
    "Answer",
    "Answered",
    "Backfill",
    "Check",
    "Context",
    "Declined",
    "ErrorBudget",
    "Failure",
    "Grid",
    "Instead",
    "Query",
    "Refuse",
    "Skip",
    "Table",
    "Unanswered",
    "Unasked",
    "Watch",
    "backfill",
    "checks",
    "grid",
    "load",
    "load_rollouts",
    "metrics",
    "probes",
    "query",
    "rollout",
    "stages",
    "table",
]
