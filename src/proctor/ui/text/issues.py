"""Rows that were read and not written, in words: by cause first, then one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from proctor.engine.snapshot import IssueGroup, Unwritten
from proctor.model import Key
from proctor.model.keytext import keys_text
from proctor.ui import words
from proctor.ui.live import COLOURS
from proctor.ui.text.blocks import heading, table

LISTED: Final = 100
"""Rows that are listed when nobody says how many."""
GROUPS: Final = 30
CUT: Final = 60
"""Characters of an example; the list below has it whole."""
KEYS: Final = 5
"""Keys of a group that are shown; `--json` has more."""


def issues(found: Unwritten, limit: int | None) -> list[RenderableType]:
    """The groups with their counts and first keys, then rows, and how many more there are."""
    run, total = found.run.id, len(found.issues)
    if not total:
        return [Text(f"run {run}: no row that was settled is without its fill")]
    listed = found.issues[: limit or LISTED]
    drawn: list[RenderableType] = [
        heading(f"{words.plural(total, 'row')} read and not written", f"run {run}"),
        table(
            ("rows", "bucket", "what", "for example", "keys"),
            map(_group, found.groups[:GROUPS]),
            right="rows",
        ),
    ]
    if len(found.groups) > GROUPS:
        more = len(found.groups) - GROUPS
        drawn.append(Text(f"  and {words.plural(more, 'other cause')}; --json has all", "dim"))
    rows = (
        (
            words.key(issue.key),
            Text(issue.bucket.value, style=COLOURS[issue.bucket]),
            words.visible(issue.reason),
        )
        for issue in listed
    )
    drawn += [Text(), table(("key", "bucket", "reason"), rows)]
    if total > len(listed):
        left = f"  and {total - len(listed):,} more: --limit {total} lists them, --json too"
        drawn.append(Text(left, "yellow"))
    return drawn


def _group(group: IssueGroup) -> tuple[str | Text, ...]:
    return (
        words.count(group.count),
        Text(group.bucket.value, style=COLOURS[group.bucket]),
        words.visible(group.what),
        "" if group.example.reason == group.what else words.visible(group.example.reason, CUT),
        _keys(group.keys, group.count),
    )


def _keys(keys: Iterable[Key], count: int) -> str:
    """The first keys as `--keys` takes them, with a sign that there are more."""
    first = list(keys)[:KEYS]
    return keys_text(first) + (" …" if count > len(first) else "")
