"""Units of work that are no rows, from a definition to their rollback."""

import json
import signal
import subprocess
import sys

import pytest

from proctor.app import RollbackOptions, RunOptions
from proctor.engine.part import Part
from proctor.errors import AnswerError, DefinitionError, UsageError
from proctor.model import UnitState
from shop import Shop

CODE = '''
import os, signal
from pathlib import Path
from proctor import Refuse, backfill, grid, table

MONTHS = grid(year=range(2020, {end}), month=(1, 2, 3), order=("-year", "-month"))
HERE = Path(__file__).parent

@backfill(MONTHS, emits=table("works", key="isbn"), fills=("title", "author"), version="1")
{word} books(unit, ctx):
    """Notable books of a month."""
    year, month = unit["year"], unit["month"]
    ctx.record(asked=True, variant="contemporary" if year > 2020 else "baseline")
    if (HERE / "asked.txt").exists():
        with (HERE / "asked.txt").open("a") as file:
            file.write(f"{{year}}-{{month}}\\n")
    if (year, month) == (2020, 2):
        return Refuse("cannot name 20 verifiable books")
    if (year, month) == (2020, 3) and not (HERE / "mended").exists():
        raise ValueError("boom")
    if (HERE / f"kill-{{year}}-{{month}}").exists():
        (HERE / f"kill-{{year}}-{{month}}").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    ctx.record(books_generated=2)
    name = f"{{year}}-{{month}}"
    return [{{"isbn": f"{{name}}-{{n}}", "title": f"Book {{n}}", "author": None}} for n in (1, 2)]
'''


class Library(Shop):
    """A table of works, and a grid of six months that gives books for it."""

    def __init__(self, root, word="async def", end=2022):
        super().__init__(root)
        self.sql(
            "CREATE TABLE works (isbn TEXT PRIMARY KEY, title TEXT NOT NULL, author TEXT, n INT)"
        )
        self.sql("INSERT INTO works VALUES ('2021-3-1', 'Old', 'Bob', 7)")
        self.write(CODE.format(word=word, end=end))
        self.listen()

    @property
    def works(self):
        return self.sql("SELECT isbn, title, author, n FROM works ORDER BY isbn")

    def listen(self):
        """Note from now on which units are asked; a dry run lets no function do that."""
        (self.root / "asked.txt").write_text("")

    def deaf(self):
        (self.root / "asked.txt").unlink()

    def proctor(self, *words):
        command = [sys.executable, "-m", "proctor", *words]
        return subprocess.run(command, cwd=self.root, capture_output=True, check=False, text=True)

    @property
    def asked(self):
        return (self.root / "asked.txt").read_text().split()

    async def ended(self, **options):
        async with self.by("ada") as app:
            return await app.run("books", RunOptions(**options))

    async def run(self, **options):
        return (await self.ended(**options)).run


@pytest.fixture(params=["def", "async def"])
def library(request, tmp_path):
    return Library(tmp_path, request.param)


@pytest.fixture
def plain(tmp_path):
    return Library(tmp_path)


async def units_of(library, run):
    async with library.by("a reader") as app:
        (seen,) = await app.status(run.id)
    return seen.units


async def test_a_run_does_each_unit_once_and_says_how_each_ended(library):
    """P1: the books count units; failed and refused ones wait for the next run, and are listed."""
    run = await library.run()
    # In this order they are begun, but two that are begun together may write in another.
    assert sorted(library.asked) == [f"{y}-{m}" for y in (2020, 2021) for m in (1, 2, 3)]
    assert run.outcome.as_dict() | {"read": 6, "written": 4, "refused": 1, "failed": 1} == (
        run.outcome.as_dict()
    )
    assert len(library.works) == 8
    assert ("2021-3-1", "Book 1", None, 7) in library.works
    seen = await units_of(library, run)
    assert seen.states == {"retry": 2, "completed": 4}
    assert seen.totals == {"books_generated": 8}
    by_key = {unit.key: unit for unit in seen.units}
    assert by_key[2020, 3].state is UnitState.RETRY
    assert by_key[2020, 3].reason.startswith("ValueError: boom")
    assert by_key[2020, 3].metrics == {"asked": True, "variant": "baseline"}
    assert by_key[2021, 1].metrics["books_generated"] == 2


async def test_the_next_run_tries_only_what_is_not_done(plain):
    """Failed units again, and units that the grid has got since; nothing that is completed."""
    await plain.run()
    (plain.root / "mended").touch()
    plain.listen()
    plain.write(CODE.format(word="async def", end=2023))
    run = await plain.run()
    assert sorted(plain.asked) == ["2020-2", "2020-3", "2022-1", "2022-2", "2022-3"]
    assert (run.outcome.written, run.outcome.refused) == (4, 1)
    seen = await units_of(plain, run)
    assert seen.states == {"retry": 1, "completed": 8}
    assert {u.key: u.attempts for u in seen.units}[2020, 2] == 2


def test_killed_in_the_middle_of_a_unit_it_goes_on_without_doing_one_twice(plain):
    """P2: SIGKILL inside the function; only units that were not written are asked again."""
    (plain.root / "kill-2021-1").touch()
    killed = plain.proctor("run", "books", "--yes")
    assert killed.returncode == -signal.SIGKILL
    written = {isbn.rpartition("-")[0] for isbn, title, *_ in plain.works if title != "Old"}
    assert "2021-1" not in written
    again = plain.proctor("run", "books", "--yes")
    assert again.returncode == 1, again.stderr  # a unit failed
    counts = {unit: plain.asked.count(unit) for unit in set(plain.asked)}
    assert len(counts) == 6
    assert all(counts[unit] == 1 for unit in written)
    assert len(plain.works) == 8


async def test_a_rollback_gives_back_the_table_and_the_units(plain):
    """P3: inserted rows are gone, updated ones hold what they held, and units are pending."""
    before = plain.works
    run = await plain.run()
    plain.deaf()
    async with plain.by("ada") as app:
        checked = await app.verify(run.id)
        assert checked.verdict == "pass"
        assert checked.recomputed == 4
        done = await app.rollback(run.id, RollbackOptions(confirmed=True))
    assert (done.undone.written, done.undone.restored) == (8, 8)
    assert plain.works == before
    assert (await units_of(plain, run)).states == {"pending": 6}


async def test_rows_are_known_by_their_keys_however_the_function_spells_them(plain):
    """A number for a key of text: what is there is shown, and verify finds what was written."""
    code = CODE.format(word="async def", end=2022)
    plain.write(code.replace('f"{name}-{n}"', "100 * year + 10 * month + n"))
    plain.sql("INSERT INTO works VALUES ('202131', 'Old', 'Bob', 7)")
    plain.deaf()
    async with plain.by("ada") as app:
        dry = await app.dry_run("books", sample=1)
        assert [row.before for row in dry.previews] == [
            {"202131": "title=Old, author=Bob", "202132": None}
        ]
        run = (await app.run("books", RunOptions())).run
        checked = await app.verify(run.id)
    assert (checked.verdict, checked.different) == ("pass", ())


async def test_a_unit_that_has_failed_for_good_is_never_taken_for_done(plain):
    """P8: no run takes it again, but a deploy that asks is told, and not let through."""
    code = CODE.format(word="async def", end=2022)
    plain.write(code.replace("order=", "attempts=1, order="))
    await plain.run()
    async with plain.by("ada") as app:
        first = await app.ensure("books")
        (plain.root / "mended").touch()
        plain.write(code.replace("order=", "attempts=2, order="))
    assert (first.done, first.remaining) == (False, 2)
    assert first.reason == "2 units have failed, with no attempt left"
    await plain.run()
    async with plain.by("ada") as app:
        again = await app.ensure("books")
    assert (again.remaining, again.reason) == (1, "1 unit has failed, with no attempt left")


async def test_one_unit_is_rolled_back_and_done_again(plain):
    """By the key of the unit, as the reports show it."""
    run = await plain.run()
    options = RollbackOptions(confirmed=True, part=Part(keys=("2021,3",)))
    async with plain.by("ada") as app:
        done = await app.rollback(run.id, options)
    assert (done.undone.written, done.undone.restored) == (2, 2)
    assert ("2021-3-1", "Old", "Bob", 7) in plain.works
    plain.listen()
    await plain.run(part=Part(keys=("2021,3",)))
    assert plain.asked == ["2021-3"]
    assert ("2021-3-1", "Book 1", None, 7) in plain.works


async def test_a_plan_and_a_dry_run_show_the_rows_that_units_would_write(plain):
    """P7: each under its unit, before and after; and not even Proctor's tables are made."""
    plain.deaf()
    async with plain.by("ada") as app:
        dry = await app.dry_run("books", sample=2)
        plan = await app.plan("books")
    first, second = dry.previews
    assert first.inputs == {"year": "2021", "month": "3"}
    assert first.before["2021-3-1"] == "title=Old, author=Bob"
    assert first.after["2021-3-1"] == "title=Book 1, author=null"
    assert second.before["2021-2-1"] is None
    assert dry.existing == 1
    assert (plan.survey.eligible, plan.chunks) == (6, 6)
    assert not plain.sql("SELECT 1 FROM sqlite_master WHERE name LIKE 'proctor%'")


async def test_what_is_no_list_of_rows_stops_the_run_at_its_first_unit(plain):
    """A bug in every answer is the author's, and nothing is written."""
    code = CODE.format(word="def", end=2022)
    plain.write(code.replace("    return [{", "    return {1: 2}, [{"))
    ended = await plain.ended()
    assert isinstance(ended.error, AnswerError)
    assert "row 1 of 2 has no 'isbn', which is its key" in ended.error.found
    assert len(plain.works) == 1


def test_the_statistics_hold_every_unit(plain):
    """For other programs: state, attempts, what was counted and why."""
    said = plain.proctor("run", "books", "--json")
    run = json.loads(said.stdout)["id"]
    units = json.loads(plain.proctor("report", run, "--format", "json").stdout)["units"]
    assert units["states"] == {"retry": 2, "completed": 4}
    assert units["totals"] == {"books_generated": 8}
    (failed,) = [u for u in units["listed"] if u["key"] == [2020, 3]]
    assert (failed["state"], failed["attempts"], failed["completed"]) == ("retry", 1, None)
    (shown,) = json.loads(plain.proctor("status", run, "--json").stdout)["runs"]
    assert shown["units"] == units["states"]
    assert "retry 2, completed 4" in plain.proctor("status", run).stdout
    for kind in ("md", "html"):
        page = plain.proctor("report", run, "--format", kind).stdout.replace("\\", "")
        assert "books_generated 8" in page
        assert "cannot name 20 verifiable books" in page


async def test_rows_keep_no_numbers(tmp_path):
    """`ctx.record` is for units; in a function of rows it says what to do instead."""
    shop = Shop(tmp_path)
    shop.write(
        "from proctor import backfill, table\n"
        "@backfill(table('items', key='id'), fills='normal')\n"
        "def fill(row, ctx):\n    ctx.record(calls=1)\n    return {'normal': 'x'}\n"
    )
    async with shop.by("ada") as app:
        ended = await app.run("fill", RunOptions())
    assert isinstance(ended.error, DefinitionError)
    assert "unit of a grid" in ended.error.what


async def test_a_key_that_is_no_unit_is_refused(plain):
    """A slip of the hand: the parts of a unit's key are named."""
    async with plain.by("ada") as app:
        with pytest.raises(UsageError, match="is not a key") as refused:
            await app.plan("books", part=Part(keys=("2021",)))
    assert "YEAR,MONTH" in refused.value.fix


MEETING = '''
import asyncio
from proctor import backfill, grid, table

MEET = asyncio.Barrier(4)

@backfill(grid(n=range(9)), emits=table("works", key="isbn"), fills="title", concurrency=4)
async def books(unit):
    """All but the first, which is done alone, wait until four are under way."""
    if unit["n"]:
        async with asyncio.timeout(20):
            await MEET.wait()
    return [{"isbn": str(unit["n"]), "title": "T"}]
'''


async def test_as_many_units_are_under_way_as_calls_may_be(plain):
    """Each is a chunk of its own, and still they do not wait for one another."""
    plain.write(MEETING)
    run = await plain.run()
    assert (run.outcome.read, run.outcome.written) == (9, 9)


CHECKED = '''
from proctor import backfill, checks, grid, table

@backfill(grid(n=(1, 2, 3)), emits=table("works", key="isbn"), fills="title",
          checks=[checks.forbidden("title", r"confidence"), lambda unit, row: row["title"] != "no"])
def books(unit):
    """A leak in one of two rows, and a row that a function does not want."""
    second = {1: "plain", 2: "[confidence: high]", 3: "no"}[unit["n"]]
    return [{"isbn": f"{unit['n']}-{m}", "title": title} for m, title in enumerate(("T", second))]
'''


async def test_checks_judge_every_row_that_a_unit_gives(plain):
    """One that is rejected fails its unit, one that is refused refuses it; neither is written."""
    plain.write(CHECKED)
    run = await plain.run()
    assert (run.outcome.written, run.outcome.failed, run.outcome.refused) == (1, 1, 1)
    assert [isbn for isbn, *_ in plain.works] == ["1-0", "1-1", "2021-3-1"]
