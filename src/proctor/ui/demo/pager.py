"""Whoever is on duty in a demo: a local address to which notices are sent, as to any other."""

from __future__ import annotations

import contextlib
import json
import threading

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Pager:
    """What has arrived: messages as Apprise's `json://` sends them."""

    def __init__(self, port: int) -> None:
        self.url = f"json://127.0.0.1:{port}/"
        self.messages: list[dict[str, Any]] = []

    def heard(self, word: str) -> str:
        """The title of a message in which the word stands; empty where there is none."""
        found = (m for m in self.messages if word in f"{m.get('title')} {m.get('message')}")
        return next((str(message.get("title")) for message in found), "")


@contextlib.contextmanager
def pager() -> Iterator[Pager]:
    """Listen until the block ends."""

    class Listening(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Keep one message."""
            length = int(self.headers.get("content-length", "0"))
            heard.messages.append(json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the story says what has arrived."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        heard = Pager(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield heard
        finally:
            server.shutdown()
