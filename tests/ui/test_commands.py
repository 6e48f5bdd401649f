"""Every command on the project of `proctor init`, through the entry point that a shell calls."""

import json
import re
import sqlite3

from contextlib import closing

import pytest

REFUSED = {211, 422, 633, 844}
SKIPPED = {n for n in range(1, 1001) if n % 97 == 0}
WRITTEN = 1000 - len(REFUSED) - len(SKIPPED)

STATUS_FIELDS = {
    *("id", "backfill", "version", "env", "target", "fills", "state", "interrupted", "reason"),
    *(
        "expected",
        "expected_is_estimate",
        "read",
        "buckets",
        "still_eligible",
        "params",
        "span",
        "tuning",
        "created",
    ),
    *(
        "started",
        "ended",
        "heartbeat",
        "holder",
        "at",
        "elapsed_seconds",
        "heartbeat_age_seconds",
        "rows_per_second",
    ),
    *(
        "eta_seconds",
        "chunks_applied",
        "chunks_undone",
        "units",
        "touched",
        "chunk_rows",
        "workers",
        "throttle",
    ),
    "throttle_reason",
    "waits_for",
    "paid",
}


def filled(rows):
    return {row[0] for row in rows if row[3] is not None}


def test_list_shows_what_is_defined(shop, proctor):
    ended = proctor("list")
    assert ended.code == 0
    assert re.search(r"normalize_email +1 +email_normalized +customers +Trim and lower", ended.out)
    (only,) = proctor("list", "--json").json["backfills"]
    assert (only["name"], only["key"], only["module"]) == ("normalize_email", ["id"], "backfills")


def test_doctor_says_that_all_is_well(shop, proctor):
    ended = proctor("doctor", "--json")
    assert ended.code == 0
    assert ended.json["ok"] is True
    subjects = [finding["subject"] for finding in ended.json["findings"]]
    assert {"configuration", "ledger", "store of local", "backfill normalize_email"} <= set(
        subjects
    )
    assert "BAD" not in proctor("doctor").out


def test_doctor_says_what_is_not(shop, proctor):
    """A finding and exit 1, where any other command would be refused."""
    with closing(sqlite3.connect(shop / "shop.db")) as connection:
        connection.execute("ALTER TABLE customers DROP COLUMN email_normalized")
    ended = proctor("doctor")
    assert ended.code == 1
    assert "BAD" in ended.out
    assert "email_normalized" in ended.out


def test_doctor_looks_at_a_backfill_that_needs_parameters(shop, proctor):
    """It is well; what must be given with it is said."""
    text = (shop / "backfills.py").read_text()
    (shop / "backfills.py").write_text(
        f"{text}\n\nfrom pydantic import BaseModel\n\n\n"
        "class Scale(BaseModel):\n    factor: int\n    unit: str\n    depth: int = 3\n\n\n"
        'backfill(table("customers", key="id"), fills="email_normalized", version="1", '
        'name="scaled", params=Scale, sql="lower(email) || :factor * :depth || :unit")\n'
    )
    ended = proctor("doctor", "--json")
    assert ended.code == 0, ended.out
    (found,) = [f for f in ended.json["findings"] if f["subject"] == "backfill scaled"]
    assert "needs --param factor=… --param unit=…" in found["detail"]


def test_a_plan_is_read_at_a_glance_and_writes_nothing(shop, proctor, table):
    before = table()
    ended = proctor("plan", "normalize_email")
    assert ended.code == 0
    for said in ("1,000 eligible of 1,000", "email_normalized of customers", "Throttle", "Digest"):
        assert said in ended.out
    assert table() == before
    with closing(sqlite3.connect(shop / "shop.db")) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
    assert tables == [("customers",)]


def test_a_plan_counts_the_pauses_between_chunks(shop, proctor):
    """Two chunks of 500 rows at most, one if they grow: each is followed by its pause."""
    at_once = proctor("plan", "normalize_email", "--json").json["duration"]
    with (shop / "proctor.toml").open("a") as toml:
        toml.write("\n[run]\npause_s = 1000\n")
    forecast = proctor("plan", "normalize_email", "--json").json["duration"]
    assert at_once["high"] < 1000 <= forecast["low"] < 2000 <= forecast["high"] < 3000


def test_the_plan_file_is_the_json_answer(shop, proctor):
    """What is reviewed is what `run --plan` reads."""
    ended = proctor("plan", "normalize_email", "--out", "plan.json", "--json")
    assert ended.code == 0
    kept = json.loads((shop / "plan.json").read_text())
    assert kept == ended.json
    assert kept["survey"]["eligible"] == 1000
    assert re.fullmatch("[0-9a-f]{64}", kept["digest"])
    assert "plan.json" in ended.err


def test_a_dry_run_shows_as_many_rows_as_asked_for(shop, proctor, table):
    before = table()
    found = proctor("dry-run", "normalize_email", "--sample", "7", "--json").json
    assert [p["key"] for p in found["previews"]] == [[n] for n in range(1, 8)]
    first = found["previews"][0]
    assert first["before"] == {"email_normalized": None}
    assert first["after"] == {"email_normalized": before[0][2].strip().lower()}
    assert table() == before


def test_a_dry_run_of_chosen_keys_says_why_a_row_would_not_be_written(shop, proctor):
    shown = proctor("dry-run", "normalize_email", "--keys", "97,211").out
    assert "no e-mail address" in shown
    assert "not an e-mail address" in shown


def test_a_run_writes_what_it_says(shop, proctor, table):
    """The answer, the status and the table agree, and the reports are where it says."""
    before = table()
    ended = proctor("run", "normalize_email", "--json")
    assert ended.code == 0, ended.err
    run = ended.json
    assert run["state"] == "succeeded"
    assert run["read"] == sum(run["buckets"].values()) == 1000
    assert run["buckets"]["written"] == WRITTEN
    assert filled(table()) == set(range(1, 1001)) - SKIPPED - REFUSED
    assert [row[:3] for row in table()] == [row[:3] for row in before]
    assert (run["exit_code"], run["resumed"], run["interrupted_here"]) == (0, False, False)
    statistics = json.loads((shop / run["reports"]["json"]).read_text())
    assert (statistics["processed"], statistics["updated"]) == (1000, WRITTEN)
    assert "processed 1,000 of 1,000" in ended.err


def test_status_has_the_promised_shape(shop, proctor):
    """design.md, section 8: the runs, newest first, with these fields."""
    assert proctor("status", "--json").json == {"runs": []}
    first = proctor("run", "normalize_email", "--limit", "10", "--json").json["id"]
    second = proctor("run", "normalize_email", "--json").json["id"]
    runs = proctor("status", "--json").json["runs"]
    assert [run["id"] for run in runs] == [second, first]
    assert set(runs[0]) == STATUS_FIELDS
    assert list(runs[0]["buckets"]) == [
        *("written", "unchanged", "skipped", "refused", "failed", "conflicted", "gone")
    ]
    assert runs[0]["still_eligible"] == {"skipped": len(SKIPPED), "refused": len(REFUSED)}
    one = proctor("status", first, "--json").json["runs"]
    assert [run["id"] for run in one] == [first]
    assert "normalize_email 1 in local" in proctor("status", first).out
    assert first in proctor("status").out


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["--limit", "5"], {1, 2, 3, 4, 5}),
        (["--keys", "7, 9,800"], {7, 9, 800}),
        (["--from", "10", "--to", "12"], {10, 11, 12}),
        (["--to", "2"], {1, 2}),
    ],
)
def test_a_part_is_run_and_nothing_else(shop, proctor, table, words, keys):
    assert proctor("run", "normalize_email", *words).code == 0
    assert filled(table()) == keys


def test_more_rows_than_allowed_are_not_begun(shop, proctor, table):
    """--max-rows: a wrong `where` is found before it writes."""
    before = table()
    ended = proctor("run", "normalize_email", "--max-rows", "999")
    assert ended.code == 3
    assert "1,000 eligible, --max-rows 999" in ended.err
    assert table() == before
    assert proctor("run", "normalize_email", "--limit", "9", "--max-rows", "9").code == 0


def test_ensure_is_red_until_nothing_is_left(shop, proctor):
    """Exit 0 only when no eligible row is left."""
    ended = proctor("ensure", "normalize_email", "--json")
    assert (ended.code, ended.json["done"], ended.json["remaining"]) == (1, False, 1000)
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        connection.execute("UPDATE customers SET email_normalized = ''")
    ended = proctor("ensure", "normalize_email", "--json")
    assert (ended.code, ended.json["done"], ended.json["remaining"]) == (0, True, 0)


def test_failures_are_listed_with_reasons_and_without_values(shop, proctor):
    run = proctor("run", "normalize_email", "--json").json["id"]
    found = proctor("failures", run, "--json").json["failures"]
    assert {f["key"][0]: f["reason"] for f in found if f["bucket"] == "refused"} == dict.fromkeys(
        REFUSED, "not an e-mail address"
    )
    assert len(found) == len(REFUSED) + len(SKIPPED)
    shown = proctor("failures", run, "--limit", "1").out
    assert "ask at the desk" not in shown
    assert "and 13 more: --limit 14 lists them" in shown


def test_failed_rows_are_tried_again(shop, proctor, table):
    """After the cause is mended, only they are run."""
    good = (shop / "backfills.py").read_text()
    (shop / "backfills.py").write_text(
        good.replace(
            "    email = row",
            "    if row['id'] == 500:\n        raise ValueError('no')\n    email = row",
        )
    )
    run = proctor("run", "normalize_email", "--json").json
    assert run["buckets"]["failed"] == 1
    assert 500 not in filled(table())
    (shop / "backfills.py").write_text(good)
    again = proctor("failures", run["id"], "--retry", "--json").json
    assert (again["read"], again["buckets"]["written"]) == (1, 1)
    assert 500 in filled(table())


def test_a_run_with_too_many_failures_is_not_clean(shop, proctor):
    """Exit 1 also for a run too short for the budget to have paused it."""
    good = (shop / "backfills.py").read_text()
    (shop / "backfills.py").write_text(
        good.replace(
            "    email = row",
            "    if row['id'] < 5:\n        raise ValueError('no')\n    email = row",
        )
    )
    ended = proctor("run", "normalize_email", "--limit", "20", "--json")
    assert ended.json["buckets"]["failed"] == 4
    assert ended.code == ended.json["exit_code"] == 1


def test_verify_is_green_only_for_what_still_stands(shop, proctor):
    """P8: after a foreign change it fails; after a rollback there is nothing to verify."""
    run = proctor("run", "normalize_email", "--json").json["id"]
    seen = proctor("verify", run, "--json")
    assert (seen.code, seen.json["verdict"], seen.json["held"]) == (0, "pass", WRITTEN)
    assert seen.json["recomputed"] == 100
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        connection.execute("UPDATE customers SET email_normalized = 'x' WHERE id = 1")
    seen = proctor("verify", run)
    assert seen.code == 1
    assert seen.out.startswith("fail")
    assert proctor("rollback", run, "--yes").code == 1  # row 1 is somebody else's now
    undone = proctor("verify", run, "--json").json
    assert undone["verdict"] == "inconclusive"
    restored = f"{WRITTEN - 1:,} rows were rolled back"
    assert undone["reason"] == f"{restored}, 1 changed since and left alone"


def test_a_rollback_restores_everything(shop, proctor, table):
    """Dry first: it says the same and writes nothing."""
    before = table()
    run = proctor("run", "normalize_email", "--json").json["id"]
    after = table()
    dry = proctor("rollback", run, "--dry-run", "--json")
    assert dry.code == 0
    assert dry.json["dry_run"] is True
    assert table() == after
    done = proctor("rollback", run, "--yes", "--json")
    assert done.code == 0
    assert done.json["undone"] == dry.json["undone"]
    assert done.json["undone"]["restored"] == done.json["undone"]["written"] == WRITTEN
    assert table() == before
    assert proctor("status", run, "--json").json["runs"][0]["state"] == "rolled_back"


def test_a_rollback_of_a_range_leaves_the_rest(shop, proctor, table):
    run = proctor("run", "normalize_email", "--json").json["id"]
    assert proctor("rollback", run, "--from", "1", "--to", "900", "--yes").code == 0
    assert filled(table()) == set(range(901, 1001)) - SKIPPED - REFUSED


def test_the_undo_script_works_without_proctor(shop, proctor, table):
    before = table()
    run = proctor("run", "normalize_email", "--json").json["id"]
    ended = proctor("rollback", run, "--sql", "undo.sql", "--json")
    assert ended.code == 0
    assert ended.json["file"].endswith("undo.sql")
    assert filled(table()) != set()
    with closing(sqlite3.connect(shop / "shop.db")) as connection:
        connection.executescript((shop / "undo.sql").read_text())
    assert table() == before
    again = proctor("rollback", run, "--sql", "undo.sql")
    assert again.code == 2
    assert "there already" in again.err


def test_what_was_pruned_cannot_be_undone(shop, proctor, table):
    run = proctor("run", "normalize_email", "--json").json["id"]
    assert proctor("prune", "--older-than", "30d", "--yes", "--json").json["rows"] == 0
    assert proctor("prune", "--run", run, "--keys", "1,2", "--yes", "--json").json["rows"] == 2
    seen = proctor("verify", run, "--json")
    assert (seen.code, seen.json["verdict"]) == (1, "inconclusive")
    assert "2 rows not looked at: images were pruned" in seen.json["reason"]
    assert "2 rows can no longer be undone" in proctor("report", run).out
    script = proctor("rollback", run, "--sql", "undo.sql")
    assert script.code == 0
    assert "2 of the rows written" in (shop / "undo.sql").read_text().splitlines()[0]
    assert proctor("rollback", run, "--dry-run", "--json").json["undone"]["blocked"] == 2
    ended = proctor("rollback", run, "--yes", "--json")
    assert ended.code == 1
    books = ended.json["undone"]
    assert (books["written"], books["restored"], books["blocked"]) == (WRITTEN, WRITTEN - 2, 2)
    assert ended.json["run"]["state"] == "succeeded"
    assert "2 rows had been pruned" in ended.json["run"]["reason"]
    assert filled(table()) == {1, 2}


def test_a_persons_rows_are_forgotten_in_every_run_on_the_table(shop, proctor):
    """Whoever asks to be erased need not know which runs wrote their row."""
    run = proctor("run", "normalize_email", "--json").json
    words = ("prune", "--table", run["target"], "--keys", "3,4,999999")
    would = proctor(*words, "--dry-run", "--json").json
    assert would["rows"] == 0
    assert [r["run"] for r in would["runs"]] == [run["id"]]
    assert proctor(*words, "--yes", "--json").json["rows"] == 2
    assert proctor("rollback", run["id"], "--yes", "--json").json["undone"]["restored"] == (
        WRITTEN - 2
    )


def test_prune_alone_keeps_what_is_within_its_time(shop, proctor):
    """`undo_for` is thirty days: nothing of a run of today is forgotten."""
    run = proctor("run", "normalize_email", "--json").json["id"]
    assert proctor("prune", "--yes", "--json").json["rows"] == 0
    assert proctor("rollback", run, "--yes", "--json").json["undone"]["restored"] == WRITTEN


@pytest.mark.parametrize(
    ("form", "mark"), [("md", "# normalize\\_email"), ("html", "<!DOCTYPE html>"), ("json", "{")]
)
def test_a_report_has_three_formats(shop, proctor, form, mark):
    run = proctor("run", "normalize_email", "--json").json["id"]
    assert proctor("report", run, "--format", form).out.startswith(mark)
    ended = proctor("report", run, "--format", form, "--out", f"r.{form}")
    assert ended.code == 0
    assert (shop / f"r.{form}").read_text().startswith(mark)


def test_a_report_with_json_is_the_statistics(shop, proctor):
    run = proctor("run", "normalize_email", "--json").json["id"]
    assert proctor("report", run, "--json").json["processed"] == 1000
    assert proctor("report", run, "--json", "--format", "html").code == 2


@pytest.mark.parametrize("words", [["pause"], ["cancel"], ["resume"], ["tune", "chunk_rows=10"]])
def test_a_finished_run_takes_no_orders(shop, proctor, words):
    """Exit 3, and it says what the run is and what can still be done."""
    run = proctor("run", "normalize_email", "--json").json["id"]
    ended = proctor(words[0], run, *words[1:])
    assert ended.code == 3
    assert "succeeded" in ended.err
    assert "to mend:" in ended.err


def test_watch_needs_a_run_that_goes_on(shop, proctor):
    assert proctor("watch").code == 2
    run = proctor("run", "normalize_email", "--json").json["id"]
    ended = proctor("watch", run, "--json")
    assert ended.code == 0
    assert ended.json["state"] == "succeeded"
    assert "no run is active" in proctor("watch").err


def test_a_run_is_named_by_the_beginning_of_its_id(shop, proctor):
    run = proctor("run", "normalize_email", "--json").json["id"]
    assert proctor("status", run[:8], "--json").json["runs"][0]["id"] == run


FUNCTIONS = """
import sys

from pydantic import BaseModel

from proctor import backfill, table


class Words(BaseModel):
    times: int


@backfill(table("customers", key="id"), fills="email_normalized", name="leaves")
def leaves(row):
    sys.exit(0)


@backfill(table("customers", key="id"), fills="email_normalized", name="prints")
def prints(row):
    print("hello")
    return {"email_normalized": "x"}


@backfill(table("customers", key="id"), fills="email_normalized", name="repeats", params=Words)
def repeats(row, ctx):
    return {"email_normalized": "x" * ctx.params.times}


@backfill(table("customers", key="id"), fills="email_normalized", name="breaks")
def breaks(row):
    if row["id"] % 3 == 0:
        raise ValueError("third")
    return {"email_normalized": "x"}
"""


@pytest.fixture
def odd(shop):
    """The shop with backfills that a careful author would not write."""
    (shop / "odd.py").write_text(FUNCTIONS)
    toml = (shop / "proctor.toml").read_text()
    (shop / "proctor.toml").write_text(toml.replace('["backfills"]', '["backfills", "odd"]'))
    return shop


def test_a_function_that_ends_its_process_does_not_end_the_run_well(odd, proctor, table):
    """sys.exit(0) in a function must not turn a deploy green."""
    before = table()
    ended = proctor("run", "leaves", "--yes")
    assert ended.code == 2
    assert "sys.exit(0)" in ended.err
    assert table() == before
    assert proctor("run", "prints", "--yes").code == 0, "nothing keeps the next run off"


def test_what_a_function_prints_stays_out_of_the_document(odd, proctor):
    ended = proctor("run", "prints", "--limit", "3", "--yes", "--json")
    assert ended.json["buckets"]["written"] == 3


def test_a_plan_is_run_by_its_file_alone(odd, proctor, table):
    """Parameters and part come from the plan that was looked at."""
    words = ("repeats", "-p", "times=3", "--limit", "7")
    assert proctor("plan", *words, "--out", "plan.json").code == 0
    assert (
        proctor("run", "repeats", "--plan", "plan.json", "--json").json["buckets"]["written"] == 7
    )
    assert len(filled(table())) == 7


def test_the_same_part_goes_on_and_another_is_refused(odd, proctor):
    """An identical command resumes."""
    first = proctor("run", "breaks", "--from", "1", "--to", "600", "--yes", "--json")
    assert first.code == 1
    other = proctor("run", "breaks", "--to", "700", "--yes")
    assert other.code == 2
    assert "covers another part" in other.err
    again = proctor("run", "breaks", "--from", "1", "--to", "600", "--yes", "--json")
    assert again.json["id"] == first.json["id"]


def test_a_spent_error_budget_says_what_failed_and_where(odd, proctor):
    ended = proctor("run", "breaks", "--yes", "--json")
    assert ended.code == 1
    reason = proctor("status", ended.json["id"], "--json").json["runs"][0]["reason"]
    assert "ValueError" in reason
    assert "such as key 3" in reason


def test_a_run_is_changed_only_from_its_own_environment(shop, proctor):
    """Another name for the same database does not walk round what is protected."""
    toml = (shop / "proctor.toml").read_text()
    more = toml[toml.index("[env.local]") :].partition("\n[")[0].replace("env.local", "env.other")
    (shop / "proctor.toml").write_text(
        f"{toml}\n{more.partition('[env.other]')[1]}{more.partition('[env.other]')[2]}\n"
    )
    run = proctor("run", "normalize_email", "--yes", "--json").json["id"]
    for words in (["rollback", run, "--yes"], ["prune", "--run", run, "--yes"], ["cancel", run]):
        refused = proctor(*words, "--env", "other")
        assert refused.code == 2
        assert "belongs to environment local" in refused.err
    assert proctor("status", "--env", "other", "--json").json["runs"] == []
    assert proctor("rollback", run, "--yes").code == 0


def test_failures_are_put_together_by_cause(shop, proctor):
    """Words that quote their row make no group of their own; a limit says that there are more."""
    source = (shop / "backfills.py").read_text()
    broken = source.replace(
        '    email = row["email"]\n',
        '    if row["id"] <= 30:\n        return Refuse(f"odd order {row[\'id\']}")\n'
        '    if row["id"] in (40, 41):\n        raise ValueError(f"odd {row[\'email\']}")\n'
        '    email = row["email"]\n',
    )
    (shop / "backfills.py").write_text(broken)
    run = proctor("run", "normalize_email", "--from", "1", "--to", "400", "--json").json["id"]
    ended = proctor("failures", run, "--limit", "3")
    assert re.search("30 +refused +odd order … +odd order 1 +1,2,3,4,5 …", ended.out)
    assert re.search(
        r"2 +failed +ValueError at backfills.py:\d+ +ValueError: odd .* 40,41", ended.out
    )
    assert "and 34 more: --limit 37 lists them" in ended.out
    told = proctor("failures", run, "--limit", "3", "--json").json
    assert len(told["failures"]) == 3
    assert told["total"] == 37
    assert [group["count"] for group in told["groups"]] == [30, 4, 2, 1]
    assert told["groups"][2]["keys"] == [[40], [41]]
    by_reason = proctor("report", run, "--json").json["failures"]["by_reason"]
    assert [n for why, n in by_reason.items() if why.startswith("failed: ValueError at")] == [2]


INTO = """

@backfill(
    table("customers", key="id"), fills="low", into=table("names", key="customer"), version="1"
)
def names(row):
    \"\"\"Lower-case names, apart.\"\"\"
    return {"low": row["name"].lower()}
"""


def test_a_target_of_its_own_is_shown_with_its_source(shop, proctor):
    """Else nobody sees from the plan which table is read."""
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE names (customer INTEGER PRIMARY KEY, low TEXT)")
    with (shop / "backfills.py").open("a") as file:
        file.write(INTO)
    assert "names, from customers" in proctor("list").out
    assert re.search("reads +customers\n", proctor("plan", "names").out)
    assert proctor("plan", "names", "--json").json["source"] == "customers"
    assert "reads" not in proctor("plan", "normalize_email").out


def test_a_path_in_a_pipe_is_not_folded(shop, proctor):
    """It is copied from there; nothing is at the end of the line."""
    deep = shop / ("long" * 20) / ("deeper" * 15)
    deep.mkdir(parents=True)
    for name in ("shop.db", "proctor.toml", "backfills.py"):
        (deep / name).write_bytes((shop / name).read_bytes())
    ended = proctor("run", "normalize_email", "--config", deep / "proctor.toml")
    assert ended.code == 0
    run = re.search("Run (\\S+)", ended.out)[1]
    path = deep / ".proctor" / "reports" / run / "report.html"
    assert path.exists()
    assert f" {path.relative_to(shop)}\n" in ended.out


def test_a_dry_rollback_does_not_say_that_it_undoes(shop, proctor):
    run = proctor("run", "normalize_email", "--json").json["id"]
    ended = proctor("rollback", run, "--dry-run")
    assert "looked at 2 of 2 chunks" in ended.err
    assert "would be restored 986" in ended.err
    assert "undone" not in ended.err


def test_one_row_is_a_row(shop, proctor):
    """Numbers agree with their nouns."""
    run = proctor("run", "normalize_email", "--keys", "211", "--json").json
    assert any(step.startswith("1 row without the fill (1 refused)") for step in run["next_steps"])


def test_rows_that_somebody_emptied_again_are_no_rows_to_leave_out(shop, proctor):
    """They were written, and no `missing=` is the answer."""
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        connection.execute(
            "CREATE TRIGGER undoing AFTER UPDATE OF email_normalized ON customers "
            "WHEN NEW.id = 1 AND NEW.email_normalized IS NOT NULL "
            "BEGIN UPDATE customers SET email_normalized = NULL WHERE id = 1; END"
        )
    ended = proctor("run", "normalize_email", "--json")
    assert ended.json["still_eligible"]["written"] == 1
    (emptied,) = [step for step in ended.json["next_steps"] if "emptied" in step]
    assert "1 row that this run wrote" in emptied
    assert "missing=" not in emptied
    keys = [f["key"] for f in proctor("failures", ended.json["id"], "--json").json["failures"]]
    assert keys == sorted(keys)


def test_keys_that_a_rollback_did_not_find_are_counted(shop, proctor):
    """A slip of the hand must not look like success."""
    run = proctor("run", "normalize_email", "--limit", "5", "--json").json["id"]
    words = ["rollback", run, "--yes", "--keys", "1,2,99999"]
    said = " ".join(proctor(*words, "--dry-run").out.split())
    assert "keys missed 1 of 3 keys given: this run did not write them" in said
    assert proctor(*words, "--json").json["keys_missed"] == 1
    assert "keys missed" not in proctor("rollback", run, "--yes", "--keys", "3").out
