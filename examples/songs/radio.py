"""The application that listeners use: songs for a prompt, by titles or by what they are about.

    SONGS_URL=postgresql://user@host/database python radio.py

It says its address, and ends when its stdin does. Whether a listener gets the new data is asked of
the flag at every request, by the rule of docs/flags.md.
"""

import hashlib
import json
import os
import re
import sys
import threading

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import psycopg

FLAG = "ABOUTNESS_V2_ENABLED"
BY_TITLE = """
    SELECT id, title FROM songs WHERE NOT placeholder AND title ~* %s ORDER BY id LIMIT 3
"""
BY_ABOUTNESS = """
    SELECT s.id, s.title FROM songs s JOIN song_aboutness a ON a.song_id = s.id
    WHERE NOT s.placeholder AND a.version = 2 AND a.emotions_text || ' ' || a.moments_text ~* %s
    ORDER BY s.id LIMIT 3
"""


def sees_new_data(database, listener):
    """Whether this listener is let in."""
    (percent,) = database.execute("SELECT percent FROM flags WHERE key = %s", [FLAG]).fetchone()
    digest = hashlib.sha256(f"{FLAG}:{listener}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 10_000 < percent * 100


def songs(prompt, listener):
    """At most three songs in which a longer word of the prompt is found."""
    words = "|".join(re.findall(r"\w{4,}", prompt)) or "$^"
    with psycopg.connect(os.environ["SONGS_URL"], connect_timeout=5) as database:
        new = sees_new_data(database, listener)
        found = database.execute(BY_ABOUTNESS if new else BY_TITLE, [rf"\m({words})\M"]).fetchall()
    return {"by": "aboutness" if new else "title", "songs": [title for _, title in found]}


def health():
    """Whether a listener could be answered at all."""
    with psycopg.connect(os.environ["SONGS_URL"], connect_timeout=5) as database:
        database.execute("SELECT 1 FROM songs LIMIT 1")
    return {"ok": True}


class Radio(BaseHTTPRequestHandler):
    """GET /songs?prompt=…&listener=… and GET /health."""

    def do_GET(self):
        """Answer one request; a fault of the database is a 503."""
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        try:
            if url.path == "/health":
                self.answer(200, health())
            elif url.path == "/songs":
                self.answer(200, songs(asked.get("prompt", ""), asked.get("listener", "nobody")))
            else:
                self.answer(404, {"error": "there are /songs and /health"})
        except psycopg.Error as error:
            self.answer(503, {"ok": False, "error": type(error).__name__})

    def answer(self, status, document):
        """One JSON document."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: whoever started it reads its address alone."""


def main():
    """Serve until nobody is at the other end of stdin."""
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), Radio)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
