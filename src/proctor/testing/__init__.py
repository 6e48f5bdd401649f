"""For authors and for us: conformance suites, a fake clock, a kit to test backfills."""

from __future__ import annotations

import importlib

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proctor.testing.kit import (
        KitResult,
        assert_idempotent,
        assert_only_declared_fields,
        run_backfill,
    )

__all__ = ["KitResult", "assert_idempotent", "assert_only_declared_fields", "run_backfill"]


def __getattr__(name: str) -> object:
    """Import the kit when it is first used: pytest imports this package in every project."""
    if name in __all__:
        return getattr(importlib.import_module("proctor.testing.kit"), name)
    raise AttributeError(f"module 'proctor.testing' has no attribute {name!r}")
