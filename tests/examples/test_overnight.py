"""`proctor demo songs --overnight`, and the example's night with what may go wrong in it."""

import json
import os
import shutil
import subprocess
import sys
import time

from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from proctor.adapters.ledger.rollouts import SqlRolloutLog
from proctor.testing.postgres import start_postgres, wheel_bindir
from proctor.testing.vendor import Served, serve_vendor

EXAMPLE = Path(__file__).parents[2] / "examples" / "songs"
KEY = "sk-of-a-test"
DEMO = [sys.executable, "-m", "proctor", "demo"]
PATIENCE = 300
STAGES = ["precheck", "apply aboutness", "good enough", "activate ABOUTNESS_V2_ENABLED"]


def play(folder, *words):
    """The demo's document, and what it said."""
    told = subprocess.run(
        [*DEMO, "songs", "--overnight", *words, "--json", "--dir", str(folder)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout), told.stderr


def test_a_night_is_watched_audited_gated_and_turned_on_with_its_worker_killed(tmp_path):
    """Every claim of it is checked by the demo itself; here is what it came to."""
    document, said = play(tmp_path / "songs")
    assert document["state"] == "active"
    assert document["flag_percent"] == 100
    assert document["audits"] == ["100 rows", "450 rows", "850 rows"]
    assert document["snapshots"] >= 5
    assert len(document["workers"]) == 2
    assert document["paid_again"] <= document["in_the_air"]
    assert "$ kill -9 " in said
    assert "600 times as fast" in said
    assert "ran 600 times as fast" in Path(document["reports"][0]).read_text()


def test_a_leaked_tag_keeps_the_flag_off_and_the_report_says_so(tmp_path):
    """It is seen although nobody wrote it through Proctor, and nothing more is written then."""
    document, said = play(tmp_path / "songs", "--leak")
    assert document["state"] == "held"
    assert document["flag_percent"] == 0
    assert "ALERT: a leaked tag" in said
    report = Path(document["reports"][0]).read_text().replace("\\", "")
    assert "**held**" in report
    assert "leaked_tags 1" in report
    assert "| 4 | activate ABOUTNESS_V2_ENABLED | activate | not begun |" in report


def test_a_night_is_one_of_songs():
    """Another scenario has none, and without a night nothing leaks."""
    for words in (["wardrobe", "--overnight"], ["songs", "--leak"]):
        told = subprocess.run(
            [*DEMO, *words],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert told.returncode == 2
        assert "proctor demo songs --overnight" in told.stderr


@dataclass
class Night:
    """The example in a folder of its own, with servers of its own."""

    folder: Path
    variables: dict
    postgres: object

    @property
    def url(self):
        return self.variables["SONGS_URL"]

    def sql(self, statement):
        """One statement, without Proctor."""
        with closing(psycopg.connect(self.url, autocommit=True)) as database:
            found = database.execute(statement)
            return found.fetchall() if found.description else []

    def type(self, *words):
        """A command in the folder that has to succeed."""
        subprocess.run(words, cwd=self.folder, env=self.variables, check=True, capture_output=True)

    @contextmanager
    def rollout(self, speed):
        """`proctor rollout overnight` beside the test; ended with it."""
        words = [sys.executable, "-m", "proctor", "rollout", "overnight", "--json"]
        with subprocess.Popen(
            [*words, "--speed", str(speed)],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()

    async def entries(self):
        """The log so far."""
        ledger = self.folder / ".proctor" / "ledger.db"
        if not ledger.exists():
            return []
        log = await SqlRolloutLog.open(f"sqlite:///{ledger}")
        try:
            found = await log.rollouts("local")
            return list(await log.entries(found[0].id)) if found else []
        finally:
            await log.aclose()

    async def until(self, process, holds):
        """Look at the log until something is in it; the entries then."""
        patience = time.monotonic() + PATIENCE
        while time.monotonic() < patience:
            entries = await self.entries()
            if holds(entries):
                return entries
            assert process.poll() is None, process.communicate()
        raise AssertionError([entry.kind for entry in entries])

    def report(self, document):
        """The final report's text."""
        return Path(document["reports"]["md"]).read_text()


@pytest.fixture
def night(tmp_path):
    """Songs, a vendor that is not fast, and the radio."""
    folder = tmp_path / "songs"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", ".proctor"))
    served = Served(name="gpt-5-mini", kind="chat", rpm=1200, latency_s=1.5)
    with (
        closing(start_postgres(wheel_bindir(), fsync=True)) as postgres,
        serve_vendor(served, key=KEY) as vendor,
    ):
        url = postgres.create_database()
        named = {
            f"GIT_{who}_{what}": "x@example.com"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        variables = {
            **os.environ,
            **named,
            "SONGS_URL": url,
            "WRITER_URL": vendor.openai_url,
            "WRITER_KEY": KEY,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        made = Night(folder, variables, postgres)
        made.type(sys.executable, "seed.py", url)
        made.type("git", "init", "-q")
        made.type("git", "add", ".")
        made.type("git", "-c", "commit.gpgsign=false", "commit", "-q", "-m", "as reviewed")
        with subprocess.Popen(
            [sys.executable, "radio.py"],
            cwd=folder,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as radio:
            variables["RADIO_URL"] = radio.stdout.readline().strip()
            yield made
            radio.communicate()


def under_way(entries):
    """Its run is found, so its worker is at it."""
    return any(entry.kind == "run.found" for entry in entries)


async def test_a_flag_tool_that_fails_lets_nobody_in(night):
    """The activation is left out, the night goes on to its end, and the report says why."""
    with night.rollout(600) as process:
        await night.until(process, under_way)
        night.sql("ALTER TABLE flags RENAME TO flags_elsewhere")
        out, err = process.communicate(timeout=PATIENCE)
    document = json.loads(out)
    assert process.returncode == 3, err
    assert document["state"] == "held"
    assert "flag ABOUTNESS_V2_ENABLED" in document["why"]
    entries = await night.entries()
    assert [e.data["name"] for e in entries if e.kind == "stage.passed"] == STAGES[:3]
    assert not [e for e in entries if e.kind in ("flag.intended", "flag.set")]
    assert any(e.kind == "worker.finished" for e in entries)  # the data are not to blame
    assert night.sql("SELECT percent, version FROM flags_elsewhere") == [(0, 1)]
    assert "flag ABOUTNESS_V2_ENABLED could not" in night.report(document).replace("\\", "")


async def test_a_database_that_is_away_for_three_cycles_is_survived(night):
    """Each cycle says that it could not measure; then all goes on, to the flag."""

    def away(entries):
        taken = [e.data["text"] for e in entries if e.kind == "snapshot.appended"]
        return sum("not measured" in text for text in taken) >= 3

    with night.rollout(600) as process:
        await night.until(process, under_way)
        night.postgres.kill()
        await night.until(process, away)
        night.postgres.start()
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err + out
    entries = await night.entries()
    assert [e.data["name"] for e in entries if e.kind == "stage.passed"] == STAGES
    said = (night.folder / "overnight-monitor.md").read_text()
    assert "tried again at the next" in said
    assert night.sql("SELECT percent FROM flags") == [(100,)]
    assert night.sql(
        "SELECT count(*) FROM songs s WHERE NOT placeholder AND NOT EXISTS "
        "(SELECT 1 FROM song_aboutness a WHERE a.song_id = s.id AND a.version = 2)"
    ) == [(0,)]
