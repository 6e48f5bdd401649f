"""Checksums over a SQLite table, taken without Proctor: what the demo proves itself by."""

from __future__ import annotations

import hashlib
import sqlite3

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """A table at one moment; two are equal only if every value of every row is.

    `digest` is SHA-256 over the type and the bytes of every value in key order, `others` the
    same without the column that is filled; `empty` counts the rows in which that is null.
    """

    rows: int
    empty: int
    digest: str
    others: str


def fingerprint(database: Path, table: str, fills: str) -> Fingerprint:
    """Read the whole table, read-only; its first column is the key."""
    whole, others = hashlib.sha256(), hashlib.sha256()
    rows = empty = 0
    uri = f"{database.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        names = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
        # The type beside the bytes: 1 and '1' are not the same value.
        values = ", ".join(f'typeof("{n}"), CAST("{n}" AS BLOB)' for n in names)
        for row in connection.execute(f'SELECT {values} FROM "{table}" ORDER BY 2'):
            rows += 1
            for place, name in enumerate(names):
                kind, value = row[2 * place], row[2 * place + 1] or b""
                cell = b"%s:%d:" % (kind.encode(), len(value)) + value
                whole.update(cell)
                if name != fills:
                    others.update(cell)
                elif kind == "null":
                    empty += 1
    return Fingerprint(rows=rows, empty=empty, digest=whole.hexdigest(), others=others.hexdigest())
