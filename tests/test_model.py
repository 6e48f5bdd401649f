"""The nouns: frozen, slotted, keyword-only; books that add up; nothing that leaks by its repr."""

import dataclasses
import pickle

from datetime import UTC, datetime, timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

import proctor.model
import proctor.ports

from proctor.model import (
    ABSENT,
    OUTCOME_FIELDS,
    Absent,
    Bucket,
    Chunk,
    Claim,
    Issue,
    KeyPart,
    Lease,
    Outcome,
    Page,
    Settled,
    Signal,
    Source,
    Span,
    Spec,
    Undone,
)

NOUNS = [
    noun
    for module in (proctor.model, proctor.ports)
    for noun in vars(module).values()
    if isinstance(noun, type) and dataclasses.is_dataclass(noun)
]
counts = st.integers(0, 10**12)
buckets = st.fixed_dictionaries({b.value: counts for b in Bucket})
balanced = buckets.map(lambda found: Outcome(read=sum(found.values()), **found))
undone = st.builds(
    lambda *n: Undone(written=sum(n), restored=n[0], changed=n[1], gone=n[2], blocked=n[3]),
    *[counts] * 4,
)


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_is_frozen_slotted_and_keyword_only(noun):
    """What passes between rooms cannot be changed on the way, nor its parts mixed up."""
    assert noun.__dataclass_params__.frozen
    assert hasattr(noun, "__slots__")
    assert all(f.kw_only for f in dataclasses.fields(noun))


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_says_what_it_is(noun):
    assert noun.__doc__
    assert not noun.__doc__.startswith(f"{noun.__name__}(")


def test_there_is_a_field_for_every_bucket():
    assert ("read", *(b.value for b in Bucket)) == OUTCOME_FIELDS
    assert {f.name for f in dataclasses.fields(Outcome)} == set(OUTCOME_FIELDS)


def test_empty_books_balance():
    assert Outcome().balances
    assert Undone().balances


@given(balanced)
def test_books_that_add_up_balance(books):
    assert books.balances


@given(balanced, st.sampled_from(list(OUTCOME_FIELDS)), st.integers(1, 1000))
def test_one_row_too_many_or_too_few_is_seen(books, name, off):
    """Whichever figure is wrong, and in whichever direction."""
    for wrong in (off, -off):
        broken = dataclasses.replace(books, **{name: getattr(books, name) + wrong})
        assert not broken.balances


@given(balanced, balanced)
def test_books_add_up_field_by_field(one, other):
    total = one + other
    assert total.balances
    assert total.as_dict() == {
        name: getattr(one, name) + getattr(other, name) for name in OUTCOME_FIELDS
    }
    assert total == other + one
    assert one + Outcome() == one


@given(balanced, st.sampled_from(list(Bucket)), counts)
def test_rows_put_into_a_bucket_are_read_too(books, bucket, count):
    grown = books.plus(bucket, count)
    assert grown.balances
    assert getattr(grown, bucket.value) == getattr(books, bucket.value) + count
    assert grown.read == books.read + count


def test_one_row_is_put_into_a_bucket_by_default():
    assert Outcome().plus(Bucket.GONE) == Outcome(read=1, gone=1)


def test_books_are_json_safe_and_in_order():
    assert list(Outcome(read=1, written=1).as_dict()) == list(OUTCOME_FIELDS)
    assert Outcome(**Outcome(read=2, failed=2).as_dict()) == Outcome(read=2, failed=2)


@given(undone, undone)
def test_undone_chunks_add_up(one, other):
    total = one + other
    assert total.balances
    assert total.written == one.written + other.written
    assert total.restored == one.restored + other.restored
    assert (total.changed, total.gone, total.blocked) == (
        one.changed + other.changed,
        one.gone + other.gone,
        one.blocked + other.blocked,
    )


@given(undone, st.sampled_from(["written", "restored", "changed", "gone", "blocked"]))
def test_an_undo_that_loses_a_row_is_seen(books, name):
    broken = dataclasses.replace(books, **{name: getattr(books, name) + 1})
    assert not broken.balances


def test_undone_chunks_keep_what_was_left_and_how_long_it_took():
    one = Undone(left=(Issue(key=(1,), bucket=Bucket.CONFLICTED),), took=timedelta(seconds=1))
    other = Undone(left=(Issue(key=(2,), bucket=Bucket.GONE),), took=timedelta(seconds=2))
    total = one + other
    assert [issue.key for issue in total.left] == [(1,), (2,)]
    assert total.took == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("span", "whole"),
    [
        (Span(), True),
        (Span(start=(1,)), False),
        (Span(stop=(1,)), False),
        (Span(keys=((1,),)), False),
        (Span(limit=5), False),
        (Span(limit=0), False),
    ],
)
def test_a_span_is_whole_if_nothing_was_cut_off(span, whole):
    assert span.whole is whole


def spec(**extra):
    return Spec(
        backfill="normalize",
        version="1.0",
        kind=Source.TABLE,
        source="wardrobe",
        key=(KeyPart(column="id"),),
        fills=("normalized", "doc.size"),
        **extra,
    )


def test_the_target_is_the_source_unless_another_is_named():
    assert spec().target == "wardrobe"
    assert spec(into="outfits").target == "outfits"


def test_the_stamp_is_written_last():
    assert spec().writes == ("normalized", "doc.size")
    assert spec(stamp="normalized_version").writes == (
        "normalized",
        "doc.size",
        "normalized_version",
    )


def test_absent_stays_itself_between_processes():
    """`is ABSENT` must hold for what another process sent."""
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT
    assert Absent("absent") is ABSENT


def test_a_lease_travels_between_processes():
    lease = Lease(
        chunk=Chunk(run="r", number=1, after=None, upto=("z", 9)),
        fence=7,
        worker="w",
        until=datetime(2026, 11, 22, tzinfo=UTC),
    )
    assert pickle.loads(pickle.dumps(lease)) == lease


def test_row_values_stay_out_of_every_repr():
    """A page in a log line or a traceback shows keys and counts, never what the rows hold."""
    page = Page(
        keys=[(1,)],
        rows=[{"id": 1, "email": "ann@example.org"}],
        versions=["ann@example.org"],
        images=[("ann@example.org",)],
    )
    settled = Settled(page=page, index=[0], values=[("ann@example.org",)])
    assert "ann@example.org" not in repr(page) + repr(settled)


def test_a_load_is_the_share_of_the_limit():
    assert Signal(name="lag", value=5.0, limit=10.0).load == 0.5
    assert Signal(name="lag", value=None, limit=10.0).load is None


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "100.0%"), (0.01, "1.0%"), (0.00997, "1.0%"), (0.0101, "1.1%"), (0.00042, "0.05%")],
)
def test_a_claim_never_says_more_than_was_proved(share, said):
    """P8: what is rounded is rounded up."""
    claim = Claim(kind="k", field="f", samples=9, failures=0, share=share, confidence=0.995)
    assert claim.told == f"0 of 9: at most {said} defective, 99.5% sure"
