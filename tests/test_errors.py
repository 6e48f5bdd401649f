"""The tree of errors: who must act, what is said, and the trip between processes."""

import copy
import inspect
import pickle

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor import errors
from proctor.errors import (
    AuthorError,
    Busy,
    Denied,
    EngineError,
    HeldError,
    OperatorError,
    ProctorError,
)

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ProctorError)
]
EXIT_CODES = {AuthorError: 2, OperatorError: 2, HeldError: 3, EngineError: 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_the_trip_between_processes(kind, protocol):
    """Kind and all three parts: a slice's error reads in the coordinator as it did there."""
    sent = kind("the key is null", found="3 rows", fix="add NOT NULL")
    got = pickle.loads(pickle.dumps(sent, protocol))
    assert type(got) is kind
    assert (got.what, got.found, got.fix) == (sent.what, sent.found, sent.fix)
    assert str(got) == str(sent)


@given(what=st.text(), found=st.text(), fix=st.text())
def test_any_text_survives(what, found, fix):
    got = pickle.loads(pickle.dumps(Busy(what, found=found, fix=fix)))
    assert (got.what, got.found, got.fix) == (what, found, fix)


def test_an_error_can_be_copied():
    error = Denied("no", found="role app", fix="GRANT SELECT ON shop TO app")
    assert str(copy.deepcopy(error)) == str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_the_exit_code_says_who_must_act(kind):
    """2 wrong use, 3 a person must decide, 1 not clean; never 0."""
    expected = next((code for base, code in EXIT_CODES.items() if issubclass(kind, base)), 1)
    assert kind("x").exit_code == expected
    assert kind("x").exit_code != 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not ProctorError])
def test_every_error_has_exactly_one_who_acts(kind):
    assert sum(issubclass(kind, base) for base in EXIT_CODES) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_stands_in_the_tree_that_is_drawn(kind):
    """The module's drawing is the tree, name and parent."""
    drawn = [line for line in errors.__doc__.splitlines() if kind.__name__ in line.split()]
    if kind is not ProctorError:
        drawn = [line for line in drawn if f"── {kind.__name__}" in line]
        depth = 0 if kind.__bases__ == (ProctorError,) else 1
        assert drawn[0].index("──") == 1 + 4 * depth
    assert len(drawn) == 1


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "the run is held"),
        ({"found": "paused"}, "the run is held; found: paused"),
        ({"fix": "resume it"}, "the run is held; to mend: resume it"),
        (
            {"found": "paused", "fix": "resume it"},
            "the run is held; found: paused; to mend: resume it",
        ),
    ],
)
def test_an_error_reads_as_plain_sentences(parts, text):
    assert str(HeldError("the run is held", **parts)) == text


def test_the_cause_is_kept_but_not_sent():
    """A driver's exception may hold a DSN or row values: it does not travel."""
    error = Busy("try again")
    error.__cause__ = ValueError("postgresql://app:hunter2@db/shop")
    sent = pickle.dumps(error)
    assert b"hunter2" not in sent
    assert pickle.loads(sent).__cause__ is None
