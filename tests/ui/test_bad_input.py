"""Bad input gets one clear error and exit code 2, and nothing is written."""

import sqlite3

from contextlib import closing

import pytest


def edited(shop, old, new, *, file="backfills.py"):
    text = (shop / file).read_text()
    assert old in text
    (shop / file).write_text(text.replace(old, new))


def refused(ended, *said):
    """One error of three lines at most, in people's words."""
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    assert ended.err.count("error: ") == 1
    for words in said:
        assert words in ended.err, ended.err


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    "case",
    [
        ('table("customers"', 'table("costumers"', "costumers"),
        ('key="id"', 'key="ident"', "ident"),
        ('key="id"', 'key="name"', "name"),
        ('fills="email_normalized"', 'fills="email_normalised"', "email_normalised"),
        ('fills="email_normalized"', 'fills="id"', "id"),
        ("def normalize_email(row):", "def normalize_email(:", "backfills.py"),
        ("from proctor import", "import nowhere\nfrom proctor import", "nowhere"),
        ('version="1",', "version=1,", "version"),
    ],
)
def test_a_wrong_definition(shop, proctor, table, command, case):
    """Named by the word that is wrong; the table stays as it was."""
    old, new, said = case
    before = table()
    edited(shop, old, new)
    refused(proctor(command, "normalize_email"), said)
    assert table() == before


@pytest.mark.parametrize(
    "case",
    [
        ('{"email_normalized": "x", "email": "x"}', "email"),
        ('{"email_normalized": float("nan")}', "email_normalized"),
        ('{"email_normalized": object()}', "email_normalized"),
        ('{"email_normalized": 10**30}', "more than 64 bits"),
        ('"x"', "returned"),
        ("None", "returned"),
    ],
)
@pytest.mark.parametrize("command", ["dry-run", "run"])
def test_a_wrong_answer(shop, proctor, table, command, case):
    """Seen in plan, dry run or first chunk."""
    answer, said = case
    before = table()
    edited(shop, '    email = row["email"]', f"    return {answer}")
    refused(proctor(command, "normalize_email"), said)
    assert table() == before


@pytest.mark.parametrize("command", ["plan", "dry-run", "run"])
def test_mostly_wrong_answers(shop, proctor, table, command):
    """Six rows of ten: the function is wrong, not the rows."""
    before = table()
    odd = '    if row["id"] % 10 < 6:\n        return {"emial": 1}\n    email = row["email"]'
    edited(shop, '    email = row["email"]', odd)
    refused(proctor(command, "normalize_email", "--from", "1"), "left out", "return {")
    assert table() == before


def test_one_wrong_answer_is_a_failed_row(shop, proctor):
    odd = '    if row["id"] == 7:\n        return {"emial": 1}\n    email = row["email"]'
    edited(shop, '    email = row["email"]', odd)
    ended = proctor("run", "normalize_email", "--json")
    assert (ended.code, ended.json["state"]) == (0, "succeeded")
    assert ended.json["buckets"]["failed"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "nobody"], "normalize_email"),
        (["run", "normalize_email", "--env", "moon"], "moon"),
        (["run", "normalize_email", "--until", "tomorrow"], "tomorrow"),
        (["run", "normalize_email", "--keys", "one"], "one"),
        (["run", "normalize_email", "--keys", "1,,2"], "empty key"),
        (["run", "normalize_email", "--from", "x'; DROP TABLE customers; --"], "DROP"),
        (["run", "normalize_email", "--param", "depth"], "KEY=VALUE"),
        (["run", "normalize_email", "--param", "depth=3"], "depth"),
        (["run", "normalize_email", "--plan", "nowhere.json"], "plan"),
        (["run", "normalize_email", "--plan", "proctor.toml"], "plan"),
        (
            ["run", "normalize_email", "--accept-changes", "everything", "--limit", "1"],
            "everything",
        ),
        (["run", "normalize_email", "--limit", "0"], "--limit"),
        (["run", "normalize_email", "--workers", "many"], "--workers"),
        (["status", "nobody"], "nobody"),
        (["watch", "nobody"], "nobody"),
        (["rollback", "nobody"], "nobody"),
        (["failures", "nobody"], "nobody"),
        (["report", "nobody"], "nobody"),
        (["verify", "nobody"], "nobody"),
        (["cancel", "nobody"], "nobody"),
        (["tune", "nobody"], "what to change"),
        (["prune", "--keys", "1", "--older-than", "30d"], "--table"),
        (["prune", "--keys", "1"], "--run"),
        (["prune", "--older-than", "long"], "long"),
        (["run", "normalize_email", "--keys", ""], "empty key"),
        (["report", "x", "--format", "pdf"], "pdf"),
        (["completion", "ksh"], "ksh"),
        (["demo", "opera"], "opera"),
    ],
)
def test_a_wrong_word(shop, proctor, table, words, said):
    """Each names what is wrong."""
    before = table()
    refused(proctor(*words), said)
    assert table() == before


@pytest.mark.parametrize("change", ["chunk_rows=0", "speed=3", "workers=many", "chunk_rows"])
def test_a_wrong_knob(shop, proctor, change):
    run = proctor("run", "normalize_email", "--limit", "1", "--json").json["id"]
    ended = proctor("tune", run, change)
    refused(ended, change.partition("=")[0])
    assert "invalid literal" not in ended.err


def test_no_project(tmp_path, monkeypatch, proctor):
    monkeypatch.chdir(tmp_path)
    refused(proctor("plan", "normalize_email"), "proctor.toml", "proctor init")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backfills = [", "proctor.toml"),
        (
            'backfills = ["backfills"]\ncolour = "red"\n[env.local]\nstore="sqlite:///shop.db"',
            "colour",
        ),
        ('backfills = ["nowhere"]\n[env.local]\nstore="sqlite:///shop.db"', "nowhere"),
        ('backfills = ["backfills"]\n[env.local]\nstore="oracle://x/y"', "oracle"),
        ('backfills = ["backfills"]\n[env.local]\nstore="${NOT_SET}"', "NOT_SET"),
        ('backfills = ["backfills"]\n[env.local]\nstore="sqlite:///nowhere/shop.db"', "shop.db"),
    ],
)
def test_a_wrong_configuration(shop, proctor, text, said):
    (shop / "proctor.toml").write_text(text)
    refused(proctor("plan", "normalize_email"), said)


def test_a_password_in_the_configuration_is_never_shown(shop, proctor):
    """P12, also with --debug: neither in the error nor in its traceback."""
    (shop / "proctor.toml").write_text(
        'backfills = ["backfills"]\n[env.local]\nstore="postgresql://app:hunter2@127.0.0.1:1/shop"'
    )
    ended = proctor("status", "--debug", "--log", "json")
    assert ended.code == 2
    assert "Traceback" in ended.err
    assert "hunter2" not in ended.err + ended.out


def test_a_fault_of_the_authors_module_is_not_a_traceback(shop, proctor):
    edited(shop, "from proctor import", "1 / 0\nfrom proctor import")
    ended = proctor("plan", "normalize_email", "--json")
    refused(ended, "ZeroDivisionError", "backfills.py")
    assert ended.json["error"]["kind"] == "DefinitionError"


def test_hostile_names_are_only_names(shop, proctor):
    """A table called by what would harm a shell, a terminal or SQL is run like any other."""
    name = 'cust"; DROP TABLE customers; -- \x1b[31m'
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        quoted = name.replace('"', '""')
        connection.execute(f'CREATE TABLE "{quoted}" AS SELECT * FROM customers WHERE id < 5')
        connection.execute(f'CREATE UNIQUE INDEX one ON "{quoted}" (id)')
        connection.execute(f'DELETE FROM "{quoted}" WHERE id IS NULL')
    edited(shop, 'table("customers"', f"table({name!r}")
    ended = proctor("plan", "normalize_email")
    assert "\x1b" not in ended.out + ended.err
    assert ended.code in (0, 2)
