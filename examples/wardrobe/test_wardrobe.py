"""What normalize_wardrobe promises, over all 3,421 items in memory: run pytest in this folder."""

from proctor.testing import assert_idempotent, assert_only_declared_fields, run_backfill

from backfills import FIELDS, normalize_wardrobe
from seed import ABSENT, COLUMNS, ITEMS, items

ROWS = [
    dict(zip(COLUMNS, (None if value is ABSENT else value for value in row), strict=True))
    for row in items()
]


def test_every_item_ends_in_a_bucket_that_somebody_expects():
    books = run_backfill(normalize_wardrobe, ROWS).outcome
    assert len(ROWS) == ITEMS
    assert (books.written, books.skipped, books.refused, books.failed) == (3_351, 19, 7, 0)


def test_what_is_written_is_clean():
    for fields in run_backfill(normalize_wardrobe, ROWS).written.values():
        made = fields["normalized"]
        assert set(made) == {*FIELDS, "normalized_at", "normalized_version"}
        for field in FIELDS:
            assert all(text and text == text.lower().strip() for text in made[field])


def test_items_that_have_the_field_keep_what_they_have():
    done = run_backfill(normalize_wardrobe, ROWS)
    kept = [row for row in done.rows if row["normalized"] and row["id"] % 83 == 0]
    assert all(row["normalized"]["style"] == ["tried"] for row in kept)
    assert len(kept) == 44


def test_running_again_changes_nothing():
    assert_idempotent(normalize_wardrobe, ROWS[:500])


def test_what_people_typed_stays_as_it_is():
    assert_only_declared_fields(normalize_wardrobe, ROWS[:500])
