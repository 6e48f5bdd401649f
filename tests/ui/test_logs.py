"""Logs: the engine's events as lines, without secrets."""

import json
import logging

import pytest

from proctor.config import Redactor
from proctor.errors import ConfigError
from proctor.ui.logs import kept
from proctor.ui.options import Wish

LOG = logging.getLogger("proctor")


def tell(**data):
    """Say something as the engine does."""
    LOG.info("chunk.applied", extra={"proctor": data})


def test_json_lines_carry_the_events_own_fields(capsys):
    """One object a line: name, time, level and whatever the event said."""
    with kept(Wish(log="json"), None):
        tell(run="r1", chunk=3, rows=500)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "chunk.applied",
        "level": "info",
        "run": "r1",
        "chunk": 3,
        "rows": 500,
    }


def test_console_lines_are_for_people(capsys):
    with kept(Wish(log="console"), None):
        tell(run="r1")
    shown = capsys.readouterr().err
    assert "chunk.applied" in shown
    assert "run" in shown


def test_nothing_is_logged_unless_asked(capsys):
    with kept(Wish(), None):
        tell(run="r1")
    assert capsys.readouterr().err == ""


def test_no_secret_is_logged(capsys):
    """P12: not as a value, not inside one, not in a traceback."""
    wish = Wish(log="json", redact=Redactor({"hunter2"}))
    with kept(wish, None):
        tell(why="login hunter2 refused", parts=["hunter2"], more={"dsn": "pg://a:hunter2@db"})
        LOG.error("run.failed", exc_info=RuntimeError("hunter2"))
    shown = capsys.readouterr().err
    assert "chunk.applied" in shown
    assert "RuntimeError" in shown
    assert "hunter2" not in shown


def test_the_log_file_is_json_whatever_stderr_is(tmp_path, capsys):
    """Machines read the file, people the terminal; and it is there after the folder was not."""
    file = tmp_path / "logs" / "proctor.log"
    with kept(Wish(), file):
        tell(run="r1")
    with kept(Wish(), file):
        tell(run="r2")
    assert [json.loads(line)["run"] for line in file.read_text().splitlines()] == ["r1", "r2"]
    assert capsys.readouterr().err == ""


def test_a_log_file_that_cannot_be_written_is_a_setting_to_mend(tmp_path):
    (tmp_path / "logs").write_text("")
    with pytest.raises(ConfigError, match="log file"), kept(Wish(), tmp_path / "logs" / "x.log"):
        tell()


def test_the_logger_is_left_as_it_was(capsys):
    """Proctor inside another program does not change that program's logging."""
    before = (LOG.level, LOG.propagate, list(LOG.handlers))
    with kept(Wish(log="json"), None):
        tell()
    assert (LOG.level, LOG.propagate, list(LOG.handlers)) == before
