"""Where notices arrive in tests: a web server that keeps what it was sent, and answers as told."""

import json
import threading

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """`got` holds every JSON document; `status` is answered, and not before `free` is set."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Taking)
        self.got, self.paths, self.status = [], [], 200
        self.free = threading.Event()
        self.free.set()
        self.asked = threading.Event()

    @property
    def url(self):
        return f"json://127.0.0.1:{self.server_port}"

    @property
    def titles(self):
        return [one["title"] for one in self.got]


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        self.server.got.append(json.loads(body))
        self.server.asked.set()
        self.server.free.wait(60)
        try:
            self.send_response(self.server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        except OSError:
            return  # it has gone away, as whoever waits too long does

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def receiving():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.free.set()
        server.shutdown()
        thread.join()
        server.server_close()
