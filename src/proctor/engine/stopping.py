"""Why nobody is asked any more: told to stop, money used up, a day's quota used up."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from proctor.authoring import Unanswered
from proctor.core.resets import next_reset
from proctor.errors import OutOfQuota, Overloaded, ProviderRefused
from proctor.model import Ending, Spent

if TYPE_CHECKING:
    from proctor.engine.desk import Desk

E = TypeVar("E", bound=BaseException)


class AskedToStop(BaseException):
    """Nothing new is asked any more: the run was told to stop, or its time here is over.

    No Exception: a function that catches errors, to go on without an answer, must not take this
    for one. Its rows are asked again when the run goes on.
    """


STOPPED: ContextVar[list[AskedToStop]] = ContextVar("STOPPED")
"""Where it is taken down which of a page's questions were not asked for that."""


def listening() -> list[AskedToStop]:
    """Take it down from now on, in this task and those that it begins.

    For asyncio.gather(…, return_exceptions=True) hands over whatever was raised as if it were a
    value, and the function makes something of it.
    """
    stops: list[AskedToStop] = []
    STOPPED.set(stops)
    return stops


def heard(error: E) -> E:
    """Take it down if it is that; the same error, to raise."""
    if isinstance(error, AskedToStop):
        STOPPED.get([]).append(error)
    return error


def spent(provider: str, word: Spent) -> OutOfQuota:
    """The error that a function may catch, to go on without the answer."""
    error = OutOfQuota(
        f"provider {provider} may not be asked any more: {word.reason}",
        found=f"until {word.until:%Y-%m-%d %H:%M} UTC" if word.until else "",
        fix="resume the run after that"
        if word.until
        else f"raise budget_usd of [providers.{provider}] and resume with "
        "--accept-changes providers, or stop here",
    )
    error.provider, error.until = provider, word.until
    return error


def for_today(error: OutOfQuota, desk: Desk, now: datetime) -> OutOfQuota:
    """A vendor's word that its quota is used up, with when it begins anew if it is the day's."""
    error.provider = desk.name
    if error.retry_after:
        error.until = now + timedelta(seconds=error.retry_after)
    elif error.of_today:
        error.until = next_reset(desk.resets_at, now)
    return error


def gave_up(error: Overloaded, tries: int, *, down: bool) -> Exception:
    """Who is at fault: the provider, while it answers nobody; else this question, and its row."""
    if not down:
        return Unanswered(f"{tries} tries broke: {told(error)}")
    refused = ProviderRefused(
        f"{error.what}: {tries} tries of one question broke, and no other was answered",
        found=error.found,
        fix=error.fix or "resume the run when it answers again",
    )
    refused.elsewhere = True
    return refused


def ending_of(error: ProviderRefused | Overloaded) -> Ending:
    """What a call that raised counts as on its run's bill."""
    return Ending.BROKEN if isinstance(error, Overloaded) else Ending.REJECTED


def told(error: ProviderRefused | Overloaded) -> str:
    """An error in a row's reason."""
    return f"{error.what}: {error.found}" if error.found else error.what


__all__ = [
    "AskedToStop",
    "ending_of",
    "for_today",
    "gave_up",
    "heard",
    "listening",
    "spent",
    "told",
]
