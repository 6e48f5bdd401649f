"""What an author writes: sources, the decorator, answers; validated at import.

What only a rollout is made of is imported when it is first used: no run need wait for it.
"""

import importlib

from typing import TYPE_CHECKING

from proctor.authoring import checks
from proctor.authoring.definition import Backfill, Check, backfill
from proctor.authoring.grids import Grid, grid
from proctor.authoring.registry import REGISTRY, ROLLOUTS, load, load_rollouts
from proctor.authoring.repairing import Instead
from proctor.authoring.replies import Declined, Unanswered, Unasked
from proctor.authoring.sources import Query, Table, query, table
from proctor.authoring.words import Context, ErrorBudget, Watch
from proctor.core.answer import Answer, Answered, Failure, Refuse, Skip

if TYPE_CHECKING:
    from proctor.authoring import metrics, probes, stages
    from proctor.authoring.rollouts import rollout

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


def __getattr__(name: str) -> object:
    """Import what a rollout is made of when it is first used."""
    if name in ("metrics", "probes", "stages"):
        return importlib.import_module(f"proctor.authoring.{name}")
    if name == "rollout":
        return importlib.import_module("proctor.authoring.rollouts").rollout
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
