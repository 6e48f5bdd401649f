"""Fill `${NAME}` from the environment; errors name the variable and the key, never a value."""

from __future__ import annotations

import re

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from proctor.errors import ConfigError

_HOLE: Final = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
# User and password before the last @ of a URL's address: `scheme://user:password@`.
_LOGIN: Final = re.compile(r"[A-Za-z][\w.+-]*://(?P<login>[^@]*:[^@]*)@")


def fill(text: str, variables: Mapping[str, str], where: str) -> str:
    """The text with every `${NAME}` filled in, and `$${` as a plain `${`.

    A variable that stands for the user or the password inside a URL is percent-encoded, since
    people keep passwords as they are; one that holds the whole URL is taken as it is.
    `where` names file, line and key for the ConfigError of a variable that is not there.
    """
    login = _LOGIN.match(text)
    encoded = range(login.start("login"), login.end("login")) if login else range(0)

    def one(hole: re.Match[str]) -> str:
        if hole[0] == "$${":
            return "${"
        value = _value(hole["name"], variables, where)
        return quote(value, safe="") if hole.start() in encoded else value

    return _HOLE.sub(one, text)


def names_in(text: str) -> list[str]:
    """The variables that a text asks for."""
    return [hole["name"] for hole in _HOLE.finditer(text) if hole["name"]]


def _value(name: str | None, variables: Mapping[str, str], where: str) -> str:
    if name is None:
        raise ConfigError(
            f"{where} has a ${{ that names no variable",
            fix="write ${NAME}, or $${ for a plain ${",
        )
    value = variables.get(name)
    if not value:
        raise ConfigError(
            f"{where} needs the environment variable {name}",
            found="it is not set" if value is None else "it is empty",
            fix=f"export {name}=… before you call proctor",
        )
    return value


__all__ = ["fill", "names_in"]
