"""A flag behind commands: one that writes, one that reads, and one that asks about readers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal

from collections.abc import Callable, Sequence
from typing import Any, Final

from proctor.adapters.flags.tool import Said, by_state, fault, made_up, version_of
from proctor.errors import FlagFault
from proctor.model import FlagPowers, FlagState, ShellFlag

_ON: Final = frozenset({"on", "true", "1", "yes"})
_OFF: Final = frozenset({"off", "false", "0", "no"})


class ShellTool:
    """A `Tool` over commands; they are told by environment variables, and by no shell.

    Every command gets `FLAG`; one that writes `PERCENT`, `REASON`, `ROLLOUT_ID` and
    `IDEMPOTENCY_KEY` as well.
    """

    def __init__(
        self, settings: ShellFlag, *, rollout: str = "", redact: Callable[[str], str] = str
    ) -> None:
        """Nothing runs yet. redact: takes secrets out of what a command says."""
        self._settings, self._rollout, self._redact = settings, rollout, redact
        self.powers = FlagPowers(
            percent=settings.percent,
            needs_redeploy=settings.needs_redeploy,
            compare_and_set=False,
            observable=bool(settings.observe),
        )

    async def fetch(self) -> FlagState:
        """See `Tool`."""
        told = (await self._run(self._settings.read)).strip()
        percent = _percent(told)
        if percent is None:
            raise fault(
                self._settings,
                "has a read command that tells no percent",
                found=self._shown(told) or "nothing",
                fix='print 0 to 100, on, off, or {"percent": 5, "version": "7"}, and nothing else',
            )
        return FlagState(percent=percent, version=_version(told) or version_of(str(percent)))

    def after(self, _percent: int, _expect: FlagState) -> None:
        """See `Tool`: a command's versions are its own."""

    async def put(self, percent: int, _expect: FlagState, said: Said) -> None:
        """See `Tool`."""
        await self._run(
            self._settings.write,
            PERCENT=str(percent),
            REASON=said.reason,
            ROLLOUT_ID=self._rollout,
            IDEMPOTENCY_KEY=said.once,
        )

    async def put_back(self, state: FlagState, said: Said) -> None:
        """See `Tool`."""
        await self.put(state.percent, state, said)

    def is_back(self, found: FlagState, state: FlagState) -> bool:
        """See `Tool`."""
        return found.percent == state.percent

    async def readers(self, most: int) -> list[str]:
        """See `Tool`."""
        return made_up(most)

    async def observe(self, subjects: Sequence[str]) -> list[bool]:
        """See `Tool`: readers go in a line each, and on or off comes back for each."""
        if not self._settings.observe:
            return by_state(await self.fetch(), subjects)
        told = await self._run(self._settings.observe, lines=subjects)
        seen = [_switch(line) for line in told.split("\n") if line.strip()]
        if len(seen) != len(subjects) or None in seen:
            raise fault(
                self._settings,
                "has an observe command that does not answer for every reader",
                found=f"{len(seen) - seen.count(None)} answers for {len(subjects)} readers",
                fix="print on or off for every line that it is given, in order",
            )
        return [one is True for one in seen]

    async def aclose(self) -> None:
        """See `Tool`."""

    async def _run(
        self, words: Sequence[str], *, lines: Sequence[str] | None = None, **variables: str
    ) -> str:
        settings = self._settings
        program = os.path.basename(words[0])  # noqa: PTH119 - a name, whether or not a path
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                cwd=settings.cwd,
                env={**os.environ, "FLAG": settings.flag, **variables},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise fault(
                settings,
                f"has a command that cannot be started: {program}",
                found=error.strerror or type(error).__name__,
                fix="write it as a list of words, its path from the folder of proctor.toml",
            ) from None
        try:
            async with asyncio.timeout(settings.timeout_s):
                given = "\n".join((*lines, "")).encode() if lines is not None else b""
                out, err = await process.communicate(given)
        except BaseException as error:
            await _end(process)
            if isinstance(error, TimeoutError):
                raise self._failed(program, f"no end within {settings.timeout_s:g} s") from None
            raise
        if process.returncode:
            said = self._shown((err or out).decode("utf-8", "replace"))
            raise self._failed(program, f"exit code {process.returncode}: {said}".rstrip(": "))
        return out.decode("utf-8", "replace")

    def _failed(self, program: str, found: str) -> FlagFault:
        return fault(
            self._settings,
            f"has a command that failed: {program}",
            found=found,
            fix="run it by hand with the same variables",
        )

    def _shown(self, text: str) -> str:
        text = " ".join(self._redact(text).split())
        return text if len(text) <= 300 else f"…{text[-299:]}"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing behind that still writes: what the command has started goes with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _percent(told: str) -> int | None:
    found: Any = _json(told)
    if isinstance(found, dict):
        found = found.get("percent")
    if isinstance(found, bool):
        return 100 if found else 0
    if isinstance(found, int | float) and found in range(101):
        return int(found)
    switch = _switch(told)
    return None if switch is None else 100 if switch else 0


def _version(told: str) -> str:
    found = _json(told)
    return str(found["version"]) if isinstance(found, dict) and "version" in found else ""


def _json(told: str) -> Any:
    try:
        return json.loads(told)
    except ValueError:
        return None


def _switch(told: str) -> bool | None:
    word = told.strip().lower()
    return True if word in _ON else False if word in _OFF else None


__all__ = ["ShellTool"]
