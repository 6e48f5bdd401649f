"""A command with tomorrow's quotas: `python -m proctor.ui.demo.tomorrow run resolve`.

Only the time by which providers' limits are counted is moved, as the demo moves the vendor's: by
a day. No option of Proctor does that, or a limit would be no limit.
"""

from __future__ import annotations

import asyncio
import sys
import time

from datetime import UTC, datetime, timedelta
from typing import Final

from proctor.ui.cli import main

AHEAD: Final = timedelta(days=1)


class Tomorrow:
    """The machine's time and a day, as ports.Clock."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC) + AHEAD

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep, in real seconds."""
        await asyncio.sleep(seconds)


if __name__ == "__main__":
    sys.exit(main(limits_clock=Tomorrow()))
