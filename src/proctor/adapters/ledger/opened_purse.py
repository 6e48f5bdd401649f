"""From a URL of a ledger to its purse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from proctor.adapters.ledger.memory_purse import MemoryPurse
from proctor.adapters.ledger.till import NOBODY, never
from proctor.core.allowance import HOLD_FOR
from proctor.model import Holder, Limits
from proctor.ports import Clock, Purse


async def open_purse(
    url: str,
    limits: Mapping[str, Limits],
    *,
    redact: Callable[[str], str] = str,
    hold_for: timedelta = HOLD_FOR,
    clock: Clock | None = None,
    holder: Holder = NOBODY,
    is_gone: Callable[[Holder], bool] = never,
) -> Purse:
    """Open the purse of the ledger at a URL of `open_ledger`, with the same errors.

    limits: those of every provider that will be asked, by its name; all who share the ledger
    should give the same ones, each is held to its own.
    redact: what the name of a run goes through; replies are kept exactly as they came.
    hold_for: how long a call that nobody settles is believed to be in flight, longer than the
    longest time-out of a call. Its money is held for good.
    clock: time itself; by default the server's on Postgres and the machine's on SQLite.
    holder: this process, noted with all that it holds. is_gone: whether such a process is
    certainly not there any more: its calls are then in flight no longer, their money stays held.
    """
    if url.partition(":")[0] == "memory":
        return MemoryPurse(limits, hold_for=hold_for, clock=clock, holder=holder, is_gone=is_gone)
    from proctor.adapters.ledger.purse import SqlPurse

    return await SqlPurse.open(
        url,
        limits,
        redact=redact,
        hold_for=hold_for,
        clock=clock,
        holder=holder,
        is_gone=is_gone,
    )


__all__ = ["open_purse"]
