"""What a rollout asks of the outside, and what its monitor says of its run."""

import json
import threading

from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from proctor.adapters.ledger.purse import SqlPurse
from proctor.engine.rolling.story import told
from proctor.errors import Unmeasured
from proctor.model import Limits, RolloutState
from proctor.testing.conformance.paying import ended, want
from proctor.ui.reports.rollout import dump, render
from proctor.ui.reports.rollout_page import page
from rolling import kinds

GATE = """
rollout("small", stages.gate("up", within=minutes(10), metrics=[metrics.http(
    "health", "${SHOP_HEALTH}/health", pick={"ok": "$.ok"},
    success_condition="result.ok == 1", failure_limit=-1, interval=minutes(5))]))
"""
WATCHED = """
rollout("small", stages.apply("lower"), monitor=stages.monitor("watch.md", every=minutes(5)))
"""


PROVIDER = """
[providers.p]
model = "openai:gpt-5-mini"
"""


class Healthy(BaseHTTPRequestHandler):
    """Says that all is well."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"ok": true}')

    def log_message(self, *_):
        pass


@pytest.fixture
def healthy():
    """The address of a server whose health is good."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def test_the_address_of_a_metric_is_filled_in_from_the_environment(
    project, healthy, monkeypatch
):
    """As that of a probe is: `${SHOP_HEALTH}` is known where the rollout is driven."""
    monkeypatch.setenv("SHOP_HEALTH", healthy)
    project.rolls(GATE)
    done = await project.drive()
    assert done.left.state is RolloutState.ACTIVE
    assert any("health: ok 1" in entry.data.get("why", "") for entry in done.journal.entries)


async def test_a_variable_that_is_not_set_is_told_before_anything_begins(project, monkeypatch):
    """By its name."""
    monkeypatch.delenv("SHOP_HEALTH", raising=False)
    project.rolls(GATE)
    with pytest.raises(Unmeasured, match="SHOP_HEALTH"):
        await project.drive()


async def test_a_snapshot_says_what_went_wrong_since_the_last(project):
    """Also that nothing did: a figure that is left out could not be told from a 0."""
    project.rolls(WATCHED)
    done = await project.drive()
    assert done.left.state is RolloutState.ACTIVE
    said = (project.root / "watch.md").read_text()
    assert "Run of lower: read 200, written 200" in said
    assert "0 429s, 0 fallbacks, 0 failed" in said


async def test_a_snapshot_and_the_report_say_the_same_of_money(project):
    """What is spent, and what is held for calls whose end nobody knows: it may be spent, too."""
    with (project.root / "proctor.toml").open("a") as file:
        file.write(PROVIDER)
    project.rolls("""
rollout("small", stages.apply("lower"), stages.halt("look", self_review=True),
    monitor=stages.monitor("watch.md", every=minutes(5)))
""")
    held = await project.drive()
    (run,) = held.journal.standing.runs.values()
    purse = await SqlPurse.open(f"sqlite:///{project.root / 'ledger.db'}", {"p": Limits()})
    words = await purse.reserve([want(n, run=run, usd="0.5") for n in range(2)])
    await purse.settle([ended(words[0], cost="0.25")])
    await purse.aclose()
    before = len(held.journal.entries)
    project.clock.passes(timedelta(minutes=5))  # the next snapshot is due
    done = await project.drive()
    assert "snapshot.appended" in kinds(done.journal.entries[before:])
    story = told(done.plan, done.rollout, done.journal.entries, await project.runs(done))
    said = "spent $0.25, held $0.50"
    assert said in (project.root / "watch.md").read_text().rpartition("## ")[2]
    assert f"p: 1 calls, {said}" in render(story)
    assert said in page(story)
    (one,) = json.loads(dump(story))["runs"]
    assert (one["calls"], one["spent_usd"], one["held_usd"]) == (1, "0.25", "0.5")
