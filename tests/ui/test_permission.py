"""A protected environment: the typed YES, or an approved plan."""

import json
import os
import pty

import pytest

PRODUCTION = """
[env.production]
store = "sqlite:///shop.db"
protected = true
"""


@pytest.fixture
def production(shop):
    """The same shop, protected."""
    with (shop / "proctor.toml").open("a") as file:
        file.write(PRODUCTION)
    return ("--env", "production")


@pytest.fixture
def at_terminal(spawn):
    """Run a command whose stdin is a terminal, where somebody types an answer."""

    def run(answer, *words):
        keyboard, terminal = pty.openpty()
        try:
            process = spawn(*words, stdin=terminal)
            os.close(terminal)
            os.write(keyboard, answer.encode() + b"\n")
            out, err = process.communicate(timeout=60)
        finally:
            os.close(keyboard)
        return process.returncode, out, err

    return run


@pytest.mark.parametrize("words", [[], ["--yes"]])
def test_without_a_terminal_nothing_is_begun(production, proctor, table, words):
    """Exit 3: a script cannot type, and --yes is not a YES."""
    before = table()
    ended = proctor("run", "normalize_email", *production, *words, "--json")
    assert ended.code == 3
    assert ended.json["error"]["kind"] == "NotConfirmed"
    assert "--plan" in ended.json["error"]["fix"]
    assert table() == before


def test_a_typed_yes_is_heard(production, at_terminal, table):
    """It is asked with the numbers of what would happen, on stderr; stdout stays one document."""
    code, out, err = at_terminal("YES", "run", "normalize_email", *production, "--json")
    assert code == 0, err
    assert "email_normalized on 1,000 of 1,000 rows of customers" in err
    assert json.loads(out)["state"] == "succeeded"


@pytest.mark.parametrize("answer", ["yes", "y", "", "YES!"])
def test_nothing_but_yes_is_yes(production, at_terminal, table, answer):
    before = table()
    code, out, err = at_terminal(answer, "run", "normalize_email", *production)
    assert (code, out) == (3, "")
    assert "no YES was typed" in err
    assert table() == before


def test_an_approved_plan_needs_no_yes(production, proctor, table):
    assert proctor("plan", "normalize_email", *production, "--out", "plan.json").code == 0
    ended = proctor("run", "normalize_email", *production, "--plan", "plan.json", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["state"] == "succeeded"


@pytest.mark.parametrize(
    "case",
    [
        (".strip().lower()", ".lower().strip()", "backfills.py"),
        ('version="1"', 'version="2"', "changed"),
    ],
)
def test_a_plan_of_other_code_is_void(production, shop, proctor, table, case):
    """P9: exit 3, and it names what changed."""
    old, new, said = case
    before = table()
    assert proctor("plan", "normalize_email", *production, "--out", "plan.json").code == 0
    text = (shop / "backfills.py").read_text()
    (shop / "backfills.py").write_text(text.replace(old, new))
    ended = proctor("run", "normalize_email", *production, "--plan", "plan.json", "--json")
    assert ended.code == 3
    assert ended.json["error"]["kind"] == "PlanVoid"
    assert said in json.dumps(ended.json)
    assert table() == before


def test_a_reformatted_backfill_keeps_its_approval(production, shop, proctor):
    """Formatting and comments never void a plan."""
    assert proctor("plan", "normalize_email", *production, "--out", "plan.json").code == 0
    text = (shop / "backfills.py").read_text()
    (shop / "backfills.py").write_text(
        "# a comment\n" + text.replace("    email = ", "    email  =  ")
    )
    assert proctor("run", "normalize_email", *production, "--plan", "plan.json").code == 0


def test_an_edited_plan_is_void(production, shop, proctor):
    proctor("plan", "normalize_email", *production, "--out", "plan.json")
    plan = json.loads((shop / "plan.json").read_text())
    plan["parts"]["code"] = "0" * 64
    (shop / "plan.json").write_text(json.dumps(plan))
    ended = proctor("run", "normalize_email", *production, "--plan", "plan.json")
    assert ended.code == 3
    assert "changed after it was made" in ended.err


def test_a_plan_of_another_environment_is_void(production, proctor):
    proctor("plan", "normalize_email", "--out", "plan.json")
    ended = proctor("run", "normalize_email", *production, "--plan", "plan.json")
    assert ended.code == 3
    assert "env" in ended.err


def test_rollback_and_prune_ask_too(production, proctor, at_terminal, table):
    """Taking back is writing."""
    before = table()
    proctor("plan", "normalize_email", *production, "--out", "plan.json")
    ended = proctor("run", "normalize_email", *production, "--plan", "plan.json", "--json")
    run, after = ended.json["id"], table()
    for words in (["rollback", run], ["prune", "--run", run], ["rollback", run, "--yes"]):
        assert proctor(*words, *production).code == 3
    assert table() == after
    assert proctor("rollback", run, "--dry-run", *production).code == 0
    code, _, err = at_terminal("YES", "rollback", run, *production)
    assert code == 0, err
    assert f"{ended.json['buckets']['written']:,} rows of customers" in err
    assert table() == before


def test_an_open_environment_asks_only_before_taking_back(proctor, at_terminal, shop, table):
    """A y at a terminal; anything else leaves everything as it is."""
    run = proctor("run", "normalize_email", "--json").json["id"]
    after = table()
    assert at_terminal("n", "rollback", run)[0] == 130
    assert table() == after
    assert at_terminal("y", "rollback", run)[0] == 0
    assert table() != after


@pytest.mark.parametrize("words", [["rollback"], ["prune", "--run"]])
def test_taking_back_without_a_terminal_needs_a_word(shop, proctor, table, words):
    """A script that forgot --yes has undone and forgotten nothing."""
    run = proctor("run", "normalize_email", "--json").json["id"]
    after = table()
    refused = proctor(*words, run)
    assert refused.code == 3
    assert "--yes" in refused.err
    assert table() == after
    assert proctor("prune", "--run", run, "--dry-run", "--json").json["would_forget"]
    assert proctor(*words, run, "--yes").code == 0


def test_a_rollback_takes_the_plan_of_its_dry_run(production, shop, proctor, table):
    """Where nobody sits at a terminal: the plan is of this run and part, as it was looked at."""
    before = table()
    assert proctor("plan", "normalize_email", *production, "--out", "plan.json").code == 0
    run = proctor("run", "normalize_email", *production, "--plan", "plan.json", "--json").json["id"]
    refused = proctor("rollback", run, *production, "--yes")
    assert refused.code == 3
    assert "--dry-run --out FILE" in refused.err
    assert proctor("rollback", run, *production, "--dry-run", "--out", "undo.json").code == 0
    kept = json.loads((shop / "undo.json").read_text())
    assert kept["rollback"]["counts"]["restored"] == 986
    for wrong, code in (("plan.json", 2), ("other.json", 2), ("edited.json", 3)):
        text = json.dumps(kept).replace('"restored": 986', '"restored": 1')
        (shop / "edited.json").write_text(text)
        assert proctor("rollback", run, *production, "--plan", wrong).code == code
    other = ("--plan", "undo.json", "--from", "5")
    assert proctor("rollback", run, *production, *other).code == 3
    assert table() != before
    assert proctor("rollback", run, *production, "--plan", "undo.json").code == 0
    assert table() == before
    told = proctor("report", run, *production).out
    assert f"approved\\_by\\_plan={kept['digest']}" in told


def test_a_rollback_in_part_is_planned_in_part(production, shop, proctor):
    """The plan's own part is undone, though none is typed."""
    assert proctor("plan", "normalize_email", *production, "--out", "plan.json").code == 0
    run = proctor("run", "normalize_email", *production, "--plan", "plan.json", "--json").json["id"]
    words = ("rollback", run, *production)
    assert proctor(*words, "--to", "10", "--out", "undo.json").code == 2
    assert proctor(*words, "--to", "10", "--dry-run", "--out", "undo.json").code == 0
    done = proctor(*words, "--plan", "undo.json", "--json")
    assert done.json["undone"]["restored"] == 10
    assert done.json["run"]["state"] == "succeeded"
