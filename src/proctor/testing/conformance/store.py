"""The store suite: subclass it, give it a `harness`, and an adapter is done when it passes."""

from __future__ import annotations

import pytest

from proctor.ports import Store
from proctor.testing.conformance.applying import Applying
from proctor.testing.conformance.claiming import Claiming
from proctor.testing.conformance.controlling import Controlling
from proctor.testing.conformance.emitting import Emitting
from proctor.testing.conformance.finishing import Finishing
from proctor.testing.conformance.guarding import Guarding
from proctor.testing.conformance.harness import Harness
from proctor.testing.conformance.measuring import Measuring
from proctor.testing.conformance.permitting import Permitting
from proctor.testing.conformance.remembering import Remembering
from proctor.testing.conformance.retracting import Retracting
from proctor.testing.conformance.scripting import Scripting
from proctor.testing.conformance.surveying import Surveying
from proctor.testing.conformance.touching import Touching
from proctor.testing.conformance.undoing import Undoing
from proctor.testing.conformance.watching import Watching


class _Given:
    """What every suite of stores is given."""

    @pytest.fixture
    def harness(self) -> Harness:
        """An empty database of this test's own; the subclass gives it and closes it."""
        raise NotImplementedError("give a fixture `harness`: see Harness")

    @pytest.fixture
    async def store(self, harness: Harness) -> Store:
        """The store under test."""
        return await harness.store()


class GridConformance(Emitting, Retracting, _Given):
    """What a store promises of units of work, which it keeps beside the rows that they write."""


class TouchConformance(Touching, _Given):
    """What a store promises of rows that a called service writes, if it keeps their images."""


class StoreConformance(
    Surveying,
    Measuring,
    Controlling,
    Claiming,
    Applying,
    Guarding,
    Finishing,
    Permitting,
    Undoing,
    Scripting,
    Remembering,
    Watching,
    _Given,
):
    """Every promise that a store makes, as tests; see `proctor.testing.conformance`."""
