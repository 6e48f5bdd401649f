"""What a person sees when something is wrong: what, found, fix; a traceback only on demand."""

from __future__ import annotations

import re
import traceback

from collections.abc import Callable
from typing import Final, TypeAlias

import click

from proctor.engine.hints import DEFAULT_ENV, pasteable
from proctor.errors import ProctorError, UsageError

_CREDENTIALS: Final = re.compile(
    r"(?P<before>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]*@", re.IGNORECASE
)
_PAIRS: Final = re.compile(
    r"(?P<before>\b\w*(?:password|passwd|secret|token(?!s[\"']?\s*[=:]\s*\d{1,9}\b)|api_?key)\w*[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&)]+",
    re.IGNORECASE,
)


Redact: TypeAlias = Callable[[str], str] | None
"""What takes the secrets of the configuration out of a text; None before it was read."""


def redacted(text: str, net: Redact = None) -> str:
    """The text without what is, or looks like, a password: in URLs, after words like token=."""
    text = net(text) if net is not None else text
    return _PAIRS.sub(r"\g<before>***", _CREDENTIALS.sub(r"\g<before>***@", text))


class Unexpected(ProctorError):
    """A fault of Proctor's own: nobody foresaw it."""


def understood(fault: BaseException, net: Redact = None, env: str = DEFAULT_ENV) -> ProctorError:
    """Any exception as an error with three parts, without secrets; its commands for `env`."""
    if isinstance(fault, ProctorError):
        parts = (redacted(part, net) for part in (fault.what, fault.found, fault.fix))
        what, found, fix = parts
        return type(fault)(what, found=found, fix=pasteable(fix, env))
    if isinstance(fault, click.ClickException):
        return _usage(fault)
    return Unexpected(
        "Proctor met something that it did not expect",
        found=redacted(f"{type(fault).__name__}: {fault}", net),
        fix="run the same command with --debug and report what it prints; "
        "a run in progress can be resumed",
    )


def render(fault: ProctorError) -> str:
    """The three parts on lines of their own; later lines of a part are indented."""
    parts = (("error", fault.what), ("found", fault.found), ("to mend", fault.fix))
    lines = []
    for name, said in parts:
        if said:
            body = said.replace("\n", "\n" + " " * 9)
            colour = "red" if name == "error" else None
            label = click.style(f"{name}:".ljust(9), fg=colour, bold=True)
            lines.append(label + body)
    return "\n".join(lines)


def trace(fault: BaseException, net: Redact = None) -> str:
    """The traceback, without secrets."""
    return redacted("".join(traceback.format_exception(fault)), net)


def _usage(fault: click.ClickException) -> UsageError:
    context = getattr(fault, "ctx", None)
    path = context.command_path if context is not None else "proctor"
    return UsageError(
        fault.format_message().rstrip("."), fix=f"{path} --help shows what it understands"
    )
