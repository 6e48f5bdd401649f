"""Where words go: the answer to stdout, everything else to stderr."""

from __future__ import annotations

import io
import sys

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import click

from proctor.ui import documents

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from proctor.ui.options import Wish

WIDTH_OF_PIPES: Final = 2000
"""Columns where no terminal says how many: nothing is folded, so that a path or key stays whole."""


def answer(wish: Wish, document: Any, *shown: RenderableType) -> None:
    """The command's one answer: the document with --json, else the renderables."""
    if wish.json:
        click.echo(documents.dump(document))
        return
    from rich.console import Console

    if sys.stdout.isatty():
        _printed(Console(file=sys.stdout, highlight=False, markup=False, emoji=False), shown)
        return
    # Tables are padded to their width: in a file that is noise at the end of every line.
    text = io.StringIO()
    _printed(
        Console(file=text, width=WIDTH_OF_PIPES, highlight=False, markup=False, emoji=False), shown
    )
    click.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def note(sentence: str) -> None:
    """A word beside the answer."""
    click.echo(sentence, err=True)


def _printed(console: Console, shown: Iterable[RenderableType]) -> None:
    for part in shown:
        console.print(part)
