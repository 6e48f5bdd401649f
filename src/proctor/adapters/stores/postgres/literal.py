"""SQL text: identifiers, literals and comments that no hostile name or value can leave."""

from __future__ import annotations

import re

from collections.abc import Iterable

from proctor.errors import UsageError
from proctor.model import Scalar


def ident(name: str) -> str:
    """A name as a quoted identifier; UsageError for a name that Postgres cannot have."""
    if not name or "\0" in name:
        raise UsageError("a name is empty or holds a NUL character", found=repr(name))
    return '"' + name.replace('"', '""') + '"'


def idents(names: Iterable[str]) -> str:
    """Several identifiers with commas between them."""
    return ", ".join(ident(name) for name in names)


def text(value: str) -> str:
    """A string literal that reads the same whatever standard_conforming_strings says."""
    if "\0" in value:
        raise UsageError("a text holds a NUL character, which Postgres cannot store")
    quoted = "'" + value.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted


def scalar(value: Scalar) -> str:
    """A parameter as a literal; text stays untyped, so that its context says what it is."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value) if value >= 0 else f"({value})"
        case float():
            return f"'{value!r}'::pg_catalog.float8"
        case str():
            return text(value)


def comment(run: str = "") -> str:
    """The comment that names the run to whoever looks at pg_stat_activity."""
    named = re.sub(r"[^A-Za-z0-9_.:-]", "_", run)
    return f"/* proctor run={named} */" if named else "/* proctor */"


def texts(values: Iterable[str]) -> str:
    """A text[] literal made of its members."""
    return f"ARRAY[{', '.join(text(v) for v in values)}]::pg_catalog.text[]"
