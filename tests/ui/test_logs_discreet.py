"""P12 where logging itself goes wrong, and where others than Proctor log."""

import asyncio
import gc
import logging

import pytest

from proctor.config import Redactor
from proctor.ui.logs import kept
from proctor.ui.options import Wish

LOG = logging.getLogger("proctor")
SECRET = "hunter22"


@pytest.fixture(params=["console", "json", "off"])
def wish(request):
    return Wish(log=request.param, redact=Redactor({SECRET}))


def test_a_line_that_cannot_be_formatted_shows_nothing_of_itself(wish, capsys, monkeypatch):
    """The standard library prints message and arguments to help; they may hold anything."""
    monkeypatch.setattr(logging, "raiseExceptions", True)
    with kept(wish, None):
        for handler in [*LOG.handlers, *logging.getLogger().handlers]:
            if type(handler).__module__ == "proctor.ui.logs":
                handler.handle(LOG.makeRecord("proctor", 40, "", 0, "%s %s", (SECRET,), None))
    shown = capsys.readouterr().err
    assert "a log line of proctor could not be written: TypeError" in shown
    assert SECRET not in shown


def test_a_secret_is_not_shown_as_a_key(wish, capsys):
    with kept(wish, None):
        LOG.warning("odd", extra={"proctor": {SECRET: 1, "more": {SECRET: 2}, "t": (SECRET,)}})
    shown = capsys.readouterr().err
    assert "odd" in shown
    assert SECRET not in shown


def test_what_the_event_loop_complains_of_is_masked(wish, capsys):
    """A task that nobody awaited ends as a traceback on stderr, whoever asked for logs."""

    async def forgotten():
        raise ValueError(SECRET)

    async def main():
        task = asyncio.create_task(forgotten())
        await asyncio.wait([task])
        del task
        gc.collect()

    with kept(wish, None):
        asyncio.run(main())
    shown = capsys.readouterr().err
    assert "ValueError: ***" in shown
    assert SECRET not in shown


def test_what_a_library_warns_of_is_masked(wish, capsys):
    with kept(wish, None):
        logging.getLogger("some.driver").warning("cannot reach postgresql://a:%s@db", SECRET)
    shown = capsys.readouterr().err
    assert "WARNING some.driver: cannot reach postgresql://a:***@db" in shown


def test_the_root_logger_is_left_as_it_was(wish):
    before = list(logging.getLogger().handlers)
    with kept(wish, None):
        pass
    assert logging.getLogger().handlers == before
