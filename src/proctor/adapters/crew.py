"""Workers as processes of their own: they go on when whoever started them is gone."""

from __future__ import annotations

import os
import subprocess
import sys

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from proctor.errors import ConfigError

TOLD: Final = 2_000
"""Characters of what a worker said last that are looked at."""


_started: Final[list[subprocess.Popen[bytes]]] = []
"""Those that are at work: whoever drops a hand does not want its process to be waited for."""


class ChildHand:
    """ports.Hand on a process that was started here."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """`log` is where its words go."""
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """See the port."""
        return self._process.pid

    def ended(self) -> int | None:
        """See the port."""
        return self._process.poll()

    def said(self) -> str:
        """See the port."""
        try:
            text = self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return text[-TOLD:].strip()

    def ask_to_stop(self) -> None:
        """See the port."""
        if self._process.poll() is None:
            self._process.terminate()


class ChildCrew:
    """ports.Crew: `proctor` by this very Python, in the project's folder."""

    def __init__(self, root: Path, logs: Path, before: Sequence[str]) -> None:
        """`before` are words for every command: its configuration and environment."""
        self._root = root
        self._logs = logs
        self._before = tuple(before)

    def start(self, words: Sequence[str], /, *, log: str) -> ChildHand:
        """See the port."""
        path = self._logs / log
        try:
            self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)
            out = path.open("ab")
        except OSError as error:
            raise ConfigError(
                "what a worker says cannot be kept, so none was started",
                found=f"{self._logs.name}/{log}: {error.strerror}",
                fix="see to the folder of reports (reports= in proctor.toml), then type this again",
            ) from None
        with out:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "proctor", *words[:1], *self._before, *words[1:]],
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # Ctrl-C is for whoever drives the rollout: it decides what its worker is told.
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        _started[:] = [one for one in _started if one.poll() is None]
        _started.append(process)
        return ChildHand(process, path)


__all__ = ["ChildCrew", "ChildHand"]
