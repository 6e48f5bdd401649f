"""Runs that do not end at once: budgets, changed code, time-outs, several processes, rollbacks."""

import json
import signal
import sqlite3

from contextlib import closing
from datetime import UTC, datetime, timedelta
from operator import itemgetter

import pytest

FAILING = '    if row["id"] % 3 == 0:\n        raise ValueError("cannot")\n    email = row["email"]'


@pytest.fixture
def failing(shop):
    """Every third row fails; mend() takes that back."""
    good = (shop / "backfills.py").read_text()
    (shop / "backfills.py").write_text(good.replace('    email = row["email"]', FAILING))

    def mend():
        (shop / "backfills.py").write_text(good)

    return mend


def settings(shop, **run):
    lines = "".join(f"{name} = {value}\n" for name, value in run.items())
    text = (shop / "proctor.toml").read_text().partition("\n[run]")[0]
    (shop / "proctor.toml").write_text(f"{text}\n[run]\n{lines}")


def test_a_spent_error_budget_pauses_and_is_not_clean(failing, shop, proctor):
    """Exit 1, paused, and it says by how much."""
    settings(shop, chunk_rows=100)
    ended = proctor("run", "normalize_email", "--json")
    assert (ended.code, ended.json["state"]) == (1, "paused")
    assert "error budget" in ended.json["reason"]
    assert ended.json["interrupted_here"] is False
    assert ended.json["read"] < 1000
    said = proctor("run", "normalize_email", "--restart").out
    assert "times ValueError: cannot" in " ".join(said.split())
    assert "such as key 3" in " ".join(said.split())
    mend, go_on, *_ = ended.json["next_steps"]
    assert "mend the function" in mend
    assert f"`proctor resume {ended.json['id']} --accept-changes code`" in go_on


def test_mended_code_goes_on_only_when_the_change_is_accepted(failing, shop, proctor, table):
    """P9: refused with exit 3 and the file's name; with --accept-changes on record."""
    settings(shop, chunk_rows=100)
    run = proctor("run", "normalize_email", "--json").json
    failing()
    refused = proctor("run", "normalize_email", "--json")
    assert refused.code == 3
    assert refused.json["error"]["kind"] == "PlanVoid"
    assert refused.json["error"]["what"] == f"code changed since run {run['id']} began"
    assert "backfills.py" in refused.json["error"]["found"]
    assert "--restart" not in proctor("resume", run["id"]).err, "it has no such option"
    ended = proctor("run", "normalize_email", "--accept-changes", "code", "--json")
    assert ended.code in (0, 1)  # the rows that had failed are still over the budget
    assert (ended.json["state"], ended.json["id"]) == ("succeeded", run["id"])
    assert "run.resumed" in proctor("report", run["id"]).out.replace("\\", "")


@pytest.fixture
def paused(failing, shop, proctor):
    """A run that has paused half-way over its rows, whose code is mended."""
    settings(shop, chunk_rows=100)
    run = proctor("run", "normalize_email", "--json").json
    assert run["state"] == "paused"
    failing()
    return run["id"]


def moved(shop, place, more=""):
    """The shop's database is in another folder now, and so says proctor.toml."""
    (shop / place).mkdir()
    (shop / "shop.db").rename(shop / place / "shop.db")
    text = (shop / "proctor.toml").read_text()
    line = f'store = "sqlite:///{place}/shop.db"\n{more}'
    (shop / "proctor.toml").write_text(text.replace('store = "sqlite:///shop.db"\n', line))


def test_a_run_goes_on_where_its_file_was_moved_to(paused, shop, proctor):
    """Its own row is in there: that is proof enough of the target, and nothing is to accept."""
    moved(shop, "restored")
    refused = proctor("resume", paused, "--json")
    assert refused.json["error"]["what"] == f"code changed since run {paused} began"
    ended = proctor("resume", paused, "--accept-changes", "code", "--json")
    assert (ended.json["id"], ended.json["state"]) == (paused, "succeeded")


def test_a_plan_is_for_the_file_that_was_looked_at(shop, proctor):
    """P9: another target is another plan, also under the same name."""
    assert proctor("plan", "normalize_email", "--out", "plan.json").code == 0
    moved(shop, "elsewhere")
    ended = proctor("run", "normalize_email", "--plan", "plan.json", "--json")
    assert ended.code == 3
    assert ended.json["error"]["what"] == "target changed since the plan was made"


def test_progress_in_the_ledger_is_no_proof_of_the_target(failing, shop, proctor):
    """There the run's row says nothing of the file that the environment names by now."""
    text = (shop / "proctor.toml").read_text()
    store = 'store = "sqlite:///shop.db"\n'
    (shop / "proctor.toml").write_text(text.replace(store, f'{store}progress = "ledger"\n'))
    settings(shop, chunk_rows=100)
    run = proctor("run", "normalize_email", "--json").json
    failing()
    moved(shop, "elsewhere")
    refused = proctor("resume", run["id"], "--accept-changes", "code", "--json")
    assert refused.code == 3
    assert refused.json["error"]["what"] == f"target changed since run {run['id']} began"


OVERFLOW = "CASE WHEN id > 75 THEN abs(-9223372036854775808) ELSE lower(email) END"


@pytest.mark.parametrize(
    ("begun", "mended"),
    [
        (f'sql="{OVERFLOW}"', 'sql="lower(email)"'),
        (f'sql="{OVERFLOW}"', 'sql="lower(email)", missing="email_normalized IS NULL AND id > 75"'),
    ],
)
def test_a_mended_expression_or_condition_goes_on_as_mended_code_does(
    shop, proctor, table, begun, mended
):
    """What failed under sql= is not begun anew: the refusal names sql= and what to type."""
    text = (
        "from proctor import ErrorBudget, backfill, table\n"
        'low = backfill(table("customers", key="id"), fills="email_normalized", version="1", '
        'name="low", budget=ErrorBudget(share=0.24), {})\n'
    )
    (shop / "backfills.py").write_text(text.format(begun))
    settings(shop, chunk_rows=20)
    run = proctor("run", "low", "--json").json
    assert run["state"] == "paused"
    (shop / "backfills.py").write_text(text.format(mended))
    refused = proctor("run", "low", "--json")
    assert refused.code == 3
    error = refused.json["error"]
    assert ("missing=" if "missing" in mended else "sql=") in error["found"]
    assert "--accept-changes code" in error["fix"]
    ended = proctor("run", "low", "--accept-changes", "code", "--json").json
    assert (ended["state"], ended["id"]) == ("succeeded", run["id"])
    later = [row for row in table() if row[0] > 100 and row[2] is not None]
    assert all(row[3] is not None for row in later)


def test_what_failed_before_the_mending_does_not_spend_the_budget_again(shop, proctor):
    """A person has looked: the rows that had failed by then are no news, on any later chunk."""
    text = (
        "from proctor import backfill, table\n"
        'low = backfill(table("customers", key="id"), fills="email_normalized", version="1", '
        'name="low", sql="{}")\n'
    )
    overflow = "CASE WHEN id <= 50 THEN abs(-9223372036854775808) ELSE lower(email) END"
    (shop / "backfills.py").write_text(text.format(overflow))
    settings(shop, chunk_rows=100)
    run = proctor("run", "low", "--json").json
    assert (run["state"], run["buckets"]["failed"]) == ("paused", 50)
    (shop / "backfills.py").write_text(text.format("lower(email)"))
    ended = proctor("run", "low", "--accept-changes", "code", "--json").json
    assert (ended["id"], ended["state"]) == (run["id"], "succeeded")
    assert ended["buckets"]["failed"] == 50


def test_a_limit_may_be_moved_while_a_run_is_paused(failing, shop, proctor):
    """Exit 3 says which limit was what; once accepted, by name, it is on record."""
    settings(shop, chunk_rows=100)
    run = proctor("run", "normalize_email", "--json").json["id"]
    with (shop / "proctor.toml").open("a") as file:
        file.write("\n[env.local.throttle]\nbusy_share = 0.9\n")
    refused = proctor("resume", run, "--json")
    assert refused.code == 3
    assert "and is 0.9" in refused.json["error"]["found"]
    assert "--accept-changes limits" in refused.json["error"]["fix"]
    failing()
    ended = proctor("resume", run, "--accept-changes", "code,limits", "--json")
    assert ended.json["state"] == "succeeded"
    actions = json.loads(proctor("report", run, "--format", "json").out)["actions"]
    assert any(a["what"] == "run.resumed" and "limits" in a["change"] for a in actions)


def test_another_version_is_another_run(failing, shop, proctor):
    """No word makes one run of two; the refusal says what was and what is."""
    settings(shop, chunk_rows=100)
    run = proctor("run", "normalize_email", "--json").json["id"]
    failing()
    text = (shop / "backfills.py").read_text()
    (shop / "backfills.py").write_text(text.replace('version="1"', 'version="2"'))
    refused = proctor("resume", run, "--accept-changes", "code", "--json")
    assert refused.code == 3
    assert "version was 1 and is 2" in refused.json["error"]["found"]
    assert "--accept" not in refused.json["error"]["fix"]


def test_restart_gives_the_unfinished_run_up(failing, shop, proctor):
    """A new run; the old one is cancelled, not forgotten."""
    settings(shop, chunk_rows=100)
    old = proctor("run", "normalize_email", "--json").json["id"]
    failing()
    new = proctor("run", "normalize_email", "--restart", "--json")
    assert new.code == 0, new.err
    runs = proctor("status", "--json").json["runs"]
    assert [(r["id"], r["state"]) for r in runs] == [
        (new.json["id"], "succeeded"),
        (old, "cancelled"),
    ]


def test_a_time_that_is_over_leaves_a_run_to_resume(shop, proctor):
    """--until: exit 130; the rest is done the next time, whole: a part is refused."""
    settings(shop, chunk_rows=10, pause_s=1.0)
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    ended = proctor("run", "normalize_email", "--until", soon, "--json")
    assert (ended.code, ended.json["state"]) == (130, "paused")
    assert ended.json["read"] < 1000
    run = ended.json["id"]
    refused = proctor("run", "normalize_email", "--limit", "5")
    assert refused.code == 2
    assert run in refused.err
    settings(shop, chunk_rows=100)
    assert proctor("resume", run, "--json").json["read"] == 1000


def test_several_processes_share_a_run(shop, proctor, table):
    """--processes: the same rows, the same books."""
    settings(shop, chunk_rows=50)
    ended = proctor("run", "normalize_email", "--processes", "2", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["read"] == sum(ended.json["buckets"].values()) == 1000
    assert sum(row[3] is not None for row in table()) == ended.json["buckets"]["written"]


def test_an_interrupted_rollback_goes_on_where_it_stopped(shop, proctor, spawn, table):
    """Exit 130; the same command finishes it, and everything is as it was."""
    before = table()
    settings(shop, chunk_rows=5)
    run = proctor("run", "normalize_email", "--json").json["id"]
    proctor("tune", run, "chunk_rows=5")
    process = spawn("rollback", run, "--yes")
    assert "undone" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert proctor("status", run, "--json").json["runs"][0]["state"] == "rolling_back"
    ended = proctor("rollback", run, "--yes", "--json")
    assert ended.code == 0, ended.err
    assert table() == before


def test_the_newest_of_two_overlapping_runs_is_undone_first(shop, proctor, table):
    """Exit 3 names the run that lies on top."""
    before = table()
    old = proctor("run", "normalize_email", "--json").json["id"]
    text = (shop / "backfills.py").read_text()
    (shop / "backfills.py").write_text(
        text.replace('version="1"', 'version="2", missing="id < 10"').replace("lower()", "upper()")
    )
    new = proctor("run", "normalize_email", "--json").json["id"]
    refused = proctor("rollback", old, "--yes")
    assert refused.code == 3
    assert new in refused.err
    assert proctor("rollback", new, "--yes").code == 0
    assert proctor("rollback", old, "--yes").code == 0
    assert table() == before


def test_rows_changed_since_are_left_alone_and_listed(shop, proctor):
    """P3: exit 1, since not everything is as it was."""
    run = proctor("run", "normalize_email", "--json").json["id"]
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        connection.execute("UPDATE customers SET email_normalized = 'mine' WHERE id = 7")
    ended = proctor("rollback", run, "--yes", "--json")
    assert ended.code == 1
    assert ended.json["undone"]["changed"] == 1
    assert [issue["key"] for issue in ended.json["undone"]["left"]] == [[7]]


def test_only_what_was_written_since_a_moment_is_undone(shop, proctor, table):
    run = proctor("run", "normalize_email", "--json").json["id"]
    after = table()
    ended = proctor("rollback", run, "--since", "2999-01-01", "--yes", "--json")
    assert (ended.code, ended.json["undone"]["written"]) == (0, 0)
    assert table() == after


def test_a_rollback_that_was_killed_lists_what_it_had_left_alone(shop, proctor, spawn, table):
    """P3: the same command again names every row, exits 1, and so do report and status."""
    settings(shop, chunk_rows=5)
    run = proctor("run", "normalize_email", "--json").json["id"]
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        others = "SET email_normalized = 'mine' WHERE id > 990 AND email_normalized IS NOT NULL"
        theirs = connection.execute(f"UPDATE customers {others}").rowcount
    written = sum(row[-1] is not None for row in table())
    rolling = spawn("rollback", run, "--yes")
    while "undone" not in (line := rolling.stderr.readline()):
        assert line, "it ended before it was killed"
    rolling.send_signal(signal.SIGKILL)
    rolling.wait(timeout=60)
    forecast = proctor("rollback", run, "--dry-run", "--json").json["undone"]
    ended = proctor("rollback", run, "--yes", "--json")
    assert ended.code == 1, ended.err
    books = ended.json["undone"]
    key = itemgetter("key")
    assert {**forecast, "left": sorted(forecast["left"], key=key)} == {
        **books,
        "left": sorted(books["left"], key=key),
    }
    assert (books["written"], books["changed"]) == (written, theirs)
    assert books["restored"] == written - theirs
    assert len(books["left"]) == theirs
    told = proctor("report", run, "--format", "json").json["rollback"]
    assert told == {**books, "left": told["left"]}
    assert [i["key"] for i in told["left"]] == [i["key"] for i in books["left"]]
    shown = proctor("status", run).out
    assert f"{theirs} of the {written} rows written were not restored" in " ".join(shown.split())
