"""Whose fault it is when a call to a provider brings no answer."""

from __future__ import annotations

from proctor.authoring import Unanswered
from proctor.errors import Overloaded, ProviderRefused


def gave_up(error: Overloaded, tries: int, *, down: bool) -> Exception:
    """Who is at fault: the provider, while it answers nobody; else this question, and its row."""
    if down:
        return ProviderRefused(
            f"{error.what}: {tries} tries of one question broke, and no other was answered",
            found=error.found,
            fix=error.fix or "resume the run when it answers again",
        )
    return Unanswered(f"{tries} tries broke: {told(error)}")


def told(error: ProviderRefused | Overloaded) -> str:
    """An error as the reason of a row."""
    return f"{error.what}: {error.found}" if error.found else error.what
