"""P9: what was approved is what runs, from the plan's file to the rows."""

import asyncio

import pytest

from proctor.app import Part, RunOptions
from proctor.app.slices import SliceNames, run_slice
from proctor.errors import PlanVoid
from shop import BACKFILLS, CONFIG, Shop

SIGNAL = '[[throttle.signal]]\nname = "queue"\nlimit = {}\nsql = "SELECT 1"\n'
WATCHED = f"{CONFIG}\n[throttle]\nlock_waiters = 5\n{SIGNAL.format(100)}"


def recode(shop):
    shop.write(BACKFILLS.replace('"x"', '"y"'))


def retype(shop):
    """The column that is filled takes numbers now."""
    shop.sql("ALTER TABLE items RENAME TO former")
    shop.sql("CREATE TABLE items (id INTEGER PRIMARY KEY, normal NUMERIC)")
    shop.sql("INSERT INTO items SELECT * FROM former")
    shop.sql("DROP TABLE former")


def loosen(shop):
    shop.configure(WATCHED.replace("lock_waiters = 5", "lock_waiters = 500"))


def loosen_own(shop):
    shop.configure(WATCHED.replace("limit = 100", "limit = 100000"))


@pytest.mark.parametrize(
    ("change", "part"),
    [(recode, "code"), (retype, "schema"), (loosen, "limits"), (loosen_own, "limits")],
)
async def test_a_plan_is_void_when_a_part_of_it_changed(tmp_path, change, part):
    """P9: code, touched schema and limits, also of signals of one's own; nothing is written."""
    shop = Shop(tmp_path)
    shop.configure(WATCHED)
    file, _ = await shop.planned()
    change(shop)
    async with shop.by("ada") as app:
        with pytest.raises(PlanVoid, match=f"^{part} changed since the plan was made"):
            await app.run("fill", RunOptions(plan=file))
    assert shop.sql("SELECT count(normal) FROM items") == [(0,)]


async def test_a_plan_of_a_part_does_not_run_another(tmp_path):
    """P9: neither the whole table nor other keys."""
    shop = Shop(tmp_path)
    file, _ = await shop.planned(part=Part(stop="9"))
    async with shop.by("ada") as app:
        with pytest.raises(PlanVoid, match=r"^part changed"):
            await app.run("fill", RunOptions(plan=file, part=Part(stop="19")))
        await app.run("fill", RunOptions(plan=file))
    assert shop.sql("SELECT count(normal), max(id) FROM items WHERE normal = 'x'") == [(9, 9)]


async def test_a_run_is_held_when_the_rows_are_over_ten_per_cent_fewer(tmp_path):
    """P9: and not begun, not even on record."""
    shop = Shop(tmp_path)
    file, _ = await shop.planned()
    shop.sql("UPDATE items SET normal = 'theirs' WHERE id > 26")
    async with shop.by("ada") as app:
        with pytest.raises(PlanVoid, match="not as many rows to fill"):
            await app.run("fill", RunOptions(plan=file))
    assert shop.sql("SELECT count(*) FROM items WHERE normal = 'x'") == [(0,)]
    assert await shop.told("run.opened") == []


async def test_a_plan_is_held_against_counted_rows(tmp_path):
    """P9: never against an estimate, which the holes in these keys lead astray."""
    shop = Shop(tmp_path)
    shop.sql("INSERT INTO items (id) VALUES (1000000000)")
    file, _ = await shop.planned()
    async with shop.by("ada") as app:
        ended = await app.run("fill", RunOptions(plan=file))
    assert (ended.run.expected, ended.run.outcome.written) == (31, 31)


def test_a_worker_process_with_other_code_does_nothing(tmp_path):
    """P9: what it imports must be what was approved, also where it was deployed later."""
    shop = Shop(tmp_path)
    run = asyncio.run(shop.paused())
    names = SliceNames(
        config=str(tmp_path / "proctor.toml"),
        env="local",
        backfill="fill",
        run=run.id,
        epoch=run.epoch,
        code="of another version",
        lanes=1,
    )
    with pytest.raises(PlanVoid, match="not the code that was approved"):
        run_slice(names)
