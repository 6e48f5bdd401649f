"""The application that shoppers use: what goes with an item, by its raw words or by meaning.

    python matching.py

It says its address, and ends when its stdin does. Whether a shopper gets the semantic match is
asked of the flag at every request, through OpenFeature; an item without its field never gets it.

In this example nobody shops, so 500 shoppers come in whenever somebody asks for figures.
"""

import json
import os
import sqlite3
import sys
import threading

from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

HERE = Path(__file__).parent
FLAG = "FEATURE_SEMANTIC_MATCH"
SHOPPERS = 500
BY_WORDS = "SELECT id FROM wardrobe WHERE occasion = ? AND id <> ? LIMIT 3"
BY_MEANING = """
    SELECT id FROM wardrobe WHERE json_extract(normalized, '$.occasion[0]') = ? AND id <> ? LIMIT 3
"""
releases = {"field": "occasion"}  # which part of the normalized field the current release reads


def provided():
    """Flags as the file has them; OpenFeature hears of a change by itself."""
    api.set_provider_and_wait(
        FlagdProvider(
            resolver_type=ResolverType.FILE,
            offline_flag_source_path=str(HERE / "flags.json"),
            deadline_ms=100,
        )
    )
    return api.get_client()


def opened():
    """The table, to read."""
    return closing(sqlite3.connect(f"{(HERE / 'wardrobe.db').as_uri()}?mode=ro", uri=True))


def matches(database, flags, shopper, item):
    """What goes with an item; None where it fails."""
    occasion, normalized = database.execute(
        "SELECT occasion, normalized FROM wardrobe WHERE id = ?", [item]
    ).fetchone()
    context = EvaluationContext(f"shopper-{shopper}", {"filled": normalized is not None})
    if not flags.get_boolean_value(FLAG, default_value=False, evaluation_context=context):
        found = database.execute(BY_WORDS, [occasion, item]).fetchall()
        return {"by": "words", "filled": normalized is not None, "items": [n for (n,) in found]}
    try:
        wanted = json.loads(normalized)[releases["field"]]
    except KeyError:
        return {"by": "meaning", "filled": normalized is not None, "items": None}
    found = database.execute(BY_MEANING, [wanted[0], item]).fetchall() if wanted else []
    return {"by": "meaning", "filled": normalized is not None, "items": [n for (n,) in found]}


def figures(flags):
    """How shoppers fare now, on either side of the flag."""
    told = {by: {"asked": 0, "failed": 0, "unfilled": 0} for by in ("words", "meaning")}
    with opened() as database:
        items = [n for (n,) in database.execute("SELECT id FROM wardrobe ORDER BY id")]
        for shopper in range(SHOPPERS):
            answer = matches(database, flags, shopper, items[shopper * 7 % len(items)])
            side = told[answer["by"]]
            side["asked"] += 1
            side["failed"] += answer["items"] is None
            side["unfilled"] += not answer["filled"]
    return told


class Matching(BaseHTTPRequestHandler):
    """GET /match?shopper=…&item=…, GET /figures, and POST /release?field=… of another version."""

    def do_GET(self):
        """Answer one request."""
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/figures":
            self.answer(200, figures(self.server.flags))
        elif url.path == "/match":
            with opened() as database:
                found = matches(
                    database, self.server.flags, asked.get("shopper", "0"), int(asked["item"])
                )
            self.answer(500 if found["items"] is None else 200, found)
        else:
            self.answer(404, {"error": "there are /match and /figures"})

    def do_POST(self):
        """Another release, as a deploy would bring it."""
        releases["field"] = parse_qs(urlsplit(self.path).query)["field"][0]
        self.answer(200, {"field": releases["field"]})

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
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), Matching)
    server.flags = provided()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    server.shutdown()
    api.shutdown()


if __name__ == "__main__":
    main()
