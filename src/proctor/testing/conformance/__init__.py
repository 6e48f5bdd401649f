"""Suites that pin what a seam means, for every adapter of it.

    class TestMyStore(StoreConformance):
        @pytest.fixture
        async def harness(self):
            harness = MyHarness(...)      # see `Harness` for what it must do
            yield harness
            await harness.close()

Tests run against the real database, never a mock, and are async: use pytest-asyncio in auto
mode. Nothing in the suite waits for time to pass: a lease that has run out is granted so.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"proctor.testing.conformance.{name}"
        for name in ("acting", "applying", "claiming", "controlling", "finishing", "guarding")
    ),
    *(
        f"proctor.testing.conformance.{name}"
        for name in ("measuring", "permitting", "surveying", "undoing", "watching")
    ),
    "proctor.testing.conformance.flags",
    "proctor.testing.conformance.holding",
    "proctor.testing.conformance.emitting",
    "proctor.testing.conformance.retracting",
    "proctor.testing.conformance.touching",
    "proctor.testing.conformance.ledger",
    "proctor.testing.conformance.purse",
    "proctor.testing.conformance.rollouts",
    "proctor.testing.conformance.shelving",
)

from proctor.testing.conformance.flags import (  # noqa: E402 (after the registration)
    FlagConformance,
    LyingConformance,
    RampConformance,
    SwitchConformance,
)
from proctor.testing.conformance.harness import Harness  # noqa: E402 (after the registration)
from proctor.testing.conformance.ledger import (  # noqa: E402
    DurableLedgerConformance,
    LedgerConformance,
)
from proctor.testing.conformance.purse import PurseConformance  # noqa: E402
from proctor.testing.conformance.rollouts import RolloutLogConformance  # noqa: E402
from proctor.testing.conformance.store import (  # noqa: E402
    GridConformance,
    StoreConformance,
    TouchConformance,
)

__all__ = [
    "DurableLedgerConformance",
    "FlagConformance",
    "GridConformance",
    "Harness",
    "LedgerConformance",
    "LyingConformance",
    "PurseConformance",
    "RampConformance",
    "RolloutLogConformance",
    "StoreConformance",
    "SwitchConformance",
    "TouchConformance",
]
