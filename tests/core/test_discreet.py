"""P12: sentences of an author's code do not carry the values of sensitive fields."""

import json

from urllib.parse import quote, quote_plus

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.discreet import WITHHELD, discreet

ROW = {"email": "Ada@Example.org", "pin": 7, "doc": {"tel": ["0049 123456"]}, "style": "red"}


@pytest.mark.parametrize(
    "message",
    [
        "bad: Ada@Example.org",
        "bad: 'ada@example.org'",
        "domain example.org is odd",
        "pin 7 is weak",
        "cannot call 0049 123456",
    ],
)
def test_a_message_that_quotes_is_withheld(message):
    """Also when the value was cut, quoted or changed in case."""
    assert discreet(message, ("email", "pin", "doc.tel"), ROW) == WITHHELD


@pytest.mark.parametrize(
    "spelled",
    [
        quote("Жанна Дарк"),
        quote_plus("Жанна Дарк").lower(),
        json.dumps("Жанна Дарк"),
        "".join(f"&#{ord(c)};" for c in "Жанна Дарк"),
        json.dumps("Жанна").upper().replace("U", "u"),
    ],
)
def test_a_value_is_found_as_a_service_spells_it(spelled):
    """Services repeat what they were asked: in an address, in JSON, in a page."""
    row = {"name": "Жанна Дарк", "style": "red"}
    assert discreet(f"404: nothing at /who?name={spelled}", ("name",), row) == WITHHELD


def test_other_messages_stand():
    """Words of the author, and values of other fields, are shown."""
    assert discreet("style red is odd", ("email", "pin", "doc.tel"), ROW) == "style red is odd"
    assert discreet("no address given", ("email", "absent", "doc.absent"), {}) != WITHHELD


def test_a_path_that_cannot_be_followed_hides_all_that_holds_it():
    """A document read as text is searched whole."""
    row = {"doc": '{"tel": "0049 123456"}'}
    assert discreet("cannot call 0049 123456", ("doc.tel",), row) == WITHHELD


@given(st.text(min_size=1).filter(str.strip), st.text(), st.text())
def test_a_value_is_found_wherever_it_stands(value, before, after):
    """Whatever surrounds it."""
    assert discreet(f"{before}{value}{after}", ("x",), {"x": value}) == WITHHELD
