"""Score the sessions of the plan: the application does it, and writes its own tables."""

import json

from pathlib import Path

from proctor import ErrorBudget, backfill, grid, table

PLAN = json.loads((Path(__file__).parent / "plan.json").read_text())


async def score(unit, ctx):
    """Two functions of the application, in this order: the profile is made of the scores."""
    await ctx.http(provider="score_fc_session", session=unit["session"])
    await ctx.http(provider="score_prism", session=unit["session"])


async def score_session(session, ctx):
    """The same for a row of the application's own table."""
    await score({"session": session["id"]}, ctx)


for group, sessions in PLAN["groups"].items():
    # One backfill a group: each is run, reported and taken back by itself.
    of_group = backfill(
        grid(session=sessions),
        touches=(
            table("fc_scores", key="id", where="session_id = :session"),
            table("profiles", key="id", where="session_id = :session"),
        ),
        version=PLAN["version"],
        concurrency=4,
        budget=ErrorBudget(share=0.1),
        depends="plan.json",
        name=f"score_{group}",
    )(score)


# What came after the plan was written: those who answered and have no profile of this version.
score_new = backfill(
    table(
        "sessions",
        key="id",
        where="""
            id IN (SELECT session_id FROM responses)
            AND id NOT IN (SELECT session_id FROM profiles WHERE results_version = 'v1.2.1')
        """,
    ),
    touches=(
        table("fc_scores", key="id", where="session_id = :id"),
        table("profiles", key="id", where="session_id = :id"),
    ),
    version=PLAN["version"],
    concurrency=4,
    name="score_new",
)(score_session)
