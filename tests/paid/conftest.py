"""A project whose backfill asks a vendor, and the vendor: a real server with books of its own."""

from decimal import Decimal

import pytest

from paid.application import Application, InFile, InPostgres, Scored, serving
from paid.songs import Songs
from proctor.testing.vendor import Served, serve_vendor
from proctor.ui.cli import main

KEY = "sk-local-4f7Q9zSecretOfTests"
MODEL = "gpt-5-mini"
INPUT_USD, OUTPUT_USD = Decimal("0.25"), Decimal(2)


@pytest.fixture
def vendor():
    """Serves the one model, without limits; what it takes for a million tokens is in its books."""
    served = Served(name=MODEL, input_usd=INPUT_USD, output_usd=OUTPUT_USD)
    with serve_vendor(served, key=KEY) as server:
        yield server


@pytest.fixture
def songs(tmp_path, monkeypatch, capsys, vendor):
    """Forty songs without emotions, and this process inside the project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_KEY", KEY)
    monkeypatch.setenv("PROCTOR_USER", "mira")

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    project = Songs(tmp_path, vendor, call)
    yield project
    project.end()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """The application's own database."""
    if request.param == "sqlite":
        return InFile(tmp_path)
    return InPostgres(request.getfixturevalue("pg"))


@pytest.fixture
def app(tmp_path, monkeypatch, capsys, place):
    """Six sessions without scores, the application that scores them, and this process inside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROCTOR_USER", "mira")

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    application = Application(place)
    with serving(application) as address:
        project = Scored(tmp_path, place, application, address, call)
        yield project
        project.end()
