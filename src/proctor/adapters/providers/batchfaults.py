"""What an error of a vendor's SDK means to us, about files and batch calls instead of questions."""

from __future__ import annotations

from typing import Final

import httpx2

from proctor.adapters.providers.faults import shown
from proctor.adapters.providers.http import Trace, hints_of
from proctor.errors import Limited, OutOfQuota, Overloaded, ProctorError, ProviderRefused
from proctor.model import ProviderSettings

_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_KEY: Final = frozenset({401, 403})
_TRY_AGAIN: Final = frozenset({408, 409, 425})
_NO_SUCH: Final = frozenset({404, 405, 410})
_OUT_OF_MONEY: Final = 402


def meant(settings: ProviderSettings, fault: Exception, trace: Trace, key: str) -> ProctorError:
    """The error to raise instead of a library's. It never shows the key."""
    if isinstance(fault, ProctorError):
        return fault
    if trace.fault is not None:
        return trace.fault
    status = getattr(fault, "status_code", None) or getattr(fault, "code", None)
    found = shown(fault, key)
    if isinstance(status, int):
        return _status(settings, status, found, trace)
    down = Overloaded(
        f"the provider {settings.name} does not answer about batch calls", found=found
    )
    down.may_be_paid = not isinstance(_root(fault), _NOT_SENT)
    return down


def _status(settings: ProviderSettings, status: int, found: str, trace: Trace) -> ProctorError:
    name = settings.name
    if status == _OUT_OF_MONEY or "insufficient_quota" in found or "billing" in found:
        return OutOfQuota(
            f"the provider {name} says that its quota is used up",
            found=found,
            fix="add credit or raise the quota with the vendor; then resume the run",
        )
    if status == 429:
        limited = Limited(f"the provider {name} takes no further batch call now", found=found)
        wait = hints_of(trace.headers).retry_after
        limited.retry_after = None if wait is None else wait.total_seconds()
        return limited
    if status >= 500 or status in _TRY_AGAIN:
        down = Overloaded(f"the provider {name} cannot take a batch call now", found=found)
        down.may_be_paid = status != 503
        return down
    if status in _KEY:
        refused = ProviderRefused(
            f"the provider {name} does not take the key for batch calls",
            found=found,
            fix=f"put a key that may make them into the environment variable {settings.key_env}",
        )
        refused.elsewhere = True
        return refused
    if status in _NO_SUCH:
        unknown = ProviderRefused(
            f"the provider {name} knows no such batch call",
            found=found,
            fix=f"use the key and the address that it was made with; take batch out of "
            f"[providers.{name}] if what answers there has no batch calls",
        )
        unknown.of_question = True
        return unknown
    return ProviderRefused(
        f"the provider {name} refuses the batch call",
        found=found,
        fix=f"take batch out of [providers.{name}], or set smaller requests and megabytes in it",
    )


def _root(fault: BaseException) -> BaseException:
    """What the library's error was raised for."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    return fault


__all__ = ["meant"]
