"""Commands that errors and reports suggest, completed so that they can be pasted as they stand.

Whoever suggests one writes it plainly, `proctor resume RUN`; the environment and proctor.toml are
known to the command that says it, and are added there.
"""

from __future__ import annotations

import json
import re
import shlex

from contextvars import ContextVar
from pathlib import Path
from typing import Final

DEFAULT_ENV: Final = "local"

named: ContextVar[Path | None] = ContextVar("named", default=None)
"""The proctor.toml that this command was told to use; None where the nearest is meant."""

_COMMAND: Final = re.compile(
    r"\bproctor (?=(?:approve|cancel|doctor|dry-run|ensure|failures|list|pause|plan|prune|reject|"
    r"report|resume|rollback|rollout|run|status|tune|verify|watch)\b)"
)


def pasteable(text: str, env: str) -> str:
    """The text with every command of Proctor in it made for this environment and project."""
    words = ["proctor"]
    if env != DEFAULT_ENV:
        words += ["-e", shlex.quote(env)]
    if (config := named.get()) is not None:
        words += ["--config", shlex.quote(str(config))]
    return _COMMAND.sub(lambda _: " ".join([*words, ""]), text)


def with_params(params: str) -> str:
    """The options that give a run's parameters (its JSON) again, each after a space."""
    given = json.loads(params) if params else {}
    told = ((n, v) for n, v in dict(given).items() if v is not None)
    return "".join(f" --param {shlex.quote(f'{name}={value}')}" for name, value in told)


__all__ = ["DEFAULT_ENV", "named", "pasteable", "with_params"]
