"""Which answers which rows got, in the ledger's tables."""

from __future__ import annotations

import json

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from proctor.adapters.ledger.flights import pages
from proctor.adapters.ledger.schema import ANSWERS, LINKS
from proctor.adapters.ledger.shelf import moment
from proctor.model import Link, canonical

_AMONG: Final[sa.BindParameter[Any]] = sa.bindparam("among", expanding=True)
_OF: Final = (
    sa.select(LINKS)
    .where(LINKS.c.asker.in_(_AMONG))
    .order_by(LINKS.c.at.desc(), LINKS.c.key.desc())
)
_NAME: Final = ("asker", "label", "provider", "key")


def put(
    connection: sa.Connection,
    links: Sequence[Link],
    insert: Callable[..., Any],
    redact: Callable[[str], str],
) -> None:
    """Keep them; one that is there already is as of now."""
    rows = {tuple(getattr(one, name) for name in _NAME): _row(one, redact) for one in links}
    if not rows:
        return
    new = insert(LINKS)
    told = {name: new.excluded[name] for name in ("run", "at", "seen")}
    statement = new.on_conflict_do_update(index_elements=list(_NAME), set_=told)
    # In order of name: two who lock the same rows in different orders would wait for each other.
    connection.execute(statement, [rows[name] for name in sorted(rows)])


def of(connection: sa.Connection, askers: Sequence[str]) -> list[Link]:
    """Those of some askers, the newest first."""
    found = [
        _link(row)
        for page in pages(sorted(set(askers)))
        for row in connection.execute(_OF, {"among": page})
    ]
    return sorted(found, key=lambda one: (one.at, one.key), reverse=True)


def forget(connection: sa.Connection, run: str, before: datetime | None) -> None:
    """Delete those of the answers that are about to be forgotten: before those are."""
    gone = sa.select(ANSWERS.c.key).where(ANSWERS.c.run == run)
    if before is not None:
        gone = gone.where(ANSWERS.c.at < moment(before))
    connection.execute(sa.delete(LINKS).where(LINKS.c.key.in_(gone)))


def _row(one: Link, redact: Callable[[str], str]) -> dict[str, Any]:
    return {
        "asker": one.asker,
        "label": one.label,
        "provider": one.provider,
        "key": one.key,
        "run": redact(one.run),
        "at": moment(one.at),
        "seen": canonical(dict(one.seen)),
    }


def _link(row: sa.Row[Any]) -> Link:
    fields = row._asdict()
    at, seen = datetime.fromisoformat(fields.pop("at")), json.loads(fields.pop("seen"))
    return Link(**fields, at=at, seen=seen)


__all__ = ["forget", "of", "put"]
