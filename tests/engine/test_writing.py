"""A file that is written anew is whole at every moment, whoever reads it or is killed."""

import os
import subprocess
import sys
import threading

from pathlib import Path

import pytest

from proctor.engine.writing import replace_now

ROOT = Path(__file__).parents[2] / "src" / "proctor"
TEXTS = [letter * 300_000 for letter in "ab"]
FULL = """
import resource, sys
from pathlib import Path
from proctor.engine.writing import replace_now
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    replace_now(Path(sys.argv[1]), "new" * 1000)
except OSError as error:
    print(error.strerror)
"""


def beside(path):
    return [one.name for one in path.parent.iterdir() if one != path]


def test_a_reader_sees_the_old_text_or_the_new_one(tmp_path):
    """Also while two write at once; nothing is left beside it."""
    path = tmp_path / "report.md"
    path.write_text(TEXTS[0])
    going = [threading.Thread(target=write, args=(path, text)) for text in TEXTS]
    for one in going:
        one.start()
    seen = set()
    while any(one.is_alive() for one in going):
        seen.add(path.read_text())
    assert seen <= set(TEXTS)
    assert beside(path) == []


def write(path, text):
    for _ in range(30):
        replace_now(path, text)


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "report.md"
    path.write_text("old")
    words = [sys.executable, "-c", FULL, str(path)]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == os.strerror(27)  # EFBIG
    assert (path.read_text(), beside(path)) == ("old", [])


def test_what_a_killed_process_left_is_used_up(tmp_path):
    """No part of it stays, and its rights do not: it may have been made by another one."""
    path = tmp_path / "undo.sql"
    left = tmp_path / ".undo.sql.new"
    left.write_text("half of something longer")
    left.chmod(0o666)
    replace_now(path, "whole", mode=0o600)
    assert (path.read_text(), beside(path)) == ("whole", [])
    assert path.stat().st_mode & 0o777 == 0o600


def test_rights_and_links_stay_as_they_are(tmp_path):
    real, link = tmp_path / "real.md", tmp_path / "link.md"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    replace_now(link, "new")
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("new", 0o640)
    fresh = tmp_path / "fresh.md"
    replace_now(fresh, "x")
    (tmp_path / "plain.md").write_text("x")
    assert fresh.stat().st_mode == (tmp_path / "plain.md").stat().st_mode


def test_what_is_no_file_is_written_to(tmp_path, capfd):
    """A pipe has a reader who waits for it; it is not replaced by a file."""
    replace_now(Path("/dev/stdout"), "said")
    assert capfd.readouterr().out == "said"
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    replace_now(pipe, "through")
    reader.join()
    assert (got, pipe.is_fifo()) == (["through"], True)


@pytest.mark.parametrize("room", ["engine", "ui/reports", "ui/commands", "ui/documents.py"])
def test_nothing_that_is_kept_is_written_in_place(room):
    place = ROOT / room
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    plain = [
        f"{path.name}: {line.strip()}"
        for path in files
        if path.name not in ("writing.py", "teaching.py")
        for line in path.read_text().splitlines()
        if ".write_text(" in line or ".write_bytes(" in line
    ]
    assert plain == []
