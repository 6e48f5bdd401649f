"""Normalise the wardrobe, let people look, match shoppers by it: 5 %, then all, watched for a day.

proctor rollout wardrobe --show          what it would do, and where it stands
proctor rollout wardrobe                 begin, or go on with what people have approved
"""

import hashlib
import json
import os
import sqlite3

from contextlib import closing
from datetime import timedelta

from proctor import metrics, probes, rollout, stages

from backfills import FIELDS

FLAG = "FEATURE_SEMANTIC_MATCH"
BACKFILL = "normalize_wardrobe"
A_DAY = timedelta(hours=24)
ADDRESSES = {"staging": "WARDROBE_STAGING_URL", "production": "WARDROBE_URL"}


class ItemsChanged(Exception):  # a step that raises holds the rollout, under this name
    """What people typed is not what it was before the run."""


def rows(seen, sql):
    """What the environment's database answers, asked without Proctor."""
    address = os.environ[ADDRESSES[seen.env]] if seen.env in ADDRESSES else "sqlite:///wardrobe.db"
    if address.startswith("sqlite:///"):
        with closing(sqlite3.connect(seen.folder / address.removeprefix("sqlite:///"))) as database:
            return database.execute(sql).fetchall()
    import psycopg

    with psycopg.connect(address) as database:
        return database.execute(sql).fetchall()


def typed(seen):
    """SHA-256 of what people typed, over every item."""
    columns = ", ".join(f"CAST({name} AS text)" for name in ("id", "name", "price", *FIELDS))
    found = rows(seen, f"SELECT {columns} FROM wardrobe ORDER BY id")
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def still_typed(seen):
    """The digest from before the run; where a person has edited an item meanwhile, people look."""
    if typed(seen) != seen.answers["what people typed"]:
        raise ItemsChanged
    return "what people typed is what it was before the run"


# A failure in 200 is borne; anybody who sees an item that is not filled is one too many.
matched = metrics.http(
    "matched by meaning",
    "${MATCHING_URL}/figures",
    pick={
        "total": "$.meaning.asked",
        "failed": "$.meaning.failed",
        "unfilled": "$.meaning.unfilled",
    },
    failure_condition="result.failed > 0.005 * result.total or result.unfilled > 0",
    interval=timedelta(minutes=30),
    min_samples=10,
    critical=True,
)

rollout(
    "wardrobe",
    stages.precheck(
        probes.variables("MATCHING_URL"),
        probes.http("matching", "${MATCHING_URL}/match?shopper=1&item=2"),
        probes.sql("items", "SELECT count(*) FROM wardrobe"),
        probes.flag(FLAG),
    ),
    stages.step("what people typed", typed),
    stages.apply(BACKFILL),
    # The field is there, its arrays are well-formed and lower case, and it has its stamp.
    stages.audit(BACKFILL, name="validation", sample=100),
    stages.step("still what people typed", still_typed),
    stages.halt(
        "go or no-go",
        look=["validation in the report: ten of its rows"],
        expires=timedelta(days=7),
    ),
    stages.activate(
        FLAG,
        name="canary",
        steps=(5, 100),
        hold=timedelta(hours=2),
        metrics=[matched],
        subjects=2_000,
    ),
    # All are in, so there is nobody left to compare with: the bar is one that does not move.
    stages.soak("watch", duration=A_DAY, most=2 * A_DAY, metrics=[matched]),
    on_fail="rows",
)
