"""After-images on Postgres that are the cells that were sent, and those that are not."""

import pytest

from pgcases import fill, first_page, table_spec, take_back
from proctor.adapters.stores import journal
from proctor.testing.conformance.acting import TERMS, answered, lower

TRIGGER = (
    "CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NEW; END $$",
    (
        "CREATE TRIGGER react BEFORE UPDATE OF normal ON items FOR EACH ROW "
        "WHEN (NEW.normal IS NOT NULL) EXECUTE FUNCTION react()"
    ),
)
ODD = (
    "CASE NEW.id WHEN 2 THEN NEW.normal = NULL; WHEN 3 THEN NEW.normal = ''; "
    "WHEN 4 THEN NEW.normal = '=' || NEW.normal; ELSE NULL; END CASE;"
)


@pytest.fixture(params=[True, False], ids=["prepared", "at once"])
def prepared(request):
    return request.param


async def filled(case, answer, *, prepared):
    """One chunk over all rows, made ready ahead as the engine does, or not."""
    store = await case.store()
    run, lease, page = await first_page(store, table_spec())
    settled = answered(page, table_spec(), answer)
    if prepared:
        settled = await store.prepare(table_spec(), settled)
    return store, run, await store.apply(table_spec(), lease, settled, TERMS)


def kept(case):
    """The after-images in the journal, by key."""
    ((blob,),) = case.sql("SELECT undo FROM proctor.chunks")
    undo = journal.unpack(blob)
    return {key: after for (key,), after in zip(undo.keys, undo.after[0], strict=True)}


async def undone(case, store, run, original, rows):
    """Every row is recognised as ours, and comes back."""
    assert (await store.verify(run, 1)).restored == rows
    assert (await take_back(store, run)).restored == rows
    assert case.image("items") == original


async def test_what_comes_out_as_it_was_sent_is_kept_as_sent(case, prepared):
    """P3: the server only says that it is so."""
    case.items(5)
    original = case.image("items")
    store, run, applied = await filled(case, lower, prepared=prepared)
    assert applied.outcome.written == 5
    assert kept(case) == {i: f"style {i}" for i in range(1, 6)}
    await undone(case, store, run, original, 5)


async def test_what_a_trigger_makes_of_some_rows_is_kept_of_these(case, prepared):
    """P3: null, the empty text, and a text that begins with the mark of another image."""
    case.items(5)
    original = case.image("items")
    case.sql(TRIGGER[0].format(ODD), TRIGGER[1])
    store, run, _ = await filled(case, lower, prepared=prepared)
    assert kept(case) == {1: "style 1", 2: None, 3: "", 4: "=style 4", 5: "style 5"}
    await undone(case, store, run, original, 5)


async def test_bytes_are_compared_whatever_the_collation_calls_equal(case, prepared):
    """P3: upper and lower case are the same to this column, and never the same image."""
    case.sql(
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', "
        "deterministic = false)",
    )
    case.items(3, column='normal text COLLATE "loose"')
    original = case.image("items")
    case.sql(TRIGGER[0].format("NEW.normal = upper(NEW.normal);"), TRIGGER[1])
    store, run, _ = await filled(case, lower, prepared=prepared)
    assert kept(case) == {i: f"STYLE {i}" for i in range(1, 4)}
    await undone(case, store, run, original, 3)


async def test_rows_that_moved_are_in_no_journal(case, prepared):
    """P4: undo data that was made ahead is for a chunk that was written whole."""
    case.items(5)
    store = await case.store()
    run, lease, page = await first_page(store, table_spec())
    settled = answered(page, table_spec(), lower)
    if prepared:
        settled = await store.prepare(table_spec(), settled)
    case.sql("UPDATE items SET style = 'Edited' WHERE id = 2", "DELETE FROM items WHERE id = 3")
    applied = await store.apply(table_spec(), lease, settled, TERMS)
    assert (applied.outcome.written, applied.outcome.gone) == (3, 1)
    ((blob,),) = case.sql("SELECT undo FROM proctor.chunks WHERE state = 'applied'")
    assert journal.unpack(blob).keys == [(1,), (4,), (5,)]
    assert run.id


@pytest.mark.parametrize(
    "document",
    [
        {"a": 1, "bb": [1.5, "x, y: z", None], "ccc": {"d": "é"}},
        {"ccc": {"d": True}, "a": 1, "bb": []},
        {"wide": 1e300, "a": -0.0},
        {"ä": 1, "zz": {}, "é": "\u2028"},
    ],
    ids=["in the order of jsonb", "in another", "exponents", "two bytes a letter"],
)
async def test_documents_come_back_whatever_the_order_of_their_keys(case, document, prepared):
    """P3: the image is the server's print, foreseen or not; and the same again is no change."""
    case.items(4, column="normal jsonb")
    original = case.image("items")
    store, run, applied = await filled(case, lambda row: document, prepared=prepared)
    assert applied.outcome.written == 4
    printed = dict(case.sql("SELECT id, normal::text FROM items"))
    assert kept(case) in (printed, {i: journal.digest(text) for i, text in printed.items()})
    await undone(case, store, run, original, 4)


async def test_the_same_document_again_is_unchanged(case):
    """P1: a no-op is no change, in whatever order its keys are given."""
    case.items(3, column="normal jsonb")
    case.sql("""UPDATE items SET normal = '{"a": 1, "bb": [1, 2]}'""")
    spec = table_spec(missing="true")
    store = await case.store()
    _, applied = await fill(store, spec, lambda row: {"bb": [1, 2], "a": 1})
    assert (applied.outcome.written, applied.outcome.unchanged) == (0, 3)
