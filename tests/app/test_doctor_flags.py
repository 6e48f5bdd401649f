"""`proctor doctor` reads every flag, says what its tool cannot do, and writes none."""

import pytest

from flagworlds import KEY, FlagdWorld, SqlWorld
from proctor.app.flagging import open_flag
from proctor.config import load
from proctor.errors import UsageError
from shop import CONFIG, Shop


@pytest.fixture
def told(tmp_path):
    """What doctor finds of flags, with these sections in the file."""
    shop = Shop(tmp_path, rows=2)

    async def look(sections):
        shop.configure(CONFIG + sections)
        async with shop.by("ada") as app:
            return {f.subject: f for f in await app.doctor() if f.subject.startswith("flag ")}

    return look


async def test_each_flag_is_read_and_none_is_written(told, tmp_path, monkeypatch):
    """Those that do not answer are not well, each by itself."""
    monkeypatch.setenv("DB", f"sqlite:///{tmp_path}/app.db")
    async with SqlWorld(f"sqlite:///{tmp_path}/app.db") as rows, FlagdWorld(tmp_path) as file:
        await rows.meddle(25)
        kept = file.path.read_text()
        found = await told(
            f'[flags.a]\nkind = "sql"\nurl = "${{DB}}"\nflag = "{KEY}"\n'
            f'[flags.b]\nkind = "flagd"\npath = "{file.path}"\nflag = "{KEY}"\n'
            '[flags.c]\nkind = "env_file"\npath = "none.env"\n'
            '[flags.d]\nkind = "vercel"\ntoken = "${NOT_SET}"\nedge_config = "e"\n'
        )
        assert (found["flag a"].ok, found["flag a"].detail) == (
            True,
            "sql; 25 percent of readers let in",
        )
        assert found["flag b"].detail == "flagd; 0 percent of readers let in"
        assert not found["flag c"].ok
        assert "cannot be used" in found["flag c"].detail
        assert "NOT_SET" in found["flag d"].detail
        assert file.path.read_text() == kept
        assert rows.fetch(f"SELECT version FROM flags WHERE key = '{KEY}'") == [(2,)]


async def test_what_a_tool_cannot_do_is_said(told, tmp_path):
    """An env file is on or off, and applications must start again."""
    (tmp_path / "app.env").write_text("a=false\n")
    found = await told('[flags.a]\nkind = "env_file"\npath = "app.env"\n')
    assert found["flag a"].detail == (
        "env_file; 0 percent of readers let in; on or off only;"
        " takes effect when the application is deployed or started again;"
        " what readers see cannot be asked"
    )


def test_a_flag_that_is_not_there_is_told_with_those_that_are(tmp_path):
    """A slip in a rollout's file."""
    (tmp_path / "proctor.toml").write_text(
        CONFIG.format() + '[flags.a]\nkind = "env_file"\npath = "app.env"\n'
    )
    with pytest.raises(UsageError, match="there is no flag b") as caught:
        open_flag(load(tmp_path), "b")
    assert caught.value.found == "it has: a"
