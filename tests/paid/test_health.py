"""`proctor health` where a called service writes: sessions that have no scores or profile."""

import json

import pytest

from paid.application import SESSIONS

GRID = """
from proctor import ErrorBudget, backfill, grid, table

@backfill(
    grid(id=range(1, 7), attempts=ATTEMPTS),
    touches=(
        table("fc_scores", key="id", where="session_id = :id"),
        table("profiles", key="id", where="session_id = :id"),
        table("drafts", key="id", where="session_id = :id"),
    ),
    version="v1.2", budget=ErrorBudget(share=1.0),
)
async def score(session, ctx):
    await ctx.http(provider="app", session=session["id"])
"""


@pytest.fixture(params=[5, 1])
def attempts(request):
    return request.param


@pytest.fixture
def sessions(app, attempts):
    (app.root / "backfills.py").write_text(GRID.replace("ATTEMPTS", str(attempts)))
    return app


def health(app, *words):
    ended = app.proctor("health", "score", "--json", *words)
    assert ended.code in (0, 1), ended.said
    return ended.code, ended.json


def test_sessions_that_failed_are_in_the_mini_plan_while_they_have_attempts(sessions, attempts):
    sessions.application.wrong = {2, 5}
    sessions.proctor("run", "score", "--json")
    code, said = health(sessions, "--out", "mini.json")
    assert (code, said["lacking"]) == (1, 2)
    if attempts == 1:
        assert said["reasons"] == {"failed, with no attempt left": 2}
        assert (said["keys"], said["plan"]) == (0, None)
        return
    assert said["reasons"] == {"failed": 2}
    sessions.application.wrong = set()
    sessions.run("--plan", "mini.json")
    calls = len(sessions.application.calls)
    sessions.run("--plan", "mini.json")
    assert len(sessions.application.calls) == calls
    assert health(sessions)[0] == 0


@pytest.mark.parametrize("attempts", [5], indirect=True)
def test_a_session_that_is_done_and_whose_scores_are_gone_lacks_them(sessions):
    """Where the service has deleted all, as of drafts, nothing is missing."""
    sessions.run()
    assert health(sessions)[0] == 0
    sessions.place.sql("DELETE FROM fc_scores WHERE id = 3")
    sessions.place.sql("DELETE FROM profiles WHERE session_id = 4")
    code, said = health(sessions, "--report", "prod_health_check.md")
    assert (code, said["lacking"], said["keys"]) == (1, 2, 0)
    assert said["reasons"] == {"done, but the rows of its service are not there": 2}
    assert [one["key"] for one in said["shown"]] == [[3], [4]]
    assert "take those units back" in (sessions.root / "prod_health_check.md").read_text()


@pytest.mark.parametrize("attempts", [5], indirect=True)
def test_it_calls_nobody_and_writes_nothing(sessions):
    before = sessions.data
    code, said = health(sessions, "--out", "mini.json")
    assert (code, said["lacking"]) == (1, SESSIONS)
    assert (sessions.application.calls, sessions.data) == ([], before)
    assert len(json.loads((sessions.root / "mini.json").read_text())["span"]["keys"]) == SESSIONS
