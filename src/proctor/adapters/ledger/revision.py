"""Which tables of the ledger this code knows; apart from them, for they import SQLAlchemy."""

from __future__ import annotations

from typing import Final

VERSION_TABLE: Final = "proctor_ledger_version"
NEWEST: Final = "0008"
"""The revision that this code reads and writes; a test compares it with the migrations."""

__all__ = ["NEWEST", "VERSION_TABLE"]
