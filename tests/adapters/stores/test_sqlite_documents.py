"""A field inside a JSON document is written and taken out, every other byte as it was."""

import json

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.adapters.stores.sqlite.documents import compact, image_at, put, take_out
from proctor.adapters.stores.sqlite.values import Unstorable
from proctor.model import ABSENT

NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"'), max_size=3)
SCALAR = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
)
VALUE = st.recursive(
    SCALAR, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAME, v, max_size=3)
)
STYLE = st.sampled_from([{}, {"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}])
PATH = st.lists(NAME, min_size=1, max_size=3)


def reach(doc, path):
    for name in path:
        if not isinstance(doc, dict) or name not in doc:
            return ABSENT
        doc = doc[name]
    return doc


@given(st.dictionaries(NAME, VALUE, max_size=4), PATH, VALUE, STYLE)
def test_put_and_take_out_give_back_the_same_document(doc, path, value, style):
    """Whatever its layout; the value is there in between, and the rest is as it was."""
    text = json.dumps(doc, ensure_ascii=False, **style)
    new = json.dumps(value, separators=(",", ":"))
    before = image_at(text, path)
    try:
        changed = put(text, path, new)
    except Unstorable:
        above = [reach(doc, path[:i]) for i in range(1, len(path))]
        assert any(a is not ABSENT and not isinstance(a, dict) for a in above)
        return
    assert image_at(changed, path) == new
    expected = json.loads(text)
    at = expected
    for name in path[:-1]:
        at = at.setdefault(name, {})
    at[path[-1]] = value
    assert json.loads(changed) == expected
    if before is ABSENT:
        assert take_out(changed, path, text) == text
    else:
        assert json.loads(put(changed, path, before)) == doc


def test_every_other_byte_stays():
    """Blanks, number spellings, escapes and the order of names outside the path."""
    text = '{ "b" : 1.50 ,\n "a":"\\u00e9", "x": {"y" : [1, 2 ]} }'
    assert put(text, ["x", "y"], "3") == '{ "b" : 1.50 ,\n "a":"\\u00e9", "x": {"y" : 3} }'
    assert put(text, ["x", "z"], "3") == text.replace("2 ]}", '2 ],"z":3}')
    assert put("{}", ["x"], "1") == '{"x":1}'
    assert put("{ }", ["x", "y"], "1") == '{"x":{"y":1} }'


def test_a_null_column_becomes_a_document_and_null_again():
    """Where nothing else was put into it meanwhile."""
    made = put(None, ["a", "b"], "1")
    assert made == '{"a":{"b":1}}'
    assert take_out(made, ["a", "b"], None) is None
    assert take_out('{"a":{"b":1},"c":2}', ["a", "b"], None) == '{"c":2}'
    assert take_out('{"a":{"b":1,"c":2}}', ["a", "b"], None) == '{"a":{"c":2}}'


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[1]", '"x"', '{"a":1', '{"a":1}x', "{'a':1}", '{"a" 1}', '{"a":1,}']
)
def test_what_is_no_json_object_cannot_be_filled(text):
    """The row fails with a reason; its image says that there is no such path."""
    assert image_at(text, ["a"]) is ABSENT
    with pytest.raises(Unstorable):
        put(text, ["a"], "1")


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '{"a":[1]}', '{"a":null}', '{"a":"x"}'])
def test_a_path_through_something_else_cannot_be_made(text):
    """Nor one that is there twice: nobody could say which of the two is meant."""
    with pytest.raises(Unstorable, match="a"):
        put(text, ["a", "b"], "1")


def test_images_do_not_depend_on_blanks():
    """Another writer may lay our value out anew: it is still ours."""
    assert image_at('{"a": { "b" : [ 1.0, "x y" ] } }', ["a"]) == '{"b":[1.0,"x y"]}'
    assert compact('[ "a \\" b" , 1 ]') == '["a \\" b",1]'
    assert image_at(None, ["a"]) is None
    assert image_at(b"{}", ["a"]) is ABSENT
