"""What a vendor's error means to us: wait, try again, out of quota, or never."""

from __future__ import annotations

import re

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic_ai import exceptions as said

from proctor.adapters.providers.http import Trace, hints_of
from proctor.errors import Limited, OutOfQuota, Overloaded, ProctorError, ProviderRefused
from proctor.model import ProviderSettings

_A_DAY: Final = re.compile(r"\bper day\b|\bRPD\b|\bTPD\b|\bdaily\b", re.IGNORECASE)
_NOT_SENT: Final = frozenset({"connect", "pool"})
_TRY_AGAIN: Final = frozenset({408, 409, 425})
_LONG: Final = 300


def judged(settings: ProviderSettings, fault: Exception, trace: Trace, key: str) -> ProctorError:
    """The error to raise instead of a vendor's. It never shows the key."""
    if trace.fault is not None:
        return trace.fault
    case = _Case(settings, fault, shown(fault, key), trace)
    return next(meaning(case) for kinds, meaning in _MEANINGS if isinstance(fault, kinds))


def shown(fault: Exception, key: str) -> str:
    """What the vendor says, short, on one line, and without the key."""
    said_by: Any = getattr(fault, "body", None)
    inner = said_by.get("error", said_by) if isinstance(said_by, dict) else None
    text = str(inner.get("message") or "") if isinstance(inner, dict) else ""
    text = " ".join((text or str(fault) or type(fault).__name__).split())
    if key:
        text = text.replace(key, "***")
    text = text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
    status = getattr(fault, "status_code", None)
    return text if status is None else f"{status}: {text}"


@dataclass(frozen=True, slots=True)
class _Case:
    """A fault with what is told of it."""

    settings: ProviderSettings
    fault: Any
    found: str
    trace: Trace

    @property
    def name(self) -> str:
        return self.settings.name


def _out_of_quota(case: _Case) -> OutOfQuota:
    return OutOfQuota(
        f"the provider {case.name} says that its quota is used up",
        found=case.found,
        fix="add credit or raise the quota with the vendor; then resume the run",
    )


def _limited(case: _Case) -> Limited | OutOfQuota:
    hints = hints_of(case.trace.headers, case.fault.retry_after)
    if _A_DAY.search(case.found):
        spent = OutOfQuota(
            f"the provider {case.name} says that today's quota is used up",
            found=case.found,
            fix="resume the run after the reset; daily and resets_at let it be foreseen",
        )
        spent.of_today, wait = True, hints.retry_after
        spent.retry_after = None if wait is None else wait.total_seconds()
        return spent
    limited = Limited(f"the provider {case.name} was asked too often", found=case.found)
    wait = hints.retry_after
    limited.retry_after = None if wait is None else wait.total_seconds()
    limited.requests_left, limited.tokens_left = hints.requests_left, hints.tokens_left
    return limited


def _broken(case: _Case) -> Overloaded:
    what = f"the provider {case.name} does not answer"
    broken = Overloaded(what, found=case.found, fix=_where(case.settings))
    broken.may_be_paid = case.fault.phase not in _NOT_SENT
    return broken


def _late(case: _Case) -> Overloaded:
    return Overloaded(
        f"the provider {case.name} does not answer",
        found=f"no whole reply within {case.settings.timeout_s:g} s",
        fix="raise its timeout_s if it is slow",
    )


def _overloaded(case: _Case) -> Overloaded:
    down = Overloaded(f"the provider {case.name} cannot answer now", found=case.found)
    down.retry_after = case.fault.retry_after
    # A gateway's 502 or 504 says nothing of the work behind it; 503 and 529 are refusals to work.
    down.may_be_paid = not isinstance(case.fault, said.ModelUnavailableError)
    return down


def _wrong_key(case: _Case) -> ProviderRefused:
    model = case.settings.full_model
    variable = case.settings.key_env or f"that key_env names under [providers.{case.name}]"
    refused = ProviderRefused(
        f"the provider {case.name} does not take the key",
        found=case.found,
        fix=f"put a key that may use {model} into the environment variable {variable}",
    )
    refused.elsewhere = True
    return refused


def _unknown_model(case: _Case) -> ProviderRefused:
    if case.settings.base_url and case.settings.model not in case.found:
        return ProviderRefused(
            f"the provider {case.name} knows nothing at that address, or no model of that name",
            found=case.found,
            fix=f"check base_url of [providers.{case.name}] first (those that speak as OpenAI does "
            f"mostly end in /v1), then the model: {case.settings.model}",
        )
    return ProviderRefused(
        f"the provider {case.name} knows no model {case.settings.model}",
        found=case.found,
        fix=f"write the vendor's name of a model under [providers.{case.name}], and check base_url",
    )


def _unanswerable(case: _Case) -> ProviderRefused:
    refused = ProviderRefused(
        f"the provider {case.name} cannot answer this question with {case.settings.full_model}",
        found=case.found,
        fix="shorten the prompt or change the output contract, as the vendor says",
    )
    refused.of_question = True
    return refused


def _other_status(case: _Case) -> ProviderRefused | Overloaded:
    if case.fault.status_code >= 500 or case.fault.status_code in _TRY_AGAIN:
        return _overloaded(case)
    what = f"the provider {case.name} refuses the call"
    return ProviderRefused(what, found=case.found, fix=_where(case.settings))


def _unreadable(case: _Case) -> Overloaded:
    return Overloaded(
        f"the provider {case.name} sent what is not in its vendor's own format",
        found=case.found,
        fix=_where(case.settings),
    )


def _where(settings: ProviderSettings) -> str:
    at = settings.base_url or f"the address of {settings.vendor}"
    return f"see whether {at} can be reached and speaks the API of {settings.vendor}"


# The first that fits: some kinds are also of a kind below. A strange reply may raise anything.
_MEANINGS: Final[
    tuple[tuple[tuple[type[Exception], ...], Callable[[_Case], ProctorError]], ...]
] = (
    ((said.ModelQuotaExceededError,), _out_of_quota),
    ((said.ModelRateLimitError,), _limited),
    ((said.ModelConnectionError,), _broken),
    ((TimeoutError,), _late),
    ((said.ModelUnavailableError, said.ModelServerError), _overloaded),
    ((said.ModelAuthenticationError,), _wrong_key),
    ((said.ModelNotFoundError,), _unknown_model),
    # A warning, where warnings are errors, says that a setting would be dropped.
    ((said.ModelRequestRejectedError, said.UserError, Warning), _unanswerable),
    ((said.ModelHTTPError,), _other_status),
    ((Exception,), _unreadable),
)


__all__ = ["judged", "shown"]
