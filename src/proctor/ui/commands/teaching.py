"""A command whose help says what it writes and shows it at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

SECTIONS: Final = ("Begin", "Look ahead", "Run", "Look", "Roll out", "Steer", "Take back")


class Taught(click.Command):
    """A command with examples; `writes` says what it changes, and where."""

    def __init__(self, *args: Any, writes: str, examples: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.writes = writes
        self.examples = examples

    def format_epilog(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """What it writes, and the examples as they can be copied."""
        with formatter.section("Writes"):
            formatter.write_text(self.writes)
        with formatter.section("Examples"):
            for example in self.examples:
                # Not write_text: a command that was wrapped cannot be pasted.
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Sections(click.Group):
    """The group that lists its commands under what they are for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections: dict[str, list[str]] = {name: [] for name in SECTIONS}

    def take(self, section: str, *commands: click.Command) -> None:
        """Add commands under a heading, in this order."""
        for command in commands:
            self.add_command(command)
            self.sections[section].append(str(command.name))

    def list_commands(self, _context: click.Context) -> list[str]:
        """In the order of the help."""
        return [name for names in self.sections.values() for name in names]

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Every section with its commands and their first sentence."""
        known: Mapping[str, click.Command] = self.commands
        width = max(len(name) for name in known)
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), known[name].get_short_help_str(90)) for name in names]
                )
