"""An application that writes its own tables when it is called, and the project that calls it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading

from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg

from paid.songs import PATIENCE, Ended

CODE = """
from proctor import backfill, table

@backfill(
    table("sessions", key="id"{where}),
    touches=(
        table("fc_scores", key="id", where="session_id = :id"),
        table("profiles", key="id", where="session_id = :id"{columns}),
        table("drafts", key="id", where="session_id = :id"),
    ),{more}
    version="v1.2",
)
async def score(session, ctx):
    await ctx.http(provider="app", session=session["id"])
    {gives}
"""
TABLES = """
    CREATE TABLE sessions (id integer PRIMARY KEY, title text, scored_at text);
    CREATE TABLE fc_scores (
        id integer PRIMARY KEY, session_id integer REFERENCES sessions,
        score double precision, version text
    );
    CREATE TABLE profiles (
        id integer PRIMARY KEY, session_id integer, results_version text, note text
    );
    CREATE TABLE drafts (id integer PRIMARY KEY, session_id integer, body text);
    CREATE TABLE appeals (score_id integer REFERENCES fc_scores ON DELETE CASCADE);
"""
NAMES = ("sessions", "fc_scores", "profiles", "drafts", "appeals")
SESSIONS = 6


def works(execute, session):
    """What the application does for a session: a score is new, a profile changes, a draft goes."""
    execute(f"INSERT INTO fc_scores VALUES ({session}, {session}, 0.1, 'v1.2')")
    execute(f"UPDATE profiles SET results_version = 'v1.2.1' WHERE session_id = {session}")
    execute(f"DELETE FROM drafts WHERE session_id = {session}")


class Application:
    """Scores sessions by HTTP; the same idempotency key is worked on once."""

    def __init__(self, place):
        self.place, self.calls, self.done = place, [], {}
        self.wrong = set()
        self.hold, self.held = threading.Event(), threading.Event()
        self.hold.set()
        self.lock = threading.Lock()

    def answer(self, session, key):
        """Status and body of one call."""
        with self.lock:
            self.calls.append(session)
            if key not in self.done:
                if session in self.wrong:
                    return 422, {"error": "the session has no responses"}
                self.place.work(session)
                self.done[key] = session
        if not self.hold.is_set():
            self.held.set()
            self.hold.wait(PATIENCE)
        return 200, {"scored": session}


@contextmanager
def serving(application):
    """Its address."""

    class Answers(BaseHTTPRequestHandler):
        wbufsize = -1  # one packet a reply

        def do_POST(self):
            key = self.headers.get("idempotency-key", "")
            status, body = application.answer(int(self.path.rpartition("/")[2]), key)
            said = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        application.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()


class InFile:
    """The application's data in a SQLite file."""

    def __init__(self, root):
        self.path = root / "app.db"
        self.url = f"sqlite:///{self.path}"
        self.sql("PRAGMA journal_mode = WAL")

    def sql(self, text):
        """Whatever anybody does to it."""
        with closing(sqlite3.connect(self.path, timeout=30)) as db, db:
            db.execute("PRAGMA foreign_keys = ON")
            return db.execute(text).fetchall()

    def work(self, session):
        """What the application does, in one transaction."""
        with closing(sqlite3.connect(self.path, timeout=30)) as db, db:
            works(db.execute, session)

    def script(self, path):
        """Run a script of SQL; the last number of each verification."""
        with closing(sqlite3.connect(self.path)) as db:
            db.executescript(path.read_text())


class InPostgres:
    """The application's data in Postgres."""

    def __init__(self, url):
        self.url = url

    def sql(self, text):
        """As above."""
        with psycopg.connect(self.url, autocommit=True) as db:
            cursor = db.execute(text)
            return cursor.fetchall() if cursor.description else []

    def work(self, session):
        """As above."""
        with psycopg.connect(self.url) as db:
            works(db.execute, session)

    def script(self, path):
        """As above."""
        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute(path.read_text())


class Scored:
    """The project, and whoever types commands in it."""

    def __init__(self, root, place, application, address, call):
        self.root, self.place, self.application, self._call = root, place, application, call
        self.started = []
        for text in TABLES.split(";")[:-1]:
            place.sql(text)
        for n in range(1, SESSIONS + 1):
            place.sql(f"INSERT INTO sessions (id, title) VALUES ({n}, 'session {n}')")
            place.sql(f"INSERT INTO profiles VALUES ({n}, {n}, 'v1.1', 'kept')")
            place.sql(f"INSERT INTO drafts VALUES ({n}, {n}, 'draft {n}')")
        place.sql("INSERT INTO fc_scores VALUES (100, 1, 0.7, 'v1.1')")
        self.write()
        self.configure(address)

    def configure(self, address, more=""):
        """proctor.toml."""
        (self.root / "proctor.toml").write_text(
            f'backfills = ["backfills"]\n[env.local]\nstore = "{self.place.url}"\n{more}\n'
            f'[providers.app]\nurl = "{address}/score/{{session}}"\nmethod = "POST"\n'
            "price = { request = 0 }\nconcurrency = 4\n"
        )

    def write(self, *, where="", columns="", more="", gives="return None"):
        """The module with the backfill."""
        code = CODE.format(where=where, columns=columns, more=more, gives=gives)
        (self.root / "backfills.py").write_text(code)

    def proctor(self, *words):
        """A command in this process."""
        return Ended(*self._call(*words))

    def run(self, *words, code=0):
        """A run to its end; its id."""
        ended = self.proctor("run", "score", "--json", *words)
        assert ended.code == code, ended.said
        return ended.json["id"]

    def spawn(self, *words):
        """A command in a process of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "proctor", *words],
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def end(self):
        """Leave no process behind."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    @property
    def data(self):
        """Every row of every table."""
        return {name: sorted(self.place.sql(f"SELECT * FROM {name}")) for name in NAMES}

    def touched(self, run):
        """What `status` says of touched rows, by table."""
        told = self.proctor("status", run, "--json").json["runs"][0]["touched"]
        return {
            one["table"]: (one["inserted"], one["changed"], one["deleted"]) for one in told["rows"]
        }
