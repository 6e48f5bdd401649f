"""Finds `:name` in SQL, and not in casts, quoted text or comments."""

from __future__ import annotations

import re

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
