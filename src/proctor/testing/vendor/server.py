"""Start the vendor on a free port of this machine, in a thread or in a process of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import socket
import subprocess
import sys
import threading
import urllib.request

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from proctor.errors import UsageError
from proctor.testing.vendor.service import PREFIX
from proctor.testing.vendor.terms import Fault, Served, Tally

KEY = "sk-local-0123456789abcdef"


@dataclass(frozen=True, slots=True)
class VendorServer:
    """A vendor that runs. It is told and asked over HTTP, wherever it runs."""

    url: str
    key: str
    served: tuple[Served, ...]
    stop: Callable[[], None]
    """Stop it now, connections and all; once more does nothing."""

    @property
    def openai_url(self) -> str:
        """The base URL for clients that speak OpenAI's shape."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """The base URL for clients that speak Anthropic's shape."""
        return self.url

    @property
    def google_url(self) -> str:
        """The base URL for clients that speak Gemini's shape."""
        return self.url

    def service_url(self, name: str) -> str:
        """Where the service of that name is; what comes behind it is its own path."""
        return f"{self.url}{PREFIX}{name}"

    def books(self) -> dict[str, Tally]:
        """What it counted, by model."""
        return {name: Tally.of(told) for name, told in self._post("/_books", {}).items()}

    def script(self, *faults: Fault) -> None:
        """Let calls to come go wrong; faults told first are used up first."""
        for fault in faults:
            self._post("/_faults", fault.as_json())

    def serve(self, served: Served) -> None:
        """Change a model's limits, or add one."""
        self._post("/_serve", served.as_json())

    def limit(self, name: str, **limits: int | None) -> None:
        """Change some limits of a model that was there from the beginning."""
        (served,) = (one for one in self.served if one.name == name)
        self.serve(replace(served, **limits))  # type: ignore[arg-type] # rpm, tpm, daily

    def advance(self, seconds: float) -> None:
        """Let its clock run ahead: windows empty, and at 00:00 UTC daily quotas begin anew."""
        self._post("/_advance", {"seconds": seconds})

    def _post(self, path: str, told: Any) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(told).encode())  # noqa: S310 - ours
        # Not through a proxy that the environment may name: it is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as reply:
            return json.load(reply)


@contextlib.contextmanager
def serve_vendor(
    *served: Served, key: str = KEY, process: bool = False, port: int = 0
) -> Iterator[VendorServer]:
    """A vendor that serves these models until the block ends.

    process: in a child process instead of a thread, so that its work does not slow the tested.
    port: 0 for a free one. Raises UsageError where the extra is not installed.
    """
    if importlib.util.find_spec("uvicorn") is None:
        raise UsageError(
            "the local vendor needs a web server that is not installed",
            found="there is no uvicorn",
            fix="pip install 'proctor[vendor]'",
        )
    begin = _in_process if process else _in_thread
    url, stop = begin(served, key, port)
    try:
        yield VendorServer(url, key, served, stop)
    finally:
        stop()


def _in_thread(served: Sequence[Served], key: str, port: int) -> tuple[str, Callable[[], None]]:
    listener = listen(port)
    server = _server(served, key)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="vendor", daemon=True
    )
    thread.start()

    def stop() -> None:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listener.close()

    return _url(listener), stop


def _in_process(served: Sequence[Served], key: str, port: int) -> tuple[str, Callable[[], None]]:
    told = {"served": [one.as_json() for one in served], "key": key, "port": port}
    child = subprocess.Popen(
        [sys.executable, "-m", "proctor.testing.vendor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(told) + "\n")
    child.stdin.flush()
    url = child.stdout.readline().strip()

    def stop() -> None:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        child.terminate()
        child.wait(10)

    if not url:
        stop()
        raise RuntimeError("the vendor's process ended before it listened")
    return url, stop


def run_child() -> None:
    """The child's whole life: told on stdin, it says its URL and serves until stdin closes."""
    told = json.loads(sys.stdin.readline())
    listener = listen(told["port"])
    server = _server([Served.of(one) for one in told["served"]], told["key"])

    def until_closed() -> None:
        # A parent that was killed closes the pipe too: no vendor is left behind.
        sys.stdin.read()
        server.should_exit = server.force_exit = True

    threading.Thread(target=until_closed, daemon=True).start()
    sys.stdout.write(f"{_url(listener)}\n")
    sys.stdout.flush()
    server.run(sockets=[listener])


def listen(port: int) -> socket.socket:
    """A socket that already listens: who is told its port can connect, whatever starts when."""
    # Named TCP, or asyncio leaves Nagle's delay on, and every reply is 40 ms late.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _server(served: Sequence[Served], key: str) -> Any:
    import uvicorn  # noqa: PLC0415 - an extra

    from proctor.testing.vendor.app import Vendor  # noqa: PLC0415 - only where it is served

    return uvicorn.Server(
        uvicorn.Config(
            Vendor(served, key),
            lifespan="off",
            ws="none",
            loop="asyncio",
            access_log=False,
            log_config=None,
            # It would complain of every scripted reset; an error of ours is a 500 anyway.
            log_level=logging.CRITICAL + 1,
            server_header=False,
            timeout_keep_alive=60,
        )
    )


__all__ = ["KEY", "VendorServer", "listen", "run_child", "serve_vendor"]
