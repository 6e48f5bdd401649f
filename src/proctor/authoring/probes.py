"""Probes: what must be so before a rollout begins, and what is compared before and after.

    from proctor import probes

    probes.clean_git()
    probes.variables("OPENAI_API_KEY")
    probes.http("health", "https://shop.example/health", expect="$.ok")

Each is a question with yes or no and an answer that is kept. Raises DefinitionError, which shows
the right code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from proctor.authoring.given import names, short, text
from proctor.errors import DefinitionError
from proctor.model import Probe, ProbeKind

HALF_A_MINUTE = timedelta(seconds=30)
Compare = Callable[[Any, Any], Any]
"""Gets the answers before and after: True, False, or why they do not fit."""


def clean_git() -> Probe:
    """The project's git tree has no change that is not committed."""
    return Probe(name="git", kind=ProbeKind.CLEAN_GIT)


def variables(*wanted: str) -> Probe:
    """These environment variables are set, and not empty; their values are never shown."""
    right = 'probes.variables("OPENAI_API_KEY")'
    return Probe(name="variables", kind=ProbeKind.VARIABLES, of=names("variables", wanted, right))


def http(
    name: str,
    url: str,
    *,
    expect: str = "",
    headers: Mapping[str, str] | None = None,
    compare: Compare | None = None,
    timeout: timedelta = HALF_A_MINUTE,
) -> Probe:
    """A web address answers 2xx; with `expect`, a JSONPath, that part of its JSON is true.

    `${NAME}` in the address and in headers is filled in from the environment.
    """
    right = 'probes.http("health", "https://shop.example/health", expect="$.ok")'
    if not text("the address of a probe", url, right).startswith(("http://", "https://", "${")):
        raise DefinitionError("a probe asks a web address", found=short(url), fix=right)
    return Probe(
        name=text("the name of a probe", name, right),
        kind=ProbeKind.HTTP,
        of=(url,),
        expect=expect,
        headers=dict(headers or {}),
        compare=compare,
        timeout=_while(timeout, right),
    )


def sql(name: str, query: str, *, compare: Compare | None = None) -> Probe:
    """A SELECT of one number, which is not 0: `probes.sql("columns", "SELECT count(*) …")`."""
    right = 'probes.sql("seeded", "SELECT count(*) FROM songs")'
    return Probe(
        name=text("the name of a probe", name, right),
        kind=ProbeKind.SQL,
        of=(text("the SQL of a probe", query, right),),
        compare=compare,
    )


def python(
    name: str,
    call: Callable[[], Any],
    *,
    compare: Compare | None = None,
    timeout: timedelta = HALF_A_MINUTE,
) -> Probe:
    """A function of no arguments, async or not: False is a no, so is raising; the rest is kept."""
    right = 'probes.python("prompts", ask_the_prompts)'
    if not callable(call):
        raise DefinitionError("a probe calls a function", found=repr(call), fix=right)
    return Probe(
        name=text("the name of a probe", name, right),
        kind=ProbeKind.PYTHON,
        call=call,
        compare=compare,
        timeout=_while(timeout, right),
    )


def command(
    name: str,
    words: Sequence[str],
    *,
    compare: Compare | None = None,
    timeout: timedelta = HALF_A_MINUTE,
) -> Probe:
    """A command, word by word and without a shell, that ends with 0; its output is kept."""
    right = 'probes.command("flag tool", ["flagctl", "status"])'
    if isinstance(words, str):
        raise DefinitionError("a command is a list of words", found=short(words), fix=right)
    return Probe(
        name=text("the name of a probe", name, right),
        kind=ProbeKind.COMMAND,
        of=names("words", words, right),
        compare=compare,
        timeout=_while(timeout, right),
    )


def flag(name: str) -> Probe:
    """A flag of proctor.toml answers."""
    return Probe(
        name=f"flag {name}",
        kind=ProbeKind.FLAG,
        of=(text("the flag of a probe", name, 'probes.flag("NEW_SEARCH")'),),
    )


def _while(timeout: Any, right: str) -> timedelta:
    if not isinstance(timeout, timedelta) or timeout <= timedelta(0):
        raise DefinitionError(
            "timeout= is a length of time",
            found=repr(timeout),
            fix=f"timeout=timedelta(seconds=30); as in {right}",
        )
    return timeout


__all__ = ["clean_git", "command", "flag", "http", "python", "sql", "variables"]
