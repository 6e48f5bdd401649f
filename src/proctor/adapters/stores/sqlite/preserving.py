"""Columns that a trigger would touch and that the author wants kept as they are."""

from __future__ import annotations

import sqlite3

from collections.abc import Mapping, Sequence
from typing import Any

from proctor.adapters.stores.sqlite.frame import Frame
from proctor.adapters.stores.sqlite.rows import target_rows
from proctor.adapters.stores.sqlite.session import Session
from proctor.adapters.stores.sqlite.values import bindable, exact
from proctor.adapters.stores.sqlite.writing import Batch, write_mixed
from proctor.model import Key


def put_back(
    session: Session,
    connection: sqlite3.Connection,
    frame: Frame,
    keys: Sequence[Key],
    before: Mapping[Key, Sequence[Any]],
) -> None:
    """Give the preserved columns of rows just written their former values.

    Raises IntegrityError where a trigger changes them again: then those rows are refused.
    """
    names = frame.spec.preserve
    if not names or not before:
        return
    changed = _changed(session, connection, frame, keys, before)
    if not changed:
        return
    write_mixed(
        connection,
        Batch(
            table=frame.target,
            key_names=frame.target_key,
            names=names,
            keys=changed,
            columns=[[bindable(before[k][i]) for k in changed] for i in range(len(names))],
        ),
    )
    if _changed(session, connection, frame, changed, before):
        raise sqlite3.IntegrityError(
            f"{', '.join(names)} cannot be preserved: a trigger changes it whenever it is put back"
        )


def _changed(
    session: Session,
    connection: sqlite3.Connection,
    frame: Frame,
    keys: Sequence[Key],
    before: Mapping[Key, Sequence[Any]],
) -> list[Key]:
    now = target_rows(session, connection, frame, frame.spec.preserve, keys)
    return [k for k in keys if k in now and exact(now[k]) != exact(before[k])]
