"""Finds `:name` in SQL, and not in casts, quoted text or comments."""

from __future__ import annotations

import re

from collections.abc import Mapping

_NOT_SQL = re.compile(
    r"""
    '(?:[^']|'')*'            # text
  | "(?:[^"]|"")*"            # a quoted name
  | \$(\w*)\$.*?\$\1\$        # text in dollars
  | --[^\n]*                  # a comment
  | /\*.*?\*/                 # a comment
  | ::                        # a cast
    """,
    re.VERBOSE | re.DOTALL,
)
_PLACEHOLDER = re.compile(r"(?<![\w:\[]):([A-Za-z_]\w*)")


def placeholders(sql: str) -> set[str]:
    """The names that stand for parameters.

    An array slice such as `tags[1:n]` is none: there the colon follows a word or a bracket.
    """
    return set(_PLACEHOLDER.findall(_NOT_SQL.sub(" ", sql)))


def filled_in(sql: str, values: Mapping[str, str]) -> str:
    """The SQL with what stands for parameters replaced; the values are SQL already."""
    out: list[str] = []
    at = 0
    for kept in _NOT_SQL.finditer(sql):
        out += [_filled(sql[at : kept.start()], values), kept[0]]
        at = kept.end()
    return "".join([*out, _filled(sql[at:], values)])


def _filled(sql: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda name: values.get(name[1], name[0]), sql)
