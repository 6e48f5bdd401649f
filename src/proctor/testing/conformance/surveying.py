"""What any store answers before a run: shape, counts, samples; and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from proctor.errors import TargetError, UsageError
from proctor.model import KeyPart, Outcome, Page, Source, Span
from proctor.model.keytext import keys_text, one_text, read_keys
from proctor.ports import Store
from proctor.testing.conformance.acting import (
    EVERYTHING,
    add_items,
    answered,
    begin,
    claim_one,
    items_spec,
    make_items,
    work,
)
from proctor.testing.conformance.harness import Harness

ODD = 'it"s a ; "" -- /* tàble */'
ODD_SQL = '"' + ODD.replace('"', '""') + '"'


def ids(page: Page) -> list[Any]:
    """The single key parts of a page."""
    return [key[0] for key in page.keys]


class Surveying:
    """Questions before a run are answered exactly and leave no trace."""

    async def test_a_survey_counts_and_finds_the_bounds(
        self, harness: Harness, store: Store
    ) -> None:
        """Rows of the span, eligible ones among them, the first and the last key."""
        await make_items(harness, [2, 3, 5, 7, 11])
        await harness.sql("UPDATE items SET normal = 'done' WHERE id = 5")
        survey = await store.survey(items_spec(), EVERYTHING)
        assert (survey.rows, survey.eligible) == (5, 4)
        assert (survey.first, survey.last) == ((2,), (11,))
        assert survey.row_bytes > 0
        assert survey.writes_per_row >= 1
        part = await store.survey(items_spec(), Span(start=(3,), stop=(9,)))
        assert (part.rows, part.eligible, part.first, part.last) == (3, 2, (3,), (7,))
        keys = await store.survey(items_spec(), Span(keys=((5,), (7,), (8,))))
        assert (keys.rows, keys.eligible) == (2, 1)
        limit = await store.survey(items_spec(), Span(limit=3))
        assert limit.eligible == 3
        down = items_spec(key=(KeyPart(column="id", descending=True),))
        turned = await store.survey(down, Span(start=(9,)))
        assert (turned.rows, turned.first, turned.last) == (4, (7,), (2,))

    async def test_columns_that_are_null_anywhere_are_named(
        self, harness: Harness, store: Store
    ) -> None:
        """Also in rows that the backfill leaves out: they forbid to make the field mandatory."""
        await make_items(harness, [1, 2, 3])
        await harness.sql(
            "UPDATE items SET normal = 'done' WHERE id < 3", "UPDATE items SET note = ''"
        )
        two = items_spec(fills=("normal", "note"), where="id < 3", missing="normal = ''")
        assert (await store.survey(two, EVERYTHING)).eligible == 0
        assert await store.lacking(two) == ("normal",)
        await harness.sql("UPDATE items SET normal = 'done'")
        assert await store.lacking(two) == ()

    async def test_columns_of_another_table_are_looked_at_in_all_its_rows(
        self, harness: Harness, store: Store
    ) -> None:
        """With `into=` rows may stand there that no source row fills."""
        await make_items(harness, [1])
        await harness.sql(
            "CREATE TABLE moods (item INTEGER PRIMARY KEY, normal TEXT)",
            "INSERT INTO moods VALUES (1, 'done'), (2, NULL)",
        )
        spec = items_spec(into="moods", into_key=("item",))
        assert (await store.survey(spec, EVERYTHING)).eligible == 0
        assert await store.lacking(spec) == ("normal",)
        await harness.sql("DELETE FROM moods WHERE item = 2")
        assert await store.lacking(spec) == ()

    async def test_an_empty_table_is_no_error(self, harness: Harness, store: Store) -> None:
        """Nothing to count, nothing to claim, and a run that ends at once."""
        await make_items(harness, [])
        survey = await store.survey(items_spec(), EVERYTHING)
        assert (survey.rows, survey.eligible, survey.first, survey.last) == (0, 0, None, None)
        run = await begin(store, items_spec())
        assert await work(store, run, items_spec()) == Outcome()

    async def test_samples_are_the_first_the_latest_or_drawn(
        self, harness: Harness, store: Store
    ) -> None:
        """In key order; the same seed draws the same rows."""
        await make_items(harness, range(1, 41))
        await harness.sql("UPDATE items SET normal = 'done' WHERE id % 2 = 0")
        spec = items_spec()
        first = await store.sample(spec, 3, span=EVERYTHING)
        assert ids(first) == [1, 3, 5]
        assert first.rows[0]["style"] == "Style 1"
        assert first.images[0] == (None,)
        latest = await store.sample(spec, 3, span=EVERYTHING, latest=True)
        assert sorted(ids(latest)) == [35, 37, 39]
        drawn = ids(await store.sample(spec, 5, span=EVERYTHING, seed=7))
        assert drawn == sorted(drawn)
        assert len(set(drawn)) == 5
        assert all(i % 2 for i in drawn)
        assert ids(await store.sample(spec, 5, span=EVERYTHING, seed=7)) == drawn
        others = [ids(await store.sample(spec, 5, span=EVERYTHING, seed=s)) for s in range(4)]
        assert any(o != drawn for o in others)
        asked = await store.sample(spec, 1, span=Span(keys=((4,), (3,), (99,))))
        assert ids(asked) == [3, 4]
        part = await store.sample(spec, 3, span=Span(start=(9,), stop=(11,)))
        assert ids(part) == [9, 11]

    async def test_rows_are_read_by_key_as_they_stand(self, harness: Harness, store: Store) -> None:
        """Eligible or not; what is not there is said to be gone."""
        await make_items(harness, [1, 2])
        await harness.sql("UPDATE items SET normal = 'done' WHERE id = 2")
        page = await store.read_keys(items_spec(), [(2,), (3,), (1,)])
        assert ids(page) == [1, 2]
        assert page.gone == ((3,),)
        assert page.images[1] == ("done",)
        assert list(page.rows[1]) == ["id", "style", "normal", "note"]

    async def test_expressions_are_sampled_with_their_values(
        self, harness: Harness, store: Store
    ) -> None:
        """What `sql=` would give stands beside the row, and nothing is written."""
        await make_items(harness, [1])
        spec = items_spec(sql=(("normal", "lower(style)"),))
        page = await store.sample(spec, 5, span=EVERYTHING)
        assert page.rows[0]["= normal"] == "style 1"
        assert await harness.fetch("SELECT normal FROM items") == [(None,)]

    async def test_columns_narrow_what_an_author_gets(self, harness: Harness, store: Store) -> None:
        """A row holds the declared columns, in their order, and no others."""
        await make_items(harness, [1])
        spec = items_spec(columns=("style", "id"))
        run = await begin(store, spec)
        page = await store.read(spec, await claim_one(store, run, spec))
        assert [list(r.items()) for r in page.rows] == [[("style", "Style 1"), ("id", 1)]]
        assert page.bytes_read > 0

    async def test_questions_before_a_run_write_nothing(
        self, harness: Harness, store: Store
    ) -> None:
        """No row, no table, no trigger: a dry run leaves no trace."""
        await make_items(harness, range(1, 10))
        await harness.log_writes("items")
        before = await harness.dump()
        spec = items_spec()
        await store.inspect(spec)
        await store.survey(spec, EVERYTHING)
        await store.survey(spec, EVERYTHING, exact=False)
        await store.sample(spec, 5, span=EVERYTHING)
        await store.sample(spec, 5, span=EVERYTHING, seed=1)
        await store.read_keys(spec, [(1,)])
        await store.health()
        store.parse_key(spec, "7")
        assert await store.measure("SELECT count(*) FROM items") == 9
        assert await harness.dump() == before
        assert not await harness.proctor_tables()

    async def test_what_cannot_even_be_sent_is_known_before_it_is_written(
        self, harness: Harness, store: Store
    ) -> None:
        """By position in the page, with the field and why; a good row is not named."""
        await make_items(harness, [1, 2, 3, 4])
        spec = items_spec()
        page = await store.sample(spec, 4, span=EVERYTHING)
        odd: dict[int, Any] = {2: None, 3: object()}
        settled = answered(page, spec, lambda row: odd.get(row["id"], "good"))
        before = await harness.dump()
        assert settled.index == [0, 2, 3]
        unfit = await store.unfit(spec, settled)
        assert list(unfit) == [2]
        assert unfit[2].startswith("normal: ")
        assert "object" in unfit[2]
        assert await harness.dump() == before

    async def test_a_new_row_that_would_be_half_filled_is_known_too(
        self, harness: Harness, store: Store
    ) -> None:
        """A row of another table is inserted whole or not at all."""
        await make_items(harness, [1, 2])
        await harness.sql("CREATE TABLE about (id INTEGER PRIMARY KEY, one TEXT, two TEXT)")
        spec = items_spec(into="about", into_key=("id",), fills=("one", "two"))
        page = await store.sample(spec, 2, span=EVERYTHING)
        settled = answered(page, spec, lambda row: ("a", "b" if row["id"] == 1 else None))
        unfit = await store.unfit(spec, settled)
        assert list(unfit) == [1]
        assert "two" in unfit[1]

    async def test_a_measure_is_one_number(self, harness: Harness, store: Store) -> None:
        """Anything else is refused, and nothing can be written through it."""
        await make_items(harness, [1, 2])
        assert await store.measure("SELECT 1.5") == 1.5
        for wrong in (
            "SELECT id FROM items",
            "SELECT 1, 2",
            "SELECT 'x'",
            "SELECT NULL",
            "SELECT nothing FROM nowhere",
        ):
            with pytest.raises(TargetError):
                await store.measure(wrong)

    async def test_keys_are_parsed_as_people_type_them(
        self, harness: Harness, store: Store
    ) -> None:
        """Numbers, text with commas, parts of composite keys; anything else is a usage error."""
        await make_items(harness, [1])
        await harness.sql(
            "CREATE TABLE pairs (a TEXT, b INTEGER, style TEXT, normal TEXT, PRIMARY KEY (a, b))",
            "CREATE TABLE names (a TEXT PRIMARY KEY, style TEXT, normal TEXT)",
        )
        names = items_spec(source="names", key=(KeyPart(column="a"),))
        pairs = items_spec(source="pairs", key=(KeyPart(column="a"), KeyPart(column="b")))
        for spec in (items_spec(), names, pairs):
            await store.inspect(spec)
        assert store.parse_key(items_spec(), "-7") == (-7,)
        assert store.parse_key(names, "a,b 7") == ("a,b 7",)
        assert store.parse_key(pairs, "x,7") == ("x", 7)
        for spec, text in ((items_spec(), "seven"), (pairs, "x"), (pairs, "x,y"), (pairs, "")):
            with pytest.raises(UsageError) as caught:
                store.parse_key(spec, text)
            assert caught.value.found
            assert caught.value.fix

    async def test_keys_are_parsed_as_they_are_printed(
        self, harness: Harness, store: Store
    ) -> None:
        """Whatever a key holds, a person can type what a report shows of it."""
        await harness.sql(
            "CREATE TABLE names (a TEXT PRIMARY KEY, style TEXT, normal TEXT)",
            "CREATE TABLE pairs (a TEXT, b INTEGER, style TEXT, normal TEXT, PRIMARY KEY (a, b))",
        )
        hostile = [
            "a,b",
            '5"',
            "'q'",
            "''",
            "'",
            "X'41'",
            "'X'41'",
            "p;q",
            " x ",
            "",
            "007",
            "n\nl",
        ]
        told = ["(" + "'" + text.replace("'", "''") + "'" for text in hostile]
        await harness.sql(
            "INSERT INTO names (a, style) VALUES " + ", ".join(f"{t}, 's')" for t in told),
            "INSERT INTO pairs (a, b, style) VALUES " + ", ".join(f"{t}, 7, 's')" for t in told),
        )
        one, two = KeyPart(column="a"), KeyPart(column="b")
        for name, key in (("names", (one,)), ("pairs", (one, two))):
            spec = items_spec(source=name, key=key)
            await store.inspect(spec)
            page = await store.sample(spec, 50, span=EVERYTHING)
            assert len(page.keys) == len(hostile)
            typed = read_keys(keys_text(page.keys), len(key))
            assert [store.parse_key(spec, one_text(parts)) for parts in typed] == list(page.keys)

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"source": "itemz"}, "items"),
            ({"key": (KeyPart(column="idd"),)}, "id"),
            ({"fills": ("normall",)}, "normal"),
            ({"fills": ("id",)}, "key"),
            ({"fills": ("made",)}, "generated"),
            ({"stamp": "nostamp"}, "nostamp"),
            ({"columns": ("id", "stile")}, "style"),
            ({"key": (KeyPart(column="style"),)}, "unique"),
            ({"key": (KeyPart(column="code"),)}, "null"),
            ({"where": "style ="}, "where"),
            ({"where": "nowhere = 1"}, "where"),
            ({"missing": "nowhere IS NULL"}, "missing"),
            ({"sql": (("normal", "lower(nowhere)"),)}, "sql"),
            ({"into": "nowhere", "into_key": ("id",)}, "nowhere"),
            ({"into": "about", "into_key": ("kind",)}, "unique"),
            ({"kind": Source.QUERY, "source": "SELECT", "into": "about"}, "query"),
        ],
        ids=str,
    )
    async def test_what_does_not_fit_is_refused_by_name(
        self, harness: Harness, store: Store, changes: dict[str, Any], named: str
    ) -> None:
        """Each error says what was wrong, and near names where there are any."""
        await harness.sql(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT NOT NULL, normal TEXT, "
            "code TEXT UNIQUE, made TEXT GENERATED ALWAYS AS (lower(style)) STORED)",
            "CREATE TABLE about (id INTEGER PRIMARY KEY, normal TEXT, kind INTEGER NOT NULL)",
        )
        await harness.sql("INSERT INTO items (id, style) VALUES (1, 'a'), (2, 'a')")
        spec = items_spec(**{"into_key": ("id",) if "into" in changes else (), **changes})
        before = await harness.dump()
        with pytest.raises(TargetError) as caught:
            await store.inspect(spec)
        assert named in str(caught.value)
        assert await harness.dump() == before

    async def test_the_digest_covers_columns_constraints_and_triggers(
        self, harness: Harness, store: Store
    ) -> None:
        """It stands while the schema stands, whatever the rows do, and changes with each."""
        await make_items(harness, [1])
        spec = items_spec()
        seen = [(await store.inspect(spec)).digest]
        await add_items(harness, [2])
        await harness.sql("CREATE TABLE elsewhere (id INTEGER)")
        await begin(store, spec)
        assert (await store.inspect(spec)).digest == seen[0]
        await harness.sql("ALTER TABLE items ADD COLUMN more TEXT")
        seen.append((await store.inspect(spec)).digest)
        await harness.log_writes("items")
        seen.append((await store.inspect(spec)).digest)
        assert len(set(seen)) == len(seen)

    async def test_a_shape_says_what_is_there(self, harness: Harness, store: Store) -> None:
        """Columns of source and target, the place without secrets, and warnings for the plan."""
        await make_items(harness, [1])
        plain = await store.inspect(items_spec())
        assert [c.name for c in plain.columns] == ["id", "style", "normal", "note"]
        assert [c.nullable for c in plain.target_columns] == [False, True, True, True]
        assert plain.identity
        assert plain.address
        assert plain.server
        assert plain.can_create
        await harness.log_writes("items")
        logged = await store.inspect(items_spec())
        assert any("trigger" in w.lower() for w in logged.warnings)

    async def test_hostile_names_are_only_names(self, harness: Harness, store: Store) -> None:
        """Quotes, semicolons, comments and unicode in tables, columns, keys and values."""
        await harness.sql(
            f"CREATE TABLE {ODD_SQL} (id TEXT PRIMARY KEY, style TEXT, {ODD_SQL} TEXT)",
            f"INSERT INTO {ODD_SQL} VALUES ('''; DROP TABLE x; --', '{ODD}', NULL), "
            "('é😀', '\\', NULL), ('', '%s :x ?', NULL)",
        )
        spec = items_spec(source=ODD, fills=(ODD,))
        await store.inspect(spec)
        run = await begin(store, spec)
        assert await work(store, run, spec, lambda row: row["style"], rows=2) == Outcome(
            read=3, written=3
        )
        left = await harness.fetch(f"SELECT count(*) FROM {ODD_SQL} WHERE style <> {ODD_SQL}")
        assert left == [(0,)]
