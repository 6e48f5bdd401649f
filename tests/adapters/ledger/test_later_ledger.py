"""A ledger that is ready is opened by its first question, and nobody can tell otherwise."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys

from datetime import UTC, datetime

import pytest

from proctor.adapters.ledger import open_ledger
from proctor.adapters.ledger.later import LaterLedger, is_ready
from proctor.model import Event


def event(n):
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return Event(name="run.opened", at=at, run="r", env="e", who="w", data={"n": n})


@pytest.fixture
async def url(tmp_path):
    """A ledger's file with one event in it."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = await open_ledger(url)
    await ledger.append([event(1)])
    await ledger.aclose()
    return url


def test_a_run_may_begin_before_sqlalchemy_is_imported(tmp_path, url):
    """Opening a ledger that is up to date imports nothing; its first question does."""
    script = (
        "import asyncio, sys\n"
        "from proctor.adapters.ledger import open_ledger\n"
        "async def main():\n"
        "    ledger = await open_ledger(sys.argv[1])\n"
        "    early = 'sqlalchemy' in sys.modules\n"
        "    found = len(await ledger.events())\n"
        "    await ledger.aclose()\n"
        "    print(early, found)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-W", "error", "-c", script, url]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert told.stdout.split() == ["False", "1"]


async def test_an_append_that_is_cancelled_goes_on_to_its_end(url):
    """CancelledError means that the events are kept, also while the ledger is being opened."""
    ledger = LaterLedger(url, str)
    append = asyncio.create_task(ledger.append([event(2)]))
    await asyncio.sleep(0)
    append.cancel()
    with pytest.raises(asyncio.CancelledError):
        await append
    assert [e.data["n"] for e in await ledger.events()] == [1, 2]
    assert (await ledger.verify_chain()).intact
    await ledger.aclose()


def test_only_a_file_that_is_up_to_date_may_wait(tmp_path, url):
    """What must be made, upgraded or refused is opened at once, so that a run never begins."""
    assert is_ready(url)
    assert not is_ready(f"sqlite:///{tmp_path / 'new.db'}")
    assert not is_ready("sqlite:///:memory:")
    assert not is_ready("postgresql://nobody@nowhere/none")
    torn = tmp_path / "torn.db"
    torn.write_bytes(b"no database" * 100)
    assert not is_ready(f"sqlite:///{torn}")
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE proctor_ledger_version SET version_num = '9999'")
        connection.commit()
    assert not is_ready(url)
