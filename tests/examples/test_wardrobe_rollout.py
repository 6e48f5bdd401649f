"""The rollout of the wardrobe: its demo, and the endings that the demo does not play."""

import json
import os
import resource
import sqlite3
import subprocess
import sys
import urllib.request

from contextlib import closing, contextmanager

import pytest

FLAG = "FEATURE_SEMANTIC_MATCH"
FAST = "14400"
WATCHED = "3600"  # a look each half a second, which a busy machine makes too
WITHIN = 30.0  # seconds of processor time: what a busy machine adds says nothing


def processor_seconds():
    """Of all processes that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The whole demo, once: (its document, what it said, its folder, its processor time)."""
    folder, before = tmp_path_factory.mktemp("demo") / "w", processor_seconds()
    told = subprocess.run(
        [
            *(sys.executable, "-m", "proctor", "demo", "wardrobe"),
            *("--rollout", "--json", "--dir", str(folder)),
        ],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout), told.stderr, folder, processor_seconds() - before


def test_it_takes_less_than_half_a_minute(played):
    """Nobody watches longer."""
    assert played[3] < WITHIN


def test_it_halts_and_the_one_who_began_it_cannot_approve_it(played):
    """P11: another person can; the refusal names the first."""
    _, said, _, _ = played
    assert "ann started it" in said
    halted, approved = said.index("held: halt for go or no-go"), said.index("1 of 1 approvals")
    assert halted < said.index("ann started it") < approved < said.index("flag.set")


def test_the_ramp_is_observed_within_two_points(played):
    """By flagd's own rule, and by the application itself."""
    document, _, _, _ = played
    assert list(document["observed"]) == ["5", "100"]
    assert document["observed"]["5"] == pytest.approx(0.05, abs=0.02)
    assert document["observed"]["100"] == 1.0
    assert document["seen_by_the_application"] == pytest.approx(0.05, abs=0.02)


def test_a_harm_in_the_watch_takes_flag_and_rows_back_by_itself(played):
    """P3: each rung has its measured time, and the table is byte for byte the original."""
    document, said, folder, _ = played
    assert document["why"].startswith("soak watch: matched by meaning")
    assert document["flag_percent"] == 0
    assert list(document["taken_back"]) == ["flag_restored", "run_paused", "rows_restored"]
    assert all(seconds >= 0 for seconds in document["taken_back"].values())
    assert 0 < document["harm_to_flag_s"] < 60
    assert document["identical"]
    assert document["checksum_before"] == document["checksum_after_rollback"]
    assert document["checksum_filled"] != document["checksum_before"]
    assert json.loads((folder / "flags.json").read_text())["flags"][FLAG]["defaultVariant"] == "off"
    assert "an approval does not override a fail" in said


def test_its_reports_say_how_it_ended_and_how_fast_its_clock_ran(played):
    document, _, folder, _ = played
    assert document["state"] == "rolled_back"
    told = (folder / ".proctor" / "reports" / document["rollout"] / "rollout.md").read_text()
    assert "3600 times as fast" in told
    assert "mend the release first" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [(("songs", "--rollout"), "proctor demo wardrobe --rollout"), (("--leak",), "--overnight")],
)
def test_what_there_is_no_story_of_is_said(words, said):
    told = subprocess.run(
        [sys.executable, "-m", "proctor", "demo", *words],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (told.returncode, said in told.stderr) == (2, True)


@contextmanager
def shoppers(folder):
    """The application, until the end of the block; its address."""
    with subprocess.Popen(
        [sys.executable, "matching.py"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as application:
        yield application.stdout.readline().strip()
        application.stdin.close()


@pytest.fixture
def matching(copied):
    """The wardrobe in SQLite, the application on it, and a way to type commands."""

    def proctor(*words, who="ann", expect=0):
        told = subprocess.run(
            [sys.executable, "-m", "proctor", *words, "--json"],
            cwd=copied,
            env={**os.environ, **address, "PROCTOR_USER": who, "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert told.returncode == expect, told.stderr
        return json.loads(told.stdout)

    subprocess.run([sys.executable, "seed.py"], cwd=copied, check=True, stdout=subprocess.DEVNULL)
    with shoppers(copied) as url:
        address = {"MATCHING_URL": url, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        yield copied, url, proctor


def sql(folder, statement):
    with closing(sqlite3.connect(folder / "wardrobe.db", timeout=30)) as database, database:
        return database.execute(statement).fetchall()


def figures(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/figures", timeout=30) as reply:
        return json.load(reply)


def test_where_nothing_goes_wrong_everybody_whose_item_is_filled_is_let_in(matching):
    """The watch takes its day and passes; an item without its field is matched by its words."""
    _, url, proctor = matching
    held = proctor("rollout", "wardrobe", "--speed", WATCHED, expect=3)
    proctor("approve", held["rollout"], "--reason", "looked", who="bo")
    done = proctor("rollout", "wardrobe")
    assert (done["state"], done["why"]) == ("active", "all 8 stages are through")
    now = figures(url)
    assert now["meaning"]["asked"] > 450
    assert now["meaning"]["unfilled"] == 0
    assert now["words"]["asked"] == now["words"]["unfilled"] > 0


def test_an_item_that_somebody_edits_during_the_run_is_looked_at_by_people(matching):
    """What people typed is compared over every item, whoever has changed it."""
    folder, _, proctor = matching
    trigger = "CREATE TRIGGER edits AFTER UPDATE OF normalized ON wardrobe WHEN new.id = 2 BEGIN "
    sql(folder, f"{trigger} UPDATE wardrobe SET name = 'edited' WHERE id = 3; END")
    held = proctor("rollout", "wardrobe", "--speed", FAST, expect=3)
    assert held["why"] == "still what people typed raised ItemsChanged"
    assert held["verdict"] == "inconclusive"


def test_a_field_that_the_validation_does_not_accept_is_taken_back(matching):
    """A tenth of what was written is spoiled behind the run: the audit fails, all rows go back."""
    folder, _, proctor = matching
    with (folder / "rollout.py").open("a") as more:
        more.write(SPOILED)
    before = sql(folder, "SELECT count(*) FROM wardrobe WHERE normalized IS NULL")
    held = proctor("rollout", "spoiled", "--speed", FAST, expect=3)
    assert "lower_case" in held["why"]
    assert held["verdict"] == "fail"
    left = sql(folder, "SELECT count(*) FROM wardrobe WHERE normalized LIKE '%XYZ%'")
    assert left[0][0] > 300
    rest = sql(folder, "SELECT count(*) FROM wardrobe WHERE normalized IS NULL")
    assert rest[0][0] + left[0][0] == before[0][0]
    assert json.loads((folder / "flags.json").read_text())["flags"][FLAG].get("targeting") is None


SPOILED = """

def spoil(seen):
    with closing(sqlite3.connect(seen.folder / "wardrobe.db")) as database, database:
        database.execute(
            "UPDATE wardrobe SET normalized = json_set(normalized, '$.mood[0]', 'XYZ')"
            " WHERE id % 10 = 7 AND json_extract(normalized, '$.normalized_version') = '1.0'"
        )

rollout(
    "spoiled",
    stages.apply(BACKFILL),
    stages.step("somebody", spoil),
    stages.audit(BACKFILL, name="validation", sample=100),
    on_fail="rows",
)
"""
