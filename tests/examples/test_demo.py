"""`proctor demo` tells its story, proves it, and leaves everything to be looked at."""

import json
import resource
import shlex
import subprocess
import sys

import pytest

from proctor.ui.demo import stage

WITHIN = 30.0  # seconds of processor time: what a busy machine adds says nothing


def play(*words):
    return subprocess.run(
        [sys.executable, "-m", "proctor", "demo", *words],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def processor_seconds():
    """Of all processes that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The whole demo, once: (what it printed, its folder, the processor time it took)."""
    folder, before = tmp_path_factory.mktemp("demo") / "w", processor_seconds()
    told = play("wardrobe", "--json", "--dir", str(folder))
    assert told.returncode == 0, told.stderr
    return told, folder, processor_seconds() - before


def test_the_demo_is_killed_resumed_and_undone_to_the_byte(played):
    """For scripts it is one document: numbers and checksums."""
    told, _, _ = played
    document = json.loads(told.stdout)
    assert document["rows"] == 3421
    assert 0 < document["killed_after_rows"] < 3377
    assert document["identical"]
    assert document["checksum_before"] == document["checksum_after_rollback"]
    assert document["checksum_before"] != document["checksum_filled"]


def test_the_demo_shows_the_commands_that_a_person_would_type(played):
    """Each of them was really run; the run was begun twice, because the first was killed."""
    told, _, _ = played
    for command in (
        "$ python seed.py",
        "$ proctor plan normalize_wardrobe",
        "$ proctor dry-run normalize_wardrobe --sample 3",
        "$ proctor run normalize_wardrobe",
        "$ kill -9 ",
        "$ proctor verify ",
        "$ proctor rollback ",
    ):
        assert command in told.stderr
    assert told.stderr.count("$ proctor run normalize_wardrobe") == 2
    assert "byte for byte the original" in told.stderr


def test_the_demo_leaves_everything_to_be_looked_at(played):
    """The reports stand where it said."""
    told, folder, _ = played
    reports = list((folder / ".proctor" / "reports").glob("*/*"))
    assert {file.suffix for file in reports} == {".md", ".html", ".json"}
    assert all(str(file) in told.stderr for file in reports)


def test_the_demo_takes_less_than_half_a_minute(played):
    """Nobody watches longer."""
    assert played[2] < WITHIN


@pytest.mark.parametrize(
    ("words", "said"), [(("opera",), "no scenario named opera"), ((), "a folder of its own")]
)
def test_what_it_cannot_play_is_said(tmp_path, words, said):
    """An unknown scenario or a folder that is not empty: exit code 2 and not a file is touched."""
    (tmp_path / "mine").write_text("mine")
    told = play(*words, "--dir", str(tmp_path))
    assert told.returncode == 2
    assert said in told.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_its_last_command_works_as_pasted(monkeypatch):
    """Also in a shell whose PATH does not know Proctor."""
    monkeypatch.setenv("PATH", "/nowhere")
    words = shlex.split(stage.command())
    assert words[0].startswith("/")
    assert subprocess.run([*words, "--version"], capture_output=True, check=True).stdout
