"""Between a command and the app: open it, listen to Ctrl-C, ask for the typed YES."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import click

from proctor.errors import NotConfirmed

if TYPE_CHECKING:
    from proctor.app import App, Stop
    from proctor.config import Config
    from proctor.ui.options import Wish

T = TypeVar("T")


def configured(wish: Wish) -> Config:
    """The configuration that the command line points at."""
    from proctor.config import load
    from proctor.engine.hints import named

    named.set(wish.config)
    config = load(wish.config)
    wish.redact = config.redact
    return config


def with_app(
    wish: Wish,
    use: Callable[[App], Awaitable[T]],
    *,
    finish: Callable[[T], object] = lambda _result: None,
) -> T:
    """Open the environment, use it, give everything back.

    `finish` is called when everything was given back, and before threads are waited for in
    which a function of the author's may still be busy.
    """
    from proctor import app
    from proctor.ui.logs import kept

    config = configured(wish)

    async def session() -> T:
        async with app.open(config, wish.env, limits_ahead=wish.limits_ahead) as opened:
            # What an author's function prints must not get between a script and our document.
            with contextlib.redirect_stdout(sys.stderr):
                result = await use(opened)
        finish(result)
        return result

    with kept(wish, config.env(wish.env).log_file):
        return asyncio.run(session())


STOPPING = "stopping: the chunk in hand is being finished; once more abandons it"
ABANDONING = "abandoning the chunk in hand; what is committed stays, and it can be resumed"


@contextlib.contextmanager
def listening(
    stop: Stop, say: Callable[[str], None], *, first: str = STOPPING, again: str = ABANDONING
) -> Iterator[None]:
    """Hand SIGINT and SIGTERM to the run: once to finish, twice to abandon, then to end at once.

    first, again: what is said at the first and at the second.
    """
    loop = asyncio.get_running_loop()
    names = (signal.SIGINT, signal.SIGTERM)

    def heard(number: signal.Signals) -> None:
        if stop.ask(f"{number.name} received") == 1:
            say(first)
        else:
            say(again)
            deafen()

    def deafen() -> None:
        for name in names:
            loop.remove_signal_handler(name)

    for name in names:
        loop.add_signal_handler(name, heard, name)
    try:
        yield
    finally:
        deafen()


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def typed_yes(wish: Wish, sentence: str) -> bool:
    """Whether the person at the terminal typed YES; False where nobody sits at one.

    Asked outside the event loop, so that Ctrl-C leaves at once.
    """
    if not at_terminal():
        return False
    click.echo(sentence, err=True)
    click.echo(f"Type YES to go on in {wish.env}: ", err=True, nl=False)
    return sys.stdin.readline().strip() == "YES"


def agreed(question: str) -> bool:
    """Whether the person at the terminal said y; NotConfirmed where nobody sits at one."""
    if not at_terminal():
        raise NotConfirmed(
            "this is asked before it is done, and nobody sits at a terminal",
            found="no --yes",
            fix="look at it with --dry-run, then say --yes",
        )
    return click.confirm(question, err=True)
