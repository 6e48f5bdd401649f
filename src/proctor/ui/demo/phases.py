"""The halts of the sessions' demo, who may go past them, and soaks that end badly."""

from __future__ import annotations

import json
import re
import sqlite3

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from proctor.ui.demo.stage import Broken, Stage

HELD: Final = 3
"""The exit code of a rollout that waits for a person, and of a word that is refused."""
EDITED: Final = "s-007"
"""A session whose score somebody changes between an approval and the next step."""
FELL: Final = 0.4
"""The share of profiles that readers lose, in the soak that fails."""
LEFT: Final = 200
"""One visit in so many is left, in the soak that proves nothing."""


def said_of(stage: Stage) -> dict[str, Any]:
    """What the newest rollout's own report says."""
    newest = max((stage.folder / ".proctor" / "reports").glob("r*/rollout.json"), key=_age)
    found: dict[str, Any] = json.loads(newest.read_text())
    return found


def _age(path: Path) -> float:
    return path.stat().st_mtime


def too_short(stage: Stage) -> None:
    """A soak that cannot prove what it asks for does not begin."""
    stage.scene(
        "A soak that would prove nothing",
        "Somebody wants to watch for one hour in place of six. Whether that is enough is known "
        "before it begins, from how much was counted in the same hours of earlier weeks.",
    )
    plan = stage.folder / "plan.json"
    text = plan.read_text()
    plan.write_text(text.replace('"soak_hours": 6', '"soak_hours": 1'))
    stage.fact("plan.json", '"soak_hours": 1')
    stage.ends(HELD, "rollout", "watch")
    plan.write_text(text)
    if list((stage.folder / ".proctor" / "reports").glob("r*")):
        raise Broken("a rollout began that could not pass")
    stage.good("refused before anything began; back to six hours")


def review(stage: Stage, rollout: str) -> None:
    """The first halt: nobody goes past it alone."""
    stage.scene(
        "A halt for review",
        "Without an approval it does not go on; ann began it, so ann's word does not count.",
    )
    stage.ends(HELD, "rollout", "sessions")
    approve = ("approve", rollout, "--reason", "looked at the summary and the script")
    stage.ends(HELD, *approve, who="ann")
    stage.ends(0, *approve, who="bo")


def go_or_no_go(stage: Stage, rollout: str, database: Path) -> None:
    """Phase 2: six hours, read-only; then an approval that a change of the data makes void."""
    stage.scene(
        "Phase 2: six hours of looking",
        "Read-only; conversion is compared with the same hours of the last eight weeks.",
    )
    stage.ends(HELD, "rollout", "sessions")
    page = (stage.folder / "staging_observability.md").read_text().splitlines()
    stage.typed("head -5 staging_observability.md")
    stage.console.print("\n".join(page[:5]), soft_wrap=True)
    if not page[2].startswith("**pass**") or not said_of(stage)["why"].startswith("halt"):
        raise Broken("a soak in which nothing was wrong did not pass", found=page[2])
    stage.good("it passes, and halts again")
    stage.scene(
        "An approval of something else",
        f"bo approves. Then somebody edits the score of {EDITED}, which the rollout had applied.",
    )
    stage.ends(0, "approve", rollout, "--reason", "conversion holds", who="bo")
    _sql(stage, database, f"UPDATE profiles SET type = 'edited' WHERE session_id = '{EDITED}'")
    stage.ends(HELD, "rollout", "sessions")
    if "changed since" not in said_of(stage)["why"]:
        raise Broken("an approval of other data was taken", found=str(said_of(stage)["why"]))
    stage.good("the approval is void: it was of the data as they were")
    stage.ends(0, "approve", rollout, "--reason", "the edit is ours, ticket 12", who="bo")


def look_for_more(stage: Stage, rollout: str, new: int) -> None:
    """Phase 3: the health of what came since, a plan for it, and the last halt."""
    stage.scene(
        "Phase 3: what is left",
        "Sessions since a date that have responses and no profile, in a report and a mini plan.",
    )
    stage.ends(HELD, "rollout", "sessions")
    page = (stage.folder / "prod_health_check.md").read_text()
    stage.typed("cat prod_health_check.md")
    stage.console.print(page, soft_wrap=True)
    plan = json.loads((stage.folder / "mini_plan.json").read_text())
    keys = [key[0] for key in plan["span"]["keys"]]
    stage.fact("mini plan", ", ".join(keys))
    if keys != [f"s-{100 + number}" for number in range(1, new + 1)]:
        raise Broken("the mini plan names other sessions", found=str(keys))
    stage.ends(0, "approve", rollout, "--reason", "run the mini plan today", who="bo")
    stage.ends(0, "rollout", "sessions")
    if said_of(stage)["state"] != "active":
        raise Broken("the rollout is not through", found=str(said_of(stage)["state"]))
    stage.good("three phases, three halts, each passed by somebody who did not begin it")


def soaks(stage: Stage, speed: str) -> dict[str, str]:
    """Two more soaks: one in which the conversion truly fell, one with too little traffic."""
    database = stage.folder / "app.db"
    stage.scene(
        "A conversion that truly fell",
        f"From now on {FELL:.0%} of the profiles never come. The soak is begun alone.",
    )
    _sql(
        stage,
        database,
        "UPDATE visits SET profile_at = NULL "
        f"WHERE completed_at >= '{_now()}' AND id % 10 < {round(FELL * 10)}",
    )
    stage.ends(HELD, "rollout", "watch", "--speed", speed)
    fell = said_of(stage)
    stage.fact("why", fell["why"])
    if "proved to be below 85 %" not in fell["why"]:
        raise Broken("a conversion that fell was not proved to have", found=fell["why"])
    stage.good("it fails as soon as that is proved, and no approval overrides a fail")
    stage.ends(HELD, "approve", fell["rollout"], "--reason", "it will recover", who="bo")
    stage.scene(
        "Too little traffic",
        f"The same soak, begun anew, and one visit in {LEFT} is left: nothing bad is seen, and "
        "next to nothing at all.",
    )
    _sql(
        stage,
        database,
        f"DELETE FROM visits WHERE completed_at >= '{_now()}' AND id % {LEFT} <> 0",
    )
    stage.ends(HELD, "rollout", "watch", "--retry", "the profiles come again", who="bo")
    quiet = said_of(stage)
    stage.fact("why", quiet["why"])
    held = [one for one in quiet["log"] if one["kind"] == "rollout.held"][-1]["data"]
    if held["verdict"] != "inconclusive":
        raise Broken("too little traffic was taken for an answer", found=held["verdict"])
    stage.good("inconclusive after twice its time, never green: a person decides")
    return {"fell": fell["why"], "quiet": quiet["why"]}


def _sql(stage: Stage, database: Path, statement: str) -> None:
    """Somebody else writes to the application's database."""
    said = re.sub(r"\s+", " ", statement)
    stage.typed(f'sqlite3 {database.name} "{said}"')
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute(statement)


def put_back(stage: Stage, database: Path, was: str) -> None:
    """What the demo itself had edited is as the application had written it."""
    _sql(stage, database, f"UPDATE profiles SET type = '{was}' WHERE session_id = '{EDITED}'")


def type_of(database: Path) -> str:
    """The type that the application gave the session that is edited."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        ((found,),) = connection.execute(
            "SELECT type FROM profiles WHERE session_id = ?", (EDITED,)
        )
    return str(found)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
