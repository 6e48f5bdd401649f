"""A flag in a table: compare-and-set under a race, an audit row, and a cohort that only grows."""

import asyncio

import pytest

from flagworlds import KEY, SqlWorld
from proctor.core.cohort import lets_in
from proctor.errors import ConfigError, FlagFault, FlagMoved


@pytest.fixture
async def opened(tmp_path):
    """Opens a world on SQLite with these settings."""
    worlds = []

    async def opened(**more):
        worlds.append(SqlWorld(f"sqlite:///{tmp_path}/app.db", **more))
        return worlds[-1]

    yield opened
    for world in worlds:
        await world.stack.aclose()


async def test_of_many_that_write_at_once_one_gets_through(pg):
    """The database compares: nobody's write is lost between our read and our write."""
    async with SqlWorld(pg) as world:
        flags = [await world.flag() for _ in range(8)]
        before = await flags[0].read()
        told = await asyncio.gather(
            *(
                flag.set(percent, expect=before, reason="race", once=f"r{percent}")
                for percent, flag in enumerate(flags, 1)
            ),
            return_exceptions=True,
        )
        moved = [one for one in told if isinstance(one, FlagMoved)]
        assert len(moved) == 7
        assert world.fetch(f"SELECT version FROM flags WHERE key = '{KEY}'") == [(2,)]
        assert world.fetch("SELECT percent, version FROM flags WHERE key = 'OTHER'") == [(7, 3)]


async def test_each_write_has_its_row_in_the_audit_table(opened):
    """P11: what was before and after, why, and by which step."""
    world = await opened(audit_table="flag_audit")
    flag = await world.flag()
    before = await flag.read()
    state = await flag.set(5, expect=before, reason="gate passed", once="r1-5")
    await flag.restore(before, reason="harm", once="r1-back")
    with pytest.raises(FlagMoved):
        await flag.set(25, expect=state, reason="late", once="r1-25")
    noted = world.fetch("SELECT flag, percent_before, percent_after, reason, once FROM flag_audit")
    assert noted == [(KEY, 0, 5, "gate passed", "r1-5"), (KEY, 5, 0, "harm", "r1-back")]


async def test_an_audit_table_that_takes_no_row_stops_the_write(opened):
    """P11: both or none."""
    world = await opened(audit_table="no_such_table")
    flag = await world.flag()
    before = await flag.read()
    with pytest.raises(FlagFault, match="could not be asked"):
        await flag.set(5, expect=before, reason="ramp", once="r1-5")
    assert await flag.read() == before


async def test_a_cohort_only_grows_and_is_of_filled_readers_only(opened):
    """A reader whose row is filled later comes in with the next step; nobody is taken out."""
    world = await opened(cohort_table="cohort", subjects="SELECT id FROM readers WHERE filled = 1")
    world.sql(
        "CREATE TABLE readers (id TEXT, filled INTEGER)",
        *(f"INSERT INTO readers VALUES ('u{n}', {n % 2})" for n in range(400)),
    )
    flag, everybody = await world.flag(), [f"u{n}" for n in range(400)]

    def cohort():
        return {one for (one,) in world.fetch(f"SELECT subject FROM cohort WHERE flag = '{KEY}'")}

    state = await flag.set(25, expect=await flag.read(), reason="ramp", once="r1-25")
    first = {one for one in everybody if int(one[1:]) % 2 and lets_in(KEY, one, 25)}
    assert cohort() == first
    assert await flag.observe(everybody) == [one in first for one in everybody]
    world.sql("UPDATE readers SET filled = 1 - filled")
    state = await flag.set(25, expect=state, reason="more are filled", once="r1-25b")
    assert cohort() == {one for one in everybody if lets_in(KEY, one, 25)}
    state = await flag.set(5, expect=state, reason="harm", once="r1-5")
    assert cohort() >= first
    told = await flag.observe(everybody)
    assert told == [lets_in(KEY, one, 5) for one in everybody]
    await flag.set(0, expect=state, reason="harm", once="r1-0")
    assert not any(await flag.observe(everybody))
    assert set(await flag.readers(50)) < set(everybody)


@pytest.mark.parametrize(
    ("statement", "what", "fix"),
    [
        (f"DELETE FROM flags WHERE key = '{KEY}'", "has 0 rows in flags", "INSERT INTO flags"),
        (f"UPDATE flags SET percent = 101 WHERE key = '{KEY}'", "no whole number", "0 to 100"),
        (f"UPDATE flags SET percent = 'x' WHERE key = '{KEY}'", "no whole number", "INTEGER"),
        ("DROP TABLE flags", "could not be asked", "look at url, table and columns"),
    ],
)
async def test_a_row_that_is_no_flag_is_told(opened, statement, what, fix):
    """With what to do; the INSERT can be run as it stands."""
    world = await opened()
    world.sql(statement)
    with pytest.raises(FlagFault) as caught:
        await (await world.flag()).read()
    assert what in caught.value.what
    assert fix in caught.value.fix
    if caught.value.fix.startswith("INSERT"):
        world.sql(caught.value.fix)
        assert (await (await world.flag()).read()).percent == 0


async def test_a_database_that_is_not_there_is_told_and_not_made(tmp_path, opened):
    """P12: and no password with it."""
    world = await opened(url=f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(FlagFault, match="not there"):
        await (await world.flag()).read()
    assert not (tmp_path / "none.db").exists()
    world = SqlWorld(f"sqlite:///{tmp_path}/b.db", url="postgresql://u:k3y@127.0.0.1:1/d")
    with pytest.raises(FlagFault) as caught:
        await (await world.flag()).read()
    assert "k3y" not in str(caught.value)
    world = SqlWorld(f"sqlite:///{tmp_path}/c.db", url="mysql://u:k3y@h/d")
    with pytest.raises(ConfigError) as caught:
        await world.flag()
    assert "k3y" not in str(caught.value)
