"""The command line and docs/reference.md say the same."""

import re

from pathlib import Path

import click
import pytest

from proctor.errors import ProctorError
from proctor.ui.cli import cli
from proctor.ui.commands.teaching import Taught

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
COMMANDS = dict(sorted(cli.commands.items()))
SHARED = {"--env", "-e", "--json", "--config", "--debug", "--log"}


def sections():
    """The text under the heading of each command."""
    parts = re.split(r"^### `proctor ([a-z-]+)[^`]*`$", REFERENCE, flags=re.MULTILINE)
    return {name: re.split(r"^## ", body, flags=re.MULTILINE)[0] for name, body in pairs(parts)}


def pairs(parts):
    return zip(parts[1::2], parts[2::2], strict=True)


def test_every_command_has_a_section_and_every_section_a_command():
    """Nothing is undocumented, nothing documented is missing."""
    assert sorted(sections()) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name):
    """In the command's own section; the four shared ones once at the top."""
    options = {
        spelling
        for param in COMMANDS[name].params
        if isinstance(param, click.Option)
        for spelling in (*param.opts, *param.secondary_opts)
        if spelling.startswith("--")
    }
    assert {o for o in SHARED if o not in REFERENCE.partition("## Exit codes")[0]} == set()
    said = set(re.findall(r"--[a-z][a-z-]*", sections()[name]))
    assert options - SHARED - said == set()
    assert said - options - {"--help", "--plan", "--restart"} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches(name):
    """Its help says what it writes and shows an example that begins with its own name."""
    command = COMMANDS[name]
    assert isinstance(command, Taught)
    assert command.writes
    assert command.help
    if name != "completion":
        assert any(f"proctor {name}" in example for example in command.examples)


def test_commands_of_later_issues_are_not_there():
    """No stub is called done."""
    assert set(COMMANDS) & {"serve"} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_heading_shows_every_argument(name):
    """As the command's own help spells them, in their order."""
    (heading,) = re.findall(rf"^### `proctor ({name}(?: [^`]*)?)`$", REFERENCE, flags=re.MULTILINE)
    command = COMMANDS[name]
    context = click.Context(command, info_name=name)
    pieces = [p for p in command.collect_usage_pieces(context) if p != "[OPTIONS]"]
    assert heading == " ".join([name, *pieces])


def test_every_exit_code_is_told():
    """On the page and in the help: those that an error can have, and what ends without one."""
    page = REFERENCE.partition("## Exit codes")[2].partition("\n## ")[0]
    possible = {0, 1, 130} | {error.exit_code for error in errors_under(ProctorError)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == possible
    assert {int(code) for code in re.findall(r"\b(\d+) [a-z]", cli.epilog or "")} == possible


def errors_under(error):
    """An error and everything that it stands for."""
    return [error, *(below for kind in error.__subclasses__() for below in errors_under(kind))]
