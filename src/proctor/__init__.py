"""Proctor runs backfills on live databases: planned, guarded, audited, exactly undone.

Everything public is here, and is imported when it is first used: `import proctor` is light.
"""

from __future__ import annotations

import importlib

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proctor.authoring import (
        Answer,
        Backfill,
        Context,
        Declined,
        ErrorBudget,
        Grid,
        Instead,
        Query,
        Refuse,
        Skip,
        Table,
        Unanswered,
        Watch,
        backfill,
        checks,
        grid,
        metrics,
        probes,
        query,
        rollout,
        stages,
        table,
    )
    from proctor.errors import (
        AnswerError,
        AuthorError,
        ConfigError,
        DefinitionError,
        Denied,
        EngineError,
        FlagFault,
        FlagMoved,
        HeldError,
        IllegalMove,
        NotApproved,
        NotConfirmed,
        OperatorError,
        OutOfQuota,
        PlanVoid,
        ProctorError,
        ProviderRefused,
        RunActive,
        TargetError,
        Unmeasured,
        Unreachable,
        UsageError,
    )

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AnswerError",
    "AuthorError",
    "Backfill",
    "ConfigError",
    "Context",
    "Declined",
    "DefinitionError",
    "Denied",
    "EngineError",
    "ErrorBudget",
    "FlagFault",
    "FlagMoved",
    "Grid",
    "HeldError",
    "IllegalMove",
    "Instead",
    "NotApproved",
    "NotConfirmed",
    "OperatorError",
    "OutOfQuota",
    "PlanVoid",
    "ProctorError",
    "ProviderRefused",
    "Query",
    "Refuse",
    "RunActive",
    "Skip",
    "Table",
    "TargetError",
    "Unanswered",
    "Unmeasured",
    "Unreachable",
    "UsageError",
    "Watch",
    "__version__",
    "backfill",
    "checks",
    "grid",
    "metrics",
    "probes",
    "query",
    "rollout",
    "stages",
    "table",
]

_ROOMS = ("proctor.errors", "proctor.authoring")


def __getattr__(name: str) -> object:
    """Import the room that has a public name when the name is first used."""
    if name in __all__:
        for room in map(importlib.import_module, _ROOMS):
            if hasattr(room, name):
                value: object = getattr(room, name)
                globals()[name] = value
                return value
    raise AttributeError(f"module 'proctor' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
