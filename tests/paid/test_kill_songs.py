"""P5: the songs' own files, killed at random instants on Postgres, by the vendor's own books."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from pathlib import Path

import psycopg
import pytest

import servers

from proctor.testing.vendor import Served, right_answer, serve_vendor

LONG = os.environ.get("PROCTOR_LONG") == "1"
KILLS = 100 if LONG else 3
SONGS = 40_000 if LONG else 1_500
EXAMPLE = Path(__file__).parents[2] / "examples" / "songs"
MODEL, KEY = "gpt-5-mini", "sk-local-of-the-test"
AT_ONCE, OF_A_CALL = 16, 10
CONFIDENCE = {"type": "string", "enum": ["low", "medium", "high"]}
SCHEMA = {
    "type": "object",
    "properties": {
        "emotions": {"type": "string"},
        "moments": {"type": "string"},
        "emotions_confidence": CONFIDENCE,
        "moments_confidence": CONFIDENCE,
    },
}
DESCRIBED = """
    SELECT s.title, s.artist, a.emotions_text, a.moments_text, a.emotions_confidence,
           a.moments_confidence, a.emotions_embedding::text, a.moments_embedding::text
    FROM songs s LEFT JOIN song_aboutness a ON a.song_id = s.id AND a.version = 2
    WHERE NOT s.placeholder AND a.provider IS DISTINCT FROM 'hand'
"""


@pytest.fixture
def vendor():
    """One that limits nobody: what is killed shall have as much in the air as it may."""
    with serve_vendor(Served(name=MODEL, latency_s=0.4), key=KEY, process=True) as server:
        yield server


@pytest.fixture
def newest():
    """A database on the server from the wheel, which brings pgvector along."""
    server = servers.start_postgres(servers.wheel_bindir())
    yield server.create_database()
    server.close()


@pytest.fixture
def team(tmp_path, vendor, newest):
    """Starts the commands of the songs' team in a copy of their files."""
    folder = tmp_path / "songs"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", ".proctor"))
    told = {"SONGS_URL": newest, "WRITER_URL": f"{vendor.url}/v1", "WRITER_KEY": KEY}
    toml = (folder / "proctor.toml").read_text()
    # What was in the air at a kill counts as spent: a hundred of them take more than their dollar.
    toml = toml.replace("rpm = 1200\n", "").replace('budget_usd = "1.00"', 'budget_usd = "9.00"')
    (folder / "proctor.toml").write_text(toml)
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            env=os.environ | told,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(process):
    """What a command said, once it has ended well."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, f"{out}{err}"
    return out


def test_killed_at_random_instants_every_song_is_right_and_paid_once(team, vendor, newest):
    """At most the songs of the calls in flight at the kills are paid again, and no row is wrong."""
    dice = random.Random(114_336)
    ended(team("-c", f"import seed; seed.SONGS = {SONGS}; seed.main({newest!r})"))
    kills = 0
    while kills < KILLS:
        calls = vendor.books()[MODEL].calls
        process = team("-m", "proctor", "run", "aboutness", "--json")
        # Not before its first call: what dies earlier proves nothing. Then some way into it.
        while process.poll() is None and vendor.books()[MODEL].calls == calls:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.5))
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
    document = json.loads(ended(team("-m", "proctor", "run", "aboutness", "--json")))
    assert kills >= KILLS // 2 + 1, "most runs ended before they could be killed"
    assert (document["state"], document["still_eligible"]) == ("succeeded", {})
    with psycopg.connect(newest) as database:
        described = database.execute(DESCRIBED).fetchall()
    books = vendor.books()[MODEL]
    assert len(books.parts) == len(described) > SONGS * 0.9
    assert books.parts_paid_again <= AT_ONCE * OF_A_CALL * kills
    wrong = [song for song in described if not right(*song)]
    assert not wrong, wrong[:3]
    runs = json.loads(ended(team("-m", "proctor", "status", "--json")))["runs"]
    ended(team("-m", "proctor", "verify", runs[-1]["id"]))
    assert vendor.books()[MODEL] == books, "the vectors were computed anew, and nothing was asked"


def right(title, artist, *found):
    """Whether a song's row holds what the vendor says of it, and vectors beside."""
    *said, one, other = found
    asked = json.dumps({"title": title, "artist": artist}, sort_keys=True, ensure_ascii=False)
    answer = right_answer(SCHEMA, asked)
    # Two texts of the same words have the same vector in this model.
    return said == [answer[name] for name in SCHEMA["properties"]] and one and other
