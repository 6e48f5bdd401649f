"""Named parameters in an author's SQL: `:name` becomes a driver's placeholder, never text.

Both kinds of store use it. Quoted strings, quoted names, dollar quotes, comments, casts
(`x::int`) and array slices (`a[1:n]`) are left as they are.
"""

from __future__ import annotations

import re

from collections.abc import Callable, Collection

from proctor.errors import DefinitionError

_TOKENS = re.compile(
    r"""
      (?P<string>  [eE]'(?:[^'\\]|\\.|'')*'      # Postgres: backslashes escape
                 | '(?:[^']|'')*' )
    | (?P<quoted>  "(?:[^"]|"")*"
                 | `(?:[^`]|``)*` )
    | (?P<dollar>  (?<![\w$]) \$(?P<tag>(?:[^\W\d]\w*)?)\$ .*? \$(?P=tag)\$ )
    | (?P<comment> --[^\n]* )
    | (?P<block>   /\* )
    | (?P<cast>    :: | := )
    | (?P<slice>   (?<=[\w\])]) : [^\W\d]\w* )
    | (?P<param>   : (?P<name>[^\W\d]\w*) )
    | (?P<word>    [^\W\d]\w* )                   # so that the e of `make'x'` is no prefix
    | (?P<percent> % )
    """,
    re.VERBOSE | re.DOTALL,
)


def rewrite(
    sql: str,
    names: Collection[str] | None,
    place: Callable[[str], str],
    *,
    double_percent: bool = False,
) -> str:
    """Replace every `:name` by `place(name)`, called in order of appearance.

    `double_percent` is for drivers that read `%s` in the text. DefinitionError names a
    parameter that the backfill does not declare; `names` None means that all are known.
    """
    out: list[str] = []
    at = 0
    while (found := _TOKENS.search(sql, at)) is not None:
        out.append(sql[at : found.start()])
        at = found.end()
        if found["block"]:
            at = _end_of_comment(sql, at)
            text = sql[found.start() : at]
        elif found["param"]:
            out.append(place(_known(found["name"], names, sql)))
            continue
        else:
            text = found[0]
        out.append(text.replace("%", "%%") if double_percent else text)
    out.append(sql[at:])
    return "".join(out)


def used(sql: str) -> list[str]:
    """The names of parameters in a piece of SQL, in order of first appearance."""
    seen: dict[str, None] = {}

    def note(name: str) -> str:
        seen[name] = None
        return ""

    rewrite(sql, None, note)
    return list(seen)


def _end_of_comment(sql: str, at: int) -> int:
    """Where a block comment ends; they nest in Postgres."""
    depth = 1
    for found in re.finditer(r"/\*|\*/", sql[at:]):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return at + found.end()
    return len(sql)


def _known(name: str, names: Collection[str] | None, sql: str) -> str:
    if names is not None and name not in names:
        have = ", ".join(sorted(names)) or "none"
        raise DefinitionError(
            f"the parameter :{name} is not declared",
            found=f"in {sql.strip()[:200]}; declared are: {have}",
            fix="declare it in params=, or write the colon inside quotes",
        )
    return name
