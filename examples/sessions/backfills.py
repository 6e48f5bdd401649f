"""Score the sessions of the plan: the application does it, and writes its own tables."""

import json

from pathlib import Path

from proctor import ErrorBudget, backfill, grid, table

PLAN = json.loads((Path(__file__).parent / "plan.json").read_text())


async def score(unit, ctx):
    """Two functions of the application, in this order: the profile is made of the scores."""
    await ctx.http(provider="score_fc_session", session=unit["session"])
    await ctx.http(provider="score_prism", session=unit["session"])


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
