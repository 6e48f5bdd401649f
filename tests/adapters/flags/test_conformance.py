"""Every kind of flag against what keeps it: databases, files, commands and a web server."""

import pytest

from flagworlds import EnvFileWorld, FlagdWorld, HttpWorld, ShellWorld, SqlWorld
from proctor.testing.conformance import (
    FlagConformance,
    LyingConformance,
    RampConformance,
    SwitchConformance,
)


class TestSqlite(RampConformance, LyingConformance):
    @pytest.fixture
    async def world(self, tmp_path):
        async with SqlWorld(f"sqlite:///{tmp_path}/app.db") as world:
            yield world


class TestPostgres(RampConformance, LyingConformance):
    @pytest.fixture
    async def world(self, pg):
        async with SqlWorld(pg) as world:
            yield world


class TestCohort(RampConformance):
    """With a cohort table the readers are those of the SELECT."""

    @pytest.fixture
    async def world(self, pg):
        subjects = "SELECT id FROM readers WHERE filled AND id::int % 4 > 0 AND ':x' <> ''"
        async with SqlWorld(pg, cohort_table="cohort", subjects=subjects) as world:
            world.sql(
                "CREATE TABLE readers (id BIGINT PRIMARY KEY, filled BOOLEAN)",
                "INSERT INTO readers SELECT n, mod(n, 4) > 0 FROM generate_series(1, 8000) n",
            )
            yield world


class TestEnvFile(SwitchConformance):
    @pytest.fixture
    async def world(self, tmp_path):
        async with EnvFileWorld(tmp_path) as world:
            yield world


class TestFlagd(RampConformance):
    @pytest.fixture
    async def world(self, tmp_path):
        async with FlagdWorld(tmp_path) as world:
            yield world


class TestShell(RampConformance, LyingConformance):
    @pytest.fixture
    async def world(self, tmp_path):
        async with ShellWorld(tmp_path) as world:
            yield world


class TestHttp(FlagConformance, LyingConformance):
    @pytest.fixture
    async def world(self):
        async with HttpWorld() as world:
            yield world


class TestHttpSwitch(SwitchConformance, LyingConformance):
    @pytest.fixture
    async def world(self):
        async with HttpWorld(percent=False) as world:
            yield world
