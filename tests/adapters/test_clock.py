"""The clock on the wall keeps what ports.Clock says."""

import asyncio

from datetime import UTC

from proctor.adapters.clock import SystemClock


async def test_now_is_aware_utc_and_monotonic_never_runs_backwards():
    clock = SystemClock()
    before = clock.monotonic()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() >= before


async def test_a_sleep_of_nothing_still_lets_others_work():
    """Loops that wait for 0 seconds must not starve the rest."""
    clock, heard = SystemClock(), []
    asyncio.get_running_loop().call_soon(heard.append, "other")
    await clock.sleep(-1)
    assert heard == ["other"]
