"""A plan that is not of what would run is refused with exit 3, and says what differs."""

import sqlite3

from contextlib import closing

import pytest


@pytest.fixture
def refused(shop, proctor):
    """Make a plan, change something, and run by the plan: the error."""
    (shop / "proctor.toml").write_text(
        (shop / "proctor.toml").read_text()
        + '\n[env.production]\nstore = "sqlite:///shop.db"\n\n[env.local.throttle]\n'
    )

    def refuse(change, *, plan=("normalize_email",), run=("normalize_email",)):
        assert proctor("plan", *plan, "--out", "plan.json").code == 0
        change()
        ended = proctor("run", *run, "--plan", "plan.json", "--json")
        assert ended.code == 3
        assert ended.json["error"]["kind"] == "PlanVoid"
        return ended.json["error"]

    return refuse


def test_a_plan_of_another_backfill(refused, shop):
    with (shop / "backfills.py").open("a") as module:
        module.write(
            "\n\n@backfill(table('customers', key='id'), fills='email_normalized')\n"
            "def other(row):\n    return {'email_normalized': ''}\n"
        )
    error = refused(lambda: None, run=["other"])
    assert error["what"] == "the plan is of another backfill"
    assert error["found"] == "it was made for normalize_email, and this is other"


def test_a_plan_for_another_environment(refused):
    error = refused(lambda: None, plan=["normalize_email", "-e", "production"])
    assert error["found"] == "it was made for production, and this is local"


def sql(statement):
    def change():
        with closing(sqlite3.connect("shop.db")) as connection, connection:
            connection.execute(statement)

    return change


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("ALTER TABLE customers ADD zz text", "column zz was added (text)"),
        ("ALTER TABLE customers RENAME name TO title", "column name was dropped"),
        ("CREATE INDEX names ON customers (name)", "an index or a trigger is not what it was"),
        ("CREATE TRIGGER t AFTER DELETE ON customers BEGIN SELECT 1; END", "a trigger"),
    ],
)
def test_another_schema(refused, statement, found):
    error = refused(sql(statement))
    assert error["what"] == "schema changed since the plan was made"
    assert found in error["found"].lower()


def test_another_definition(refused, shop):
    def change():
        module = (shop / "backfills.py").read_text()
        changed = module.replace('version="1"', 'version="2", missing="id > 7"')
        (shop / "backfills.py").write_text(changed)

    error = refused(change)
    assert "code, spec changed since the plan was made" in error["what"]
    assert "version was 1 and is 2" in error["found"]


def test_another_parameter(refused, shop):
    module = (shop / "backfills.py").read_text()
    (shop / "backfills.py").write_text(
        "import pydantic\n\n\nclass Params(pydantic.BaseModel):\n    tail: str\n\n\n"
        + module.replace('version="1"', 'params=Params, version="1"')
    )
    words = ["normalize_email", "-p"]
    error = refused(lambda: None, plan=[*words, "tail=a"], run=[*words, "tail=b"])
    assert error["found"] == "tail was a and is b"
