"""The undo blob gives back exactly what was put in, and is small."""

import json
import zlib

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.adapters.stores.journal import Undo, digest, pack, subset, unpack
from proctor.errors import TargetError
from proctor.model import ABSENT

TEXT = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates and NUL too
MARKS = st.text("\x1d\x1e\x1f", min_size=1, max_size=3)  # which the blob uses itself
IMAGE = st.none() | st.just(ABSENT) | TEXT | MARKS
KEY_PART = st.integers(-(2**63), 2**63 - 1) | TEXT


@st.composite
def undos(draw):
    rows = draw(st.integers(0, 6))
    fields = draw(st.integers(1, 3))
    parts = draw(st.integers(1, 3))

    def column(strategy, size=rows):
        return draw(st.lists(strategy, min_size=size, max_size=size))

    inserted = sorted(draw(st.sets(st.integers(0, rows - 1)))) if rows else []
    return Undo(
        fields=tuple(f"f{i}" for i in range(fields)),
        keys=list(zip(*(column(KEY_PART) for _ in range(parts)), strict=True)),
        before=[column(IMAGE) for _ in range(fields)],
        after=[column(IMAGE) for _ in range(fields)],
        inserted=inserted,
        columns=("a", "b") if inserted else (),
        whole=[column(IMAGE, len(inserted)) for _ in "ab"] if inserted else [],
    )


def lists(undo):
    return [
        undo.fields,
        list(undo.keys),
        *map(list, undo.before),
        *map(list, undo.after),
        list(undo.inserted),
        undo.columns,
        *map(list, undo.whole),
    ]


@given(undos())
def test_a_blob_unpacks_to_what_was_packed(undo):
    """Null, absent, empty, NUL, lone surrogates, every key: nothing is mixed up or lost."""
    assert lists(unpack(pack(undo))) == lists(undo)


def test_a_blob_of_the_first_version_is_still_read():
    """Undo data outlives the Proctor that wrote it."""
    body = {
        "fields": ["x"],
        "rows": 2,
        "keys": [["+", 4, 3]],
        "before": [None],
        "after": [["a", "b"]],
    }
    old = unpack(b"PU\x01" + zlib.compress(json.dumps(body).encode()))
    assert lists(old) == [("x",), [(4,), (7,)], [None, None], ["a", "b"], [], ()]


@given(undos(), st.data())
def test_a_subset_keeps_the_rows_asked_for(undo, data):
    """Undoing a part of a chunk leaves a journal of exactly the rest."""
    rows = range(len(undo.keys))
    keep = sorted(data.draw(st.sets(st.sampled_from(rows)))) if undo.keys else []
    part = subset(undo, keep)
    assert list(part.keys) == [undo.keys[i] for i in keep]
    assert [list(c) for c in part.after] == [[c[i] for i in keep] for c in undo.after]
    assert [part.keys[i] for i in part.inserted] == [
        undo.keys[i] for i in undo.inserted if i in keep
    ]
    old = dict(zip(undo.inserted, zip(*undo.whole, strict=True), strict=True))
    new = dict(zip(part.inserted, zip(*part.whole, strict=True), strict=True))
    assert {part.keys[i]: v for i, v in new.items()} == {
        undo.keys[i]: v for i, v in old.items() if i in keep
    }


def test_a_chunk_of_first_fills_costs_next_to_nothing():
    """Rising keys and null before-images press to a few bytes for a thousand rows."""
    rows = 1000
    undo = Undo(
        fields=("x",),
        keys=[(i,) for i in range(5_000, 5_000 + rows)],
        before=[[None] * rows],
        after=[["wool"] * rows],
    )
    assert len(pack(undo)) < 200


def test_a_newer_version_is_refused_by_name():
    """A blob of a newer Proctor is never misread."""
    blob = bytearray(pack(Undo(fields=("x",), keys=[], before=[[]], after=[[]])))
    blob[2] = 99
    with pytest.raises(TargetError, match="version 99"):
        unpack(bytes(blob))
    with pytest.raises(TargetError, match="damaged"):
        unpack(b"nonsense")


def test_a_long_after_image_becomes_sixteen_bytes_of_digest():
    """Short images, null and absent stay; long ones become a fixed short text."""
    assert digest(None) is None
    assert digest(ABSENT) is ABSENT
    assert digest("é" * 16) == "é" * 16
    assert digest("é" * 17) == digest("é" * 17) != digest("é" * 18)
    assert len(str(digest("x" * 33))) == 33
