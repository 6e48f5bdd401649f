"""What a command line says before it says what to do, and options that several commands share."""

from __future__ import annotations

import re

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from proctor.engine.hints import DEFAULT_ENV
from proctor.errors import UsageError

if TYPE_CHECKING:
    from proctor.app import Part

F = TypeVar("F", bound=Callable[..., Any])

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(slots=True)
class Wish:
    """What holds for the whole command: environment, form of the output, where to look."""

    env: str = DEFAULT_ENV
    json: bool = False
    debug: bool = False
    config: Path | None = None
    log: str = "off"
    redact: Callable[[str], str] | None = None
    """Takes the secrets of this configuration out of a text; known once it was read."""
    limits_ahead: timedelta | None = None
    """Another time for providers' limits, where a demo plays tomorrow; no option says so."""


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Store an option on the one Wish of this command line, wherever it was written."""

    def keep(context: click.Context, _option: click.Parameter, value: Any) -> Any:
        # Given before the command and left out after it: the first word stands.
        if value not in (None, False):
            setattr(context.ensure_object(Wish), name, value)
        return value

    return keep


_WISHES: Final = (
    click.option(
        "--env",
        "-e",
        metavar="E",
        expose_value=False,
        callback=_keep("env"),
        shell_complete=lambda context, _param, typed: _environments(context, typed),
        help=f"Environment of proctor.toml to act on.  [default: {DEFAULT_ENV}]",
    ),
    click.option(
        "--json",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_keep("json"),
        help="Print exactly one JSON document on stdout, for scripts.",
    ),
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        expose_value=False,
        callback=_keep("config"),
        help="The proctor.toml to use.  [default: the nearest one upwards]",
    ),
    click.option(
        "--log",
        type=click.Choice(["off", "console", "json"]),
        default=None,
        envvar="PROCTOR_LOG",
        expose_value=False,
        callback=_keep("log"),
        help="Log events to stderr, for people or as JSON lines.  [default: off]",
    ),
    click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_keep("debug"),
        help="Show the traceback of an error too, without secrets.",
    ),
)


def wishes(command: F) -> F:
    """The options that every command understands."""
    for option in reversed(_WISHES):
        command = option(command)
    return command


def params_option(command: F) -> F:
    """`--param`, for commands that compute."""
    return click.option(
        "--param",
        "-p",
        "params",
        multiple=True,
        metavar="KEY=VALUE",
        help="A parameter of the backfill; may be repeated.",
    )(command)


def part_options(command: F) -> F:
    """`--limit`, `--keys`, `--from`, `--to`: a part of the rows."""
    for option in reversed(
        (
            click.option(
                "--limit", type=click.IntRange(min=1), metavar="N", help="Read at most N rows."
            ),
            *range_options(),
        )
    ):
        command = option(command)
    return command


def range_options() -> tuple[Callable[[F], F], ...]:
    """The key range alone."""
    return (
        click.option(
            "--keys",
            multiple=True,
            metavar="K,…",
            help="Only these keys, as `failures` shows them, separated by commas; keys of several "
            "columns by semicolons.",
        ),
        click.option("--from", "start", metavar="K", help="Begin at this key, itself included."),
        click.option("--to", "stop", metavar="K", help="End at this key, itself included."),
    )


def name_argument(command: F) -> F:
    """The name of a backfill."""
    return click.argument(
        "name",
        metavar="NAME",
        shell_complete=lambda context, _param, typed: _backfills(context, typed),
    )(command)


def run_argument(*, required: bool = True) -> Callable[[F], F]:
    """The id of a run, or an unambiguous beginning of it."""
    return click.argument(
        "run",
        metavar="RUN" if required else "[RUN]",
        required=required,
        shell_complete=lambda context, _param, typed: _runs(context, typed),
    )


def yes_option(command: F) -> F:
    """`--yes`."""
    return click.option(
        "--yes",
        is_flag=True,
        help="Ask nothing. A protected environment does not take it for the typed YES.",
    )(command)


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """KEY=VALUE words as a mapping; UsageError for anything else, and for a key said twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(
                f"{option} takes KEY=VALUE", found=repr(text), fix=f"write {option} name=value"
            )
        if name in found:
            raise UsageError(
                f"{name} was given twice",
                found=f"{found[name]!r} and {value!r}",
                fix="say it once",
            )
        found[name.strip()] = value
    return found


def key_list(texts: Sequence[str], columns: int) -> tuple[str, ...]:
    """Typed keys apart, for a key of so many columns: each as a store's `parse_key` takes it."""
    from proctor.model.keytext import one_text, read_keys

    return tuple(one_text(key) for text in texts for key in read_keys(text, columns))


def one_key(text: str, columns: int, option: str) -> str:
    """The one key of `--from` or `--to`, as a store's `parse_key` takes it."""
    from proctor.model.keytext import one_text, read_keys

    keys = read_keys(text, columns, option)
    if len(keys) > 1:
        raise UsageError(
            f"{option} takes one key",
            found=f"{len(keys)} keys",
            fix='put a key that holds a comma or a semicolon in double quotes: "a,b"',
        )
    return one_text(keys[0])


def part_of(
    columns: int,
    limit: int | None,
    keys: Sequence[str],
    start: str | None,
    stop: str | None,
) -> Part:
    """The typed part of the rows, for a key of so many columns."""
    from proctor.app import Part

    return Part(
        limit=limit,
        keys=key_list(keys, columns),
        start=None if start is None else one_key(start, columns, "--from"),
        stop=None if stop is None else one_key(stop, columns, "--to"),
    )


def length(text: str, option: str) -> timedelta:
    """A length of time as typed: 90s, 30m, 12h, 30d, 4w."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*([smhdw])\s*", text)
    if match is None:
        raise UsageError(
            f"{option} is not a length of time", found=repr(text), fix="write 30d, 12h, 90m or 4w"
        )
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError as error:
        raise UsageError(
            f"{option} is too long", found=repr(text), fix="write 30d, 12h, 90m or 4w"
        ) from error


def moment(text: str, option: str) -> datetime:
    """A moment as typed: on this machine's clock, like `--until`, or as reports print it."""
    try:
        at = datetime.fromisoformat(re.sub(r"\s*UTC$", "+00:00", text.strip()))
    except ValueError as error:
        raise UsageError(
            f"{option} is not a moment",
            found=repr(text),
            fix="write 2026-01-31T06:00, or '2026-01-31 06:00:00 UTC' as reports show it",
        ) from error
    return at.astimezone(UTC)


def _environments(context: click.Context, typed: str) -> list[str]:
    from proctor.ui.complete import environments

    return environments(_wish(context), typed)


def _backfills(context: click.Context, typed: str) -> list[str]:
    from proctor.ui.complete import backfills

    return backfills(_wish(context), typed)


def _runs(context: click.Context, typed: str) -> list[str]:
    from proctor.ui.complete import runs

    return runs(_wish(context), typed)


def _wish(context: click.Context) -> Wish:
    return context.find_object(Wish) or Wish()
