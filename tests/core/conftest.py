"""What the pure rooms need of the world: nothing but a machine's time zone."""

import time

import pytest


@pytest.fixture
def machine_zone(monkeypatch):
    """Set this machine's time zone for one test."""

    def use(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()
