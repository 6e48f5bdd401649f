"""What a service's status means to us: wait, try again, out of quota, the row's fault, or never."""

from __future__ import annotations

import re

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from proctor.adapters.providers.http import hints_of
from proctor.errors import Limited, OutOfQuota, Overloaded, ProctorError, ProviderRefused
from proctor.model import ServiceSettings

_A_DAY: Final = re.compile(r"\bper day\b|\bdaily\b|\bquota (?:is )?exceeded\b", re.IGNORECASE)
_SOON: Final = re.compile(r"\bper (?:second|minute|hour)\b|/min\b|\bRPM\b", re.IGNORECASE)
"""A quota that is a rate: Google calls those so, too."""
_OUT_OF_MONEY: Final = 402
_TOO_OFTEN: Final = 429
_IN_PROGRESS: Final = 409
_KEY: Final = frozenset({401, 403, 407})
_TRY_AGAIN: Final = frozenset({408, 425})
_NEVER: Final = frozenset({405, 406, 415, 501, 505})
_NOT_DONE: Final = frozenset({503, 529})
"""Refusals to work; a gateway's 502 or 504 says nothing of the work behind it."""
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Case:
    """A status that is no answer, with what is told of it."""

    settings: ServiceSettings
    status: int
    headers: Mapping[str, str] = field(repr=False)
    found: str


def judged(case: Case) -> ProctorError:
    """The error to raise for a status that `expect` does not name."""
    name, status = case.settings.name, case.status
    if status in {_TOO_OFTEN, _OUT_OF_MONEY}:
        return _limited(case)
    if status in _KEY:
        return ProviderRefused(
            f"the provider {name} does not let us in",
            found=case.found,
            fix=f"see its headers and their variables: {_variables(case.settings)}",
        )
    # With an idempotency key a conflict says that the call before is still at work there.
    busy = status == _IN_PROGRESS and bool(case.settings.idempotency_key)
    if busy or status in _TRY_AGAIN or (status >= 500 and status not in _NEVER):
        down = Overloaded(f"the provider {name} cannot answer now", found=case.found)
        down.retry_after = _wait(case)
        down.may_be_paid = status not in _NOT_DONE
        return down
    refused = ProviderRefused(
        f"the provider {name} refuses the call",
        found=case.found,
        fix=f"see whether {case.settings.model} is right; a status that is an answer, too, "
        f"belongs into expect: expect = [200, {status}]",
    )
    refused.of_question = 400 <= status < 500 and status not in _NEVER
    return refused


def broken(settings: ServiceSettings, fault: Exception, found: str) -> ProctorError:
    """The error for a call without a whole reply."""
    what = f"the provider {settings.name} does not answer"
    if isinstance(fault, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        wrong = ProviderRefused(f"the provider {settings.name} has an address that cannot be asked")
        wrong.of_question = True  # its template was looked at; a value made it so
        return wrong
    if isinstance(fault, _NOT_SENT):
        down = Overloaded(what, found=found or type(fault).__name__, fix=_where(settings))
        down.may_be_paid = False
        return down
    if isinstance(fault, TimeoutError | httpx2.TimeoutException):
        late = f"no whole reply within {settings.timeout_s:g} s"
        return Overloaded(what, found=late, fix="raise its timeout_s if it is slow")
    return Overloaded(what, found=found or type(fault).__name__, fix=_where(settings))


def unreadable(settings: ServiceSettings, kind: str) -> Overloaded:
    """The error for a reply that is no JSON: most often something else answered."""
    return Overloaded(
        f"the provider {settings.name} sent what is no JSON",
        found=f"a reply of the type {kind}",
        fix=_where(settings),
    )


def _limited(case: Case) -> Limited | OutOfQuota:
    name = case.settings.name
    spent = _A_DAY.search(case.found) and not _SOON.search(case.found)
    if case.status == _OUT_OF_MONEY or spent:
        return OutOfQuota(
            f"the provider {name} says that its quota is used up",
            found=case.found,
            fix="resume the run after the reset, or raise the quota with whoever serves it; daily "
            "and resets_at let it be foreseen",
        )
    limited = Limited(f"the provider {name} was asked too often", found=case.found)
    limited.retry_after = _wait(case)
    hints = hints_of(case.headers)
    limited.requests_left, limited.tokens_left = hints.requests_left, hints.tokens_left
    return limited


def _wait(case: Case) -> float | None:
    """Retry-After in seconds, which may also be a moment; None where nobody can read it."""
    wait = hints_of(case.headers).retry_after
    if wait is not None:
        return wait.total_seconds()
    try:
        until = parsedate_to_datetime(case.headers.get("retry-after", ""))
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _where(settings: ServiceSettings) -> str:
    return f"see whether {settings.model} can be reached, and what answers there"


def _variables(settings: ServiceSettings) -> str:
    return ", ".join(sorted(settings.secrets)) or "it has none"


__all__ = ["Case", "broken", "judged", "unreadable"]
