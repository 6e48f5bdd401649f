"""Commands that Proctor suggests can be pasted as they stand, wherever one is."""

import json
import re
import shlex

from pathlib import Path

import pytest

SCALED = '''
from proctor import backfill, table
from pydantic import BaseModel


class Scale(BaseModel):
    unit: str


@backfill(table("customers", key="id"), fills="email_normalized", version="1", params=Scale)
def scaled(row, ctx):
    """Fails for three rows until they are mended."""
    if row["id"] <= 3 and row["name"] != "mended":
        raise ValueError(row["id"])
    return {"email_normalized": f"{row['id']} {ctx.params.unit}"}
'''


@pytest.fixture
def elsewhere(shop, monkeypatch, tmp_path):
    """The shop as environment `other` of a configuration that must be named."""
    text = (shop / "proctor.toml").read_text().replace("[env.local]", "[env.other]")
    (shop / "backfills.py").write_text(SCALED)
    (shop / "proctor.toml").unlink()
    config = shop / "my proctor.toml"
    config.write_text(text)
    monkeypatch.chdir(tmp_path)
    return ["-e", "other", "--config", str(config)]


def suggested(text, verb):
    """The words of a suggested command after `proctor`."""
    found = re.search(rf"`(proctor [^`]*\b{verb} [^`]*)`", text)
    assert found, text
    return shlex.split(found[1])[1:]


def test_next_steps_name_environment_configuration_and_parameters(elsewhere, proctor):
    """What the answer of a run suggests is called word by word."""
    ended = proctor("run", "scaled", "--param", "unit=a b", "--limit", "10", *elsewhere, "--json")
    steps = "\n".join(ended.json["next_steps"])
    assert proctor(*suggested(steps, "verify")).code == 0
    assert proctor(*suggested(steps, "failures")).code == 0
    again = proctor(*suggested(steps, "run"), "--json")
    assert again.json["params"] == {"unit": "a b"}, again.err


def test_an_error_suggests_commands_for_this_environment(elsewhere, proctor):
    """What to do about a protected environment is pasted, and done."""
    config = Path(elsewhere[-1])
    config.write_text(config.read_text().replace("[env.other]", "[env.other]\nprotected = true"))
    refused = proctor("run", "scaled", "--param", "unit=a b", "--from", "4", *elsewhere)
    assert refused.code == 3
    assert proctor(*suggested(refused.err, "plan"), "--from", "4").code == 0
    assert proctor(*suggested(refused.err, "run"), "--json").json["params"] == {"unit": "a b"}


def test_failed_rows_are_tried_again_with_the_parameters_of_their_run(elsewhere, proctor):
    """Nobody has to type them again, and no row gets others."""
    run = proctor("run", "scaled", "--param", "unit=kg", *elsewhere, "--json").json
    assert run["buckets"]["failed"] == 3
    again = proctor("failures", run["id"], "--retry", *elsewhere, "--json")
    assert json.loads(again.out)["params"] == {"unit": "kg"}


def test_the_default_environment_needs_no_word(shop, proctor):
    """Suggestions stay as short as they can be."""
    run = proctor("run", "normalize_email", "--json").json
    assert f"see that it holds: `proctor verify {run['id']}`" in run["next_steps"]
