"""docs/flags.md: what can be copied works, and the rule that it shows is the one that holds."""

import json
import re

from pathlib import Path

import pytest
import sqlalchemy as sa

from flagworlds import FlagdWorld
from proctor.config import load
from proctor.config.flagdraft import KINDS
from proctor.core.cohort import bucket, lets_in

PAGE = (Path(__file__).parents[2] / "docs" / "flags.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_kind_is_in_the_table():
    """With what its tool can and cannot do."""
    table = "".join(re.findall(r"^\| `.*$", PAGE, flags=re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", table)) >= set(KINDS)


def test_the_rule_for_applications_is_ours():
    """An application that copies it lets in exactly whom Proctor counts."""
    (rule,) = blocks("python")
    names = {}
    exec(rule, names)
    readers = [f"reader {number}é" for number in range(300)]
    for percent in (0, 5, 50, 100):
        copied = [names["sees_new_data"]("V2", reader, percent) for reader in readers]
        assert copied == [lets_in("V2", reader, percent) for reader in readers]


def test_the_rule_in_sql_is_ours(pg):
    """As Postgres reckons it."""
    (rule,) = re.findall(r"in Postgres: `(.+?)`", PAGE)
    engine = sa.create_engine(pg.replace("postgresql:", "postgresql+psycopg:"))
    asked = f"SELECT id, {rule} FROM (VALUES ('a'), ('é'), ('42')) AS v (id)"
    with engine.connect() as connection:
        told = dict(map(tuple, connection.exec_driver_sql(asked.replace("%", "%%"))))
    engine.dispose()
    assert told == {one: bucket("ABOUTNESS_V2", one) for one in ("a", "é", "42")}


def test_the_tables_can_be_made_and_the_flagd_file_read(tmp_path):
    """As they stand on the page."""
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        for block in blocks("sql"):
            for statement in filter(str.strip, block.split(";")):
                connection.exec_driver_sql(statement)
    engine.dispose()
    (shown,) = blocks("json")
    (entry,) = json.loads(shown)["flags"].values()
    assert FlagdWorld(tmp_path, entry).flags()["ABOUTNESS_V2"] == entry


@pytest.mark.parametrize("title", ["Commands", "HTTP"])
def test_the_sections_shown_load(tmp_path, title):
    """With their variables set."""
    part = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = "\n".join(re.findall(r"^    (.*)$", part, flags=re.MULTILINE))
    head = 'backfills = ["b"]\n[env.local]\nstore = "sqlite:///s.db"\n'
    (tmp_path / "proctor.toml").write_text(head + lines)
    config = load(tmp_path / "proctor.toml", environ={"FLAGS_KEY": "k"})
    assert config.flags["aboutness"].flag == "aboutness"
