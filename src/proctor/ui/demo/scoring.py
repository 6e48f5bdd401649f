"""The application of the sessions' demo: two HTTP functions that write tables of its own.

Told on stdin where its database is, it says its address and serves until stdin closes. It keeps
books of its own: who called what, and what was worked on.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import time

from collections import Counter
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

LATENCY: Final = 0.1
"""Seconds that a function takes."""
MINUTE: Final = 60.0
TYPES: Final = ("observer", "builder", "mediator", "seeker")


class Refused(Exception):
    """The application cannot do that; the status and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Application:
    """Scores sessions; the same idempotency key is worked on once."""

    def __init__(self, database: str, key: str, rpm: int) -> None:
        self.database, self.key, self.rpm = database, key, rpm
        self.lock = threading.Lock()
        self.replies: dict[str, Any] = {}
        self.recent: dict[str, list[float]] = {"score_fc_session": [], "score_prism": []}
        self.calls: Counter[str] = Counter()
        self.worked: Counter[str] = Counter()
        self.order: list[str] = []
        self.limited = 0
        self.flying = 0

    def call(self, name: str, session: str, idempotency: str) -> dict[str, Any]:
        """One call of a function; Refused with a status where it cannot be done."""
        with self.lock:
            self._admit(name)
            self.calls[name] += 1
        time.sleep(LATENCY)
        with self.lock:
            if idempotency not in self.replies:
                with (
                    closing(sqlite3.connect(self.database, timeout=30)) as open_,
                    open_ as database,
                ):
                    database.execute("PRAGMA foreign_keys = ON")
                    work = _score_fc_session if name == "score_fc_session" else _score_prism
                    self.replies[idempotency] = work(database, session)
                self.worked[f"{name} {session}"] += 1
                self.order.append(f"{name} {session}")
            reply: dict[str, Any] = self.replies[idempotency]
            return reply

    def _admit(self, name: str) -> None:
        if name not in self.recent:
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no function {name}")
        now = time.monotonic()
        recent = self.recent[name] = [at for at in self.recent[name] if now - at < MINUTE]
        if len(recent) >= self.rpm:
            self.limited += 1
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, f"at most {self.rpm} calls a minute")
        recent.append(now)

    @property
    def books(self) -> dict[str, Any]:
        """What it counted."""
        with self.lock:
            return {
                "calls": dict(self.calls),
                "worked": dict(self.worked),
                "order": self.order,
                "limited": self.limited,
            }


def _score_fc_session(database: sqlite3.Connection, session: str) -> dict[str, Any]:
    """The functions' score of a session's responses."""
    count, total = database.execute(
        "SELECT count(*), sum(answer) FROM responses WHERE session_id = ?", (session,)
    ).fetchone()
    if not count:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"session {session} has no responses")
    score = round(total / (5 * count), 4)
    database.execute(
        "INSERT INTO fc_scores (session_id, version, fc_kind, score) "
        "VALUES (:session, 'v1.2', 'functions', :score) ON CONFLICT (session_id) DO UPDATE "
        "SET version = 'v1.2', fc_kind = 'functions', score = :score",
        {"session": session, "score": score},
    )
    return {"score": score}


def _score_prism(database: sqlite3.Connection, session: str) -> dict[str, Any]:
    """The profile that is made of the score."""
    found = database.execute(
        "SELECT id, score FROM fc_scores WHERE session_id = ? AND version = 'v1.2'", (session,)
    ).fetchone()
    if found is None:
        raise Refused(HTTPStatus.CONFLICT, f"session {session} is not scored yet")
    score_id, score = found
    kind = TYPES[int(score * 1000) % len(TYPES)]
    database.execute(
        "INSERT INTO profiles (session_id, score_id, results_version, type) "
        "VALUES (:session, :score, 'v1.2.1', :type) ON CONFLICT (session_id) DO UPDATE "
        "SET score_id = :score, results_version = 'v1.2.1', type = :type",
        {"session": session, "score": score_id, "type": kind},
    )
    return {"type": kind}


def handler(application: Application) -> type[BaseHTTPRequestHandler]:
    """What answers HTTP with it."""

    class Answers(BaseHTTPRequestHandler):
        wbufsize = -1  # one packet a reply

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            told = json.loads(self.rfile.read(length) or b"{}")
            status, body = HTTPStatus.OK, application.books
            if self.path != "/_books":
                try:
                    body = self._called(told)
                except Refused as error:
                    status, body = error.status, {"error": error.why}
            said = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def _called(self, told: dict[str, Any]) -> dict[str, Any]:
            if self.headers.get("authorization") != f"Bearer {application.key}":
                raise Refused(HTTPStatus.UNAUTHORIZED, "wrong service key")
            name = self.path.removeprefix("/")
            return application.call(
                name, str(told.get("session")), self.headers.get("idempotency-key", "")
            )

        def log_message(self, *_: object) -> None:
            """Be quiet: the books are asked for."""

    return Answers


def main() -> None:
    """Its whole life."""
    told = json.loads(sys.stdin.readline())
    application = Application(told["database"], told["key"], told["rpm"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(application))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()  # a parent that was killed closes it, too


if __name__ == "__main__":
    main()
