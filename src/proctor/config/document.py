"""A TOML file that remembers on which line each key stands, so that errors can say so."""

from __future__ import annotations

import re
import tomllib

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from proctor.errors import ConfigError

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands: keys, and positions in arrays of tables."""

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY: Final = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_BLANK: Final = re.compile(r"(?:[\s]|#[^\n]*)*")
# One piece of a value: a string of one of four kinds, a comment, or a single character.
_PIECE: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*|.",
    re.DOTALL,
)
_POSITION: Final = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Document:
    """What a TOML file says, and the line of every key in it."""

    path: Path
    data: dict[str, Any] = field(repr=False)
    lines: dict[Place, int] = field(repr=False)

    def line(self, place: Place) -> int:
        """The line of a key, or of the nearest table around it; 1 if even that is unknown."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def where(self, place: Place) -> str:
        """File, line and key, as the beginning of an error."""
        return f"{self.path}, line {self.line(place)}, key {dotted(place)}"


def dotted(place: Place) -> str:
    """A place as it is written in TOML, with the positions of tables counted from 1."""
    text = ""
    for part in place:
        bare = isinstance(part, str) and re.fullmatch(r"[\w-]+", part, re.ASCII)
        text += f"[{part + 1}]" if isinstance(part, int) else "." + (part if bare else f'"{part}"')
    return text.lstrip(".")


def read(path: Path) -> Document:
    """Parse a file; ConfigError with line and column if it is not TOML, or cannot be read."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}, line {line} is not UTF-8 text", fix="save the file as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read",
            found=error.strerror or type(error).__name__,
            fix="name one that is there and may be read, or make one with `proctor init`",
        ) from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # From None: the parser's own error shows the text around the fault in some versions.
        raise _malformed(path, text, str(error)) from None
    return Document(path, data, _lines(text))


def _malformed(path: Path, text: str, said: str) -> ConfigError:
    lines = text.split("\n")
    position = _POSITION.search(said)
    why = _POSITION.sub("", said)
    if why.startswith("Cannot"):
        # The parser sees a second definition only after its end: find the line that made it so.
        line, column = next(i for i in range(1, len(lines) + 1) if _fails(lines[:i], why)), 1
    elif position and position[1]:
        line, column = int(position[1]), int(position[2])
    else:
        line, column = len(lines), len(lines[-1]) + 1
    return ConfigError(
        f"{path} is not valid TOML: line {line}, column {column}",
        found=why,
        fix="strings need quotes, and every table and key may stand only once",
    )


def _fails(lines: list[str], why: str) -> bool:
    try:
        tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as error:
        return str(error).startswith(why)
    return False


def _lines(text: str) -> dict[Place, int]:
    """The line of every table and key of a text that is valid TOML."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    at = _skip_blank(text, 0)
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        brackets = len(re.match(r"\[*", text[at:])[0])  # type: ignore[index]
        key = _KEY.match(text, _skip_blank(text, at + brackets))
        if key is None:  # cannot be: tomllib has read it
            break
        parts = _parts(key[0])
        if brackets == 2:
            name = _located(parts[:-1], counts) + parts[-1:]
            counts[name] = counts.get(name, -1) + 1
        place = _located(parts, counts) if brackets else table + parts
        table = place if brackets else table
        lines.setdefault(place, line)
        at = _skip_blank(text, _skip_value(text, key.end()))
    return lines


def _located(parts: tuple[str, ...], counts: dict[Place, int]) -> Place:
    place: Place = ()
    for part in parts:
        place += (part,)
        if place in counts:
            place += (counts[place],)
    return place


def _parts(key: str) -> tuple[str, ...]:
    """The names in a dotted key, read by the real parser: it knows the quotes and escapes."""
    found: Any = tomllib.loads(f"{key} = 0")
    parts = []
    while isinstance(found, dict):
        ((name, found),) = found.items()
        parts.append(name)
    return tuple(parts)


def _skip_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _skip_value(text: str, at: int) -> int:
    """The end of the statement: the first line end outside strings and brackets."""
    depth = 0
    for piece in _PIECE.finditer(text, at):
        if piece[0] == "\n" and depth <= 0:
            return piece.end()
        depth += (piece[0] in "[{") - (piece[0] in "]}")
    return len(text)


__all__ = ["Document", "Place", "dotted", "read"]
