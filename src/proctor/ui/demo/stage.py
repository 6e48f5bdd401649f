"""The demo's stage: a folder, commands typed into it as processes, and what is said meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Final

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from proctor.config import Config
from proctor.engine.snapshot import Snapshot
from proctor.errors import ProctorError, UsageError
from proctor.model import Bucket, Outcome, Run, RunState

LOOK_EVERY: Final = 0.02
"""Seconds between two looks at the run that is to be killed."""
KILL_AT: Final = 0.4
"""The share of its rows at which it dies: chunks are not small, so it ends up about half-way."""
PATIENCE: Final = 60.0
"""Seconds after which a run that does not come that far is a fault."""
WIDTH: Final = 120
"""Columns of the story where no terminal says how many there are."""
UI: Final = Path(__file__).parents[1]


class Broken(ProctorError):
    """The story did not go as it must; nothing of it can be believed."""


@dataclass(slots=True)
class Stage:
    """Where a scenario is played; `quiet` keeps stdout free for one JSON document."""

    folder: Path
    console: Console
    quiet: bool
    began: float = field(default_factory=monotonic)
    scenes: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    """What the commands find in their environment besides."""
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def set(cls, scenario: str, folder: Path | None, *, quiet: bool) -> Iterator[Stage]:
        """Copy a scenario's files to an empty folder, or to a new temporary one; leave it there."""
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix=f"proctor-{scenario}-"))
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                "the demo wants a folder of its own",
                found=f"{folder} is not an empty folder",
                fix="name one that is not there yet",
            )
        keep = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".proctor", "*.db*")
        shutil.copytree(example(scenario), folder, dirs_exist_ok=True, ignore=keep)
        console = Console(stderr=quiet, highlight=False, emoji=False, markup=False)
        if not console.is_terminal:
            console.width = WIDTH  # for people who read it later
        stage = cls(folder=folder.resolve(), console=console, quiet=quiet)
        try:
            yield stage
        finally:
            stage.end_servers()
            if console.is_terminal:
                console.show_cursor()  # the live view of a killed run could not give it back

    @property
    def seconds(self) -> float:
        """How long the story has taken."""
        return monotonic() - self.began

    def scene(self, title: str, words: str) -> None:
        """Begin a part of the story."""
        self.scenes += 1
        self.console.print()
        self.console.print(Rule(Text(f" {self.scenes}. {title} ", style="bold"), align="left"))
        self.console.print(Text(words, style="dim"))

    def fact(self, name: str, said: str) -> None:
        """One thing that can be checked; never wrapped, so that it can be copied."""
        line = Text.assemble((f"  {name:<12}  ", "dim"), said)
        self.console.print(line, soft_wrap=True)

    def good(self, sentence: str) -> None:
        """Something that was checked and holds."""
        self.console.print(Text.assemble(("  ✓ ", "bold green"), sentence), soft_wrap=True)

    def books(self, books: Outcome) -> None:
        """The sum that always holds."""
        counts = {bucket.value: getattr(books, bucket.value) for bucket in Bucket}
        parts = " + ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        self.fact("the books", f"{books.read:,} read = {parts}")

    def typed(self, command: str) -> None:
        """A command line as a person would type it."""
        self.console.print(Text.assemble(("\n$ ", "bold green"), (command, "bold")), soft_wrap=True)
        self.console.file.flush()

    def curtain(self) -> None:
        """After a kill: its last line may not have ended."""
        self.console.print()

    def python(self, *words: str) -> None:
        """Run one of the scenario's own scripts."""
        self.typed(" ".join(("python", *words)))
        self._finish(self._start(*words), words)

    def proctor(self, *words: str) -> None:
        """Type a command and see it succeed."""
        self._finish(self.begin(*words), words)

    def ends(self, code: int, *words: str, who: str = "") -> None:
        """Type a command, as somebody else if need be, and see it end with this exit code."""
        by = f"PROCTOR_USER={who} " if who else ""
        self.typed(f"{by}{' '.join(('proctor', *map(_shown, words)))}")
        before = dict(self.variables)
        self.variables |= {"PROCTOR_USER": who} if who else {}
        try:
            with self._start("-m", "proctor", *words) as process:
                left = process.wait()
        finally:
            self.variables = before
        self.fact("exit code", str(left))
        if left != code:
            raise Broken(
                f"`{' '.join(words)}` ended with another code", found=f"exit {left}, not {code}"
            )

    def tomorrow(self, *words: str) -> None:
        """Type a command by tomorrow's quotas."""
        self.typed(f"{' '.join(('proctor', *words))}   # tomorrow")
        self._finish(self._start("-m", "proctor.ui.demo.tomorrow", *words), words)

    def command(self, *words: str) -> None:
        """Type a command that is not Proctor's and see it succeed; its words are kept back."""
        self.typed(shlex.join(words))
        try:
            told = subprocess.run(  # noqa: S603 - the words are those of the story
                words,
                cwd=self.folder,
                env=os.environ | self.variables,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        except OSError as error:
            raise Broken(
                f"{words[0]} cannot be called",
                found=error.strerror or "it is not there",
                fix=f"install {words[0]}, and play it again",
            ) from None
        if told.returncode:
            raise Broken(f"the step `{shlex.join(words)}` failed", found=told.stderr.strip())

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """Type a command that goes on while something else happens."""
        self.typed(" ".join(("proctor", *words)))
        return self._start("-m", "proctor", *words)

    def serve(self, module: str, told: object = None) -> str:
        """Start one of Proctor's own servers in a process; the address that it says."""
        if find_spec(module) is None:
            raise Broken(f"{module} is not there", fix="install Proctor again")
        return self._served(("-m", module), told)

    def application(self, script: str) -> str:
        """Start a script of the scenario that serves until its stdin ends; the address it says."""
        self.typed(f"python {script} &")
        return self._served((script,), None)

    def _served(self, words: tuple[str, ...], told: object) -> str:
        server = subprocess.Popen(  # noqa: S603 - a module of ours, or the scenario's script
            [sys.executable, *words],
            cwd=self.folder,
            env=os.environ | self.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.servers.append(server)
        assert server.stdin is not None  # noqa: S101 - it is a pipe
        assert server.stdout is not None  # noqa: S101 - as above
        assert server.stderr is not None  # noqa: S101 - as above
        if told is not None:
            server.stdin.write(json.dumps(told) + "\n")
            server.stdin.flush()
        address = server.stdout.readline().strip()
        if not address:
            said = server.stderr.read().strip().splitlines() or ["nothing"]
            raise Broken(
                f"the demo's server {words[-1]} did not start",
                found=said[-1],
                fix="pip install 'proctor[demo]', which brings the servers, and play it again",
            )
        return address

    def end_servers(self) -> None:
        """Servers end when nobody is at the other end of their stdin."""
        for server in self.servers:
            server.communicate()

    def end(self) -> None:
        """Where everything lies, for whoever wants to look."""
        self.scene("The end", f"It took {self.seconds:.0f} s. Everything is still there:")
        self.typed(f"cd {shlex.quote(str(self.folder))} && {command()} status")

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        """Children speak where we speak, in the scenario's folder."""
        return subprocess.Popen(  # noqa: S603 - the words are those of the story
            [sys.executable, *words],
            cwd=self.folder,
            env=os.environ | self.variables,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr if self.quiet else None,
        )

    def _finish(self, process: subprocess.Popen[bytes], words: tuple[str, ...]) -> None:
        with process:
            code = process.wait()
        if code:
            raise Broken(f"the step `{' '.join(words)}` failed", found=f"exit {code}")


def _shown(word: str) -> str:
    return f'"{word}"' if " " in word else word


def command() -> str:
    """Proctor as it can be called from the shell that called us: by name, or by its place."""
    if shutil.which("proctor"):
        return "proctor"
    beside = Path(sys.executable).with_name("proctor")
    return shlex.quote(str(beside)) if beside.exists() else f"{sys.executable} -m proctor"


def example(scenario: str) -> Path:
    """A scenario's files: inside the package when it is installed, beside it in a checkout."""
    for folder in (UI / "examples" / scenario, UI.parents[2] / "examples" / scenario):
        if folder.is_dir():
            return folder
    raise Broken(
        f"the files of the scenario {scenario} are not there",
        found="neither in the package nor in a checkout",
        fix="install Proctor again",
    )


def record(stage: Stage, run: str) -> Run:
    """A run as the target remembers it."""
    return seen(stage, run)[0].run


def latest(stage: Stage, backfill: str) -> Run:
    """The newest run of a backfill."""
    return next(one.run for one in seen(stage) if one.run.backfill == backfill)


def seen(stage: Stage, run: str | None = None) -> list[Snapshot]:
    """One run or all of them, newest first, with their bills."""
    return asyncio.run(_seen(stage, run))


async def _seen(stage: Stage, run: str | None) -> list[Snapshot]:
    from proctor import app

    async with app.open(configured(stage)) as opened:
        return await opened.status(run)


def configured(stage: Stage) -> Config:
    """The scenario's proctor.toml, as its commands read it."""
    from proctor.config import load

    return load(stage.folder / "proctor.toml", environ=os.environ | stage.variables)


def seen_half_way(stage: Stage, process: subprocess.Popen[bytes], backfill: str = "") -> Snapshot:
    """Watch the target, as any other process may, until the run has come far enough."""
    return asyncio.run(_seen_half_way(stage, process, backfill))


async def _seen_half_way(stage: Stage, process: subprocess.Popen[bytes], backfill: str) -> Snapshot:
    from proctor import app

    until = monotonic() + PATIENCE
    async with app.open(configured(stage)) as opened:
        while process.poll() is None and monotonic() < until:
            for seen in await opened.status():
                far = seen.run.outcome.read >= KILL_AT * (seen.run.expected or sys.maxsize)
                mine = backfill in ("", seen.run.backfill)
                if far and mine and seen.run.state is RunState.RUNNING:
                    return seen
            await asyncio.sleep(LOOK_EVERY)
    process.kill()
    raise Broken(
        "the run could not be killed half-way",
        found="it had ended" if process.returncode is not None else "it did not get there",
        fix="run the demo again",
    )
