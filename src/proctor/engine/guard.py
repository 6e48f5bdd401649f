"""The audit hook of the child in which plans and dry runs call the author's function.

A guard-rail, not a sandbox: it stops what an honest function does by mistake or habit, as it
goes through Python. Code that wants to get out can, and a C library that opens connections or
files on its own (libpq, for one) is not seen; what keeps those out is that the child is given
no DSN and no secret.
"""

from __future__ import annotations

import _posixsubprocess
import os

from typing import Any, Final, NoReturn

from proctor.engine.place import place_now
from proctor.errors import AuthorError

WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
REFUSED: Final[dict[str, str]] = {
    "socket.bind": "open a network socket",
    "socket.connect": "open a network connection",
    "socket.sendto": "send to the network",
    "socket.sendmsg": "send to the network",
    "socket.getaddrinfo": "look up a network address",
    "socket.gethostbyname": "look up a network address",
    "socket.gethostbyaddr": "look up a network address",
    "socket.getnameinfo": "look up a network address",
    "subprocess.Popen": "start a process",
    "os.system": "start a process",
    "os.exec": "start a process",
    "os.fork": "start a process",
    "os.forkpty": "start a process",
    "os.posix_spawn": "start a process",
    "os.spawn": "start a process",
    "os.startfile": "start a process",
    "pty.spawn": "start a process",
    "webbrowser.open": "open a browser",
    "os.kill": "signal a process",
    "os.killpg": "signal a process",
    "os.remove": "remove a file",
    "os.rename": "rename a file",
    "os.rmdir": "remove a directory",
    "os.mkdir": "make a directory",
    "os.link": "link a file",
    "os.symlink": "link a file",
    "os.truncate": "cut a file",
    "os.chmod": "change a file's mode",
    "os.chown": "change a file's owner",
    "os.lchown": "change a file's owner",
    "os.utime": "change a file's time",
    "os.setxattr": "change a file's attributes",
    "os.removexattr": "change a file's attributes",
    "sqlite3.enable_load_extension": "load an SQLite extension",
    "sqlite3.load_extension": "load an SQLite extension",
}
"""Audit events that are refused whatever their arguments, in words."""


class Refused(AuthorError, PermissionError):
    """An act that a dry run refuses.

    Also a PermissionError: a library that only tries to write its cache goes on without.
    """

    def __init__(self, act: str, event: str, place: str) -> None:
        AuthorError.__init__(
            self,
            f"the function tried to {act}, which a plan and a dry run refuse",
            found=f"{event} at {place}",
            fix="let the function compute from the row, and move what acts on the world out of it",
        )


class Guard:
    """The hook itself; it refuses nothing until it is armed."""

    def __init__(self) -> None:
        self.armed = False
        self.refused: list[Refused] = []
        """What was refused; also where the function caught the exception and went on."""

    def arm(self) -> None:
        """Refuse from now on, in this process, for good."""
        # multiprocessing starts its processes by this call, past every audit event.
        _posixsubprocess.fork_exec = self._no_process
        self.armed = True

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Called by Python before each audited act; raises Refused."""
        if not self.armed:
            return
        act = REFUSED.get(event)
        if event == "open":
            act = _writes(*args)
        elif event == "sqlite3.connect" and args[0] not in (":memory:", b":memory:"):
            act = "open an SQLite file"
        if act is not None:
            raise self._refusal(act, event)

    def _refusal(self, act: str, event: str) -> Refused:
        refusal = Refused(act, event, place_now())
        self.refused.append(refusal)
        return refusal

    def _no_process(self, *_args: Any) -> NoReturn:
        raise self._refusal("start a process", "fork_exec")


def _writes(path: Any, mode: Any, flags: Any) -> str | None:
    """What an `open` would do to a file; None where it only reads, or the file is already open."""
    changes = bool(flags & WRITING) if isinstance(flags, int) else set(mode or "") & set("wax+")
    harmless = isinstance(path, int) or path in (os.devnull, os.devnull.encode())
    return "write a file" if changes and not harmless else None
