"""Texts that are too long are cut where they fit, between words, and always at the same place."""

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.lengths import fits, pieces, seems


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_pieces_put_together_are_the_text(text, most):
    """Nothing is lost, nothing is there twice, nothing is empty."""
    found = pieces(text, most)
    assert "".join(found) == text
    assert all(found)


@given(st.text(min_size=1), st.integers(min_value=2, max_value=40))
def test_every_piece_fits(text, most):
    """A character weighs at most two tokens, so two always hold one."""
    assert all(fits(piece, most) for piece in pieces(text, most))


def test_a_text_that_fits_is_one_piece():
    assert pieces("a sea at night", 10) == ["a sea at night"]


def test_a_cut_is_between_words_where_one_ends_near_there():
    text = "the harbour lies quiet under the winter moon " * 20
    assert all(piece.endswith(" ") for piece in pieces(text, 50)[:-1])


def test_a_word_without_end_is_cut_in_its_middle():
    assert [len(piece) for piece in pieces("x" * 100, 10)] == [30, 30, 30, 10]


def test_other_scripts_weigh_more_than_latin():
    """Of Chinese a character is more than a token, of English a third of one."""
    assert len(pieces("海" * 100, 24)[0]) == 20
    assert len(pieces("a" * 100, 24)[0]) == 72


def test_what_seems_too_long_is_judged_by_what_is_usual():
    """Four bytes a token: English of 400 letters seems to have a hundred tokens."""
    assert seems("a" * 400) == 100
    assert not fits("a" * 400, 100)
