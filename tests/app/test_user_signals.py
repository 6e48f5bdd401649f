"""Throttle signals of the user's own, from where they are written to a run that waits for them."""

import asyncio
import contextlib
import http.server
import sqlite3
import threading

from contextlib import closing

import pytest

from proctor.app import RunOptions
from proctor.app.wiring import open_app
from proctor.config import load

BACKFILLS = '''
import sqlite3
from contextlib import closing
from proctor import Watch, backfill, table

def waiting():
    """How many mails wait to be sent."""
    with closing(sqlite3.connect({file!r})) as db:
        return db.execute("SELECT count(*) FROM outbox").fetchone()[0]

WATCHES = {{
    "sql": Watch(name="queue", limit=1, sql="SELECT count(*) FROM outbox"),
    "python": Watch(name="queue", limit=1, python=waiting),
    "http": Watch(name="queue", limit=1, http={url!r}, json="mails.0"),
}}

@backfill(table("items", key="id"), fills="normal", version="1")
def fill(row):
    """Any value."""
    return {{"normal": "done"}}

@backfill(table("items", key="id"), fills="normal", version="1", watch=[WATCHES[{kind!r}]])
def fill_watching(row):
    """Any value."""
    return {{"normal": "done"}}
'''
SIGNAL = '[[env.local.throttle.signal]]\nname = "queue"\nlimit = 1\nunit = "mails"\n'
ASKED = {
    "sql": 'sql = "SELECT count(*) FROM outbox"\n',
    "python": 'python = "signalling:waiting"\n',
    "http": 'http = "{url}"\njson = "mails.0"\n',
}
PATIENCE = 30


def ask(file, sql):
    with closing(sqlite3.connect(file)) as db, db:
        return db.execute(sql).fetchall()


@pytest.fixture
def file(tmp_path):
    """Rows to fill, and a queue that is full."""
    file = tmp_path / "shop.db"
    ask(file, "CREATE TABLE items (id INTEGER PRIMARY KEY, normal TEXT)")
    ask(file, "INSERT INTO items (id) VALUES (1), (2), (3)")
    ask(file, "CREATE TABLE outbox (mail TEXT)")
    ask(file, "INSERT INTO outbox VALUES ('to somebody')")
    return file


@pytest.fixture
def url(file):
    """The length of the queue, as another service tells it."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            ((count,),) = ask(file, "SELECT count(*) FROM outbox")
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(b'{"mails": [%d]}' % count)

        def log_message(self, *words):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("told", ["in proctor.toml", "by the backfill"])
@pytest.mark.parametrize("kind", ASKED)
async def test_a_run_waits_while_a_signal_of_the_users_is_full(tmp_path, file, url, kind, told):
    """Nothing is written until it is not; who waits for what is on record and on every face."""
    code = BACKFILLS.format(file=str(file), url=url, kind=kind)
    (tmp_path / "signalling.py").write_text(code)
    by_file = told == "in proctor.toml"
    signal = SIGNAL + ASKED[kind].format(url=url) if by_file else ""
    (tmp_path / "proctor.toml").write_text(
        'backfills = ["signalling"]\nledger = "memory://"\n'
        f'[env.local]\nstore = "sqlite:///shop.db"\n{signal}'
    )
    throttled, reasons, seen = asyncio.Event(), [], []

    def hear(event):
        if event.name == "run.throttled":
            reasons.append(event.data["why"])
            throttled.set()

    async with open_app(load(tmp_path / "proctor.toml")) as app:
        app.site.events.hear.append(hear)
        name = "fill" if by_file else "fill_watching"
        run = asyncio.create_task(app.run(name, RunOptions(), seen.append))
        await asyncio.wait_for(throttled.wait(), PATIENCE)
        assert ask(file, "SELECT count(normal) FROM items") == [(0,)]
        ask(file, "DELETE FROM outbox")
        ended = await run
    assert (ended.run.state, ended.run.outcome.written) == ("succeeded", 3)
    assert "queue" in reasons[0]
    assert any(s.name == "queue" and s.load == 1.0 for shown in seen for s in shown.throttle)
