"""Probes whose answer is outside: git, environment variables, a web address, a command."""

from __future__ import annotations

import asyncio
import os
import re

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from proctor.errors import Unmeasured
from proctor.model import Probe, ProbeKind

KEPT: Final = 2_000
"""Characters of a command's output that are kept."""
_HOLE: Final = re.compile(r"\$\{(\w+)\}")


async def ask_outside(probe: Probe, root: Path) -> tuple[bool, str, Any]:
    """Yes or no, in words, and the answer as JSON. Raises Unmeasured where there is none."""
    if probe.kind is ProbeKind.VARIABLES:
        missing = [name for name in probe.of if not os.environ.get(name)]
        told = f"not set: {', '.join(missing)}" if missing else f"{len(probe.of)} set"
        return not missing, told, {"missing": missing}
    if probe.kind is ProbeKind.CLEAN_GIT:
        return await _git(root)
    if probe.kind is ProbeKind.COMMAND:
        code, out = await _command(probe.of, root)
        return code == 0, f"exit code {code}: {out.strip()[-200:]}", out[-KEPT:]
    return await _http(probe)


async def _git(root: Path) -> tuple[bool, str, Any]:
    code, out = await _command(("git", "status", "--porcelain"), root)
    if code:
        return False, f"git says: {out.strip()[-200:]}", None
    changed = [line[3:] for line in out.splitlines()]
    if changed:
        return False, f"{len(changed)} changes are not committed: {', '.join(changed[:3])}", changed
    _, head = await _command(("git", "rev-parse", "HEAD"), root)
    return True, f"clean at {head.strip()[:12]}", head.strip()


async def _command(words: Sequence[str], root: Path) -> tuple[int, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=root,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise Unmeasured(
            f"{words[0]} cannot be called",
            found=error.strerror or type(error).__name__,
            fix="install it, or name it by its path",
        ) from None
    try:
        out, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, out.decode(errors="replace")


async def _http(probe: Probe) -> tuple[bool, str, Any]:
    import httpx2

    url = _filled(probe.of[0])
    headers = {name: _filled(text) for name, text in probe.headers.items()}
    try:
        async with httpx2.AsyncClient(timeout=probe.timeout.total_seconds()) as client:
            reply = await client.get(url, headers=headers)
    except httpx2.HTTPError as error:
        raise Unmeasured(
            f"the address of probe {probe.name} does not answer",
            found=type(error).__name__,
            fix="see that it is up, and can be reached from here",
        ) from None
    if not reply.is_success:
        return False, f"it answers {reply.status_code}", None
    return _expected(probe, reply)


def _expected(probe: Probe, reply: Any) -> tuple[bool, str, Any]:
    if not probe.expect:
        return True, f"it answers {reply.status_code}", reply.text[:KEPT]
    import jsonpath_rfc9535

    try:
        found = jsonpath_rfc9535.find(probe.expect, reply.json()).values()
    except (ValueError, jsonpath_rfc9535.JSONPathError) as error:
        return False, f"{probe.expect} cannot be picked: {type(error).__name__}", None
    ok = len(found) == 1 and found[0] is True
    said = found[0] if len(found) == 1 else found
    return ok, f"{probe.expect} is {said!r}", said


def _filled(text: str) -> str:
    """With `${NAME}` from the environment. Raises Unmeasured where one is not set."""

    def of(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise Unmeasured(
                f"the environment variable {match[1]} is not set", fix=f"export {match[1]}=…"
            )
        return value

    return _HOLE.sub(of, text)


__all__ = ["ask_outside"]
