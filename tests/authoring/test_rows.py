"""A reply to several rows is taken apart by index; a part that is in doubt answers nobody."""

import json

from pydantic import BaseModel

from proctor.authoring.rows import parts, together
from proctor.model import Finish, Reply, Usage


class Place(BaseModel):
    """A nested model: its schema stands in $defs."""

    town: str


class Song(BaseModel):
    """A contract."""

    mood: str
    place: Place


def reply(text, finish=Finish.STOP):
    return Reply(raw=json.dumps({"text": text}), finish=finish, usage=Usage())


def one(index, mood):
    return f'{{"index": {index}, "reply": {{"mood": "{mood}"}}}}'


def found(text, finish=Finish.STOP):
    """Mood by index."""
    return {i: json.loads(part)["mood"] for i, part in parts(reply(text, finish)).items()}


def test_answers_are_told_apart_by_index_and_not_by_order():
    """However they stand, with whatever around them."""
    text = f'```json\n{{"answers": [{one(2, "c")}, {one(0, "a")},\n {one(1, "b")}]}}\n```'
    assert found(text) == {0: "a", 1: "b", 2: "c"}
    assert found(f"<think>{one(7, 'no')}</think>{text}") == {0: "a", 1: "b", 2: "c"}
    assert found('[{"reply": {"mood": "a"}, "index": 5}]') == {5: "a"}


def test_what_is_broken_in_one_place_has_the_others():
    """Cut off at the end, or spoiled in the middle."""
    whole = f'{{"answers": [{one(0, "a")}, {one(1, "b")}, {one(2, "c")}]}}'
    assert found(whole[:-9], Finish.LENGTH) == {0: "a", 1: "b"}
    assert found(whole.replace('"mood": "b"', '"mood": "b')) == {0: "a", 2: "c"}


def test_an_index_that_stands_there_twice_answers_nobody():
    """A model that miscounts must not give one row another's answer."""
    assert found(f"[{one(0, 'a')}, {one(1, 'b')}, {one(1, 'c')}]") == {0: "a"}
    assert found(f"[{one(0, 'a')}, {one('true', 'b')}, {one('1.0', 'b')}]") == {0: "a"}


def test_a_refusal_and_leaked_reasoning_have_no_parts():
    """Nobody can say what of it is meant."""
    assert found(one(0, "a"), Finish.REFUSED) == {}
    assert found(one(0, "a"), Finish.FILTERED) == {}
    assert found(f"<think>{one(0, 'a')}") == {}


def test_the_request_names_each_row_and_keeps_the_contract_whole():
    """Definitions move to the root, where references look for them."""
    alone = {"system": "Say it.", "schema": Song.model_json_schema(), "schema_name": "Song"}
    body = together(alone, ["x", {"title": "y"}])
    assert json.loads(body["messages"][0]["content"]) == {
        "rows": [{"index": 0, "row": "x"}, {"index": 1, "row": {"title": "y"}}]
    }
    assert body["system"].startswith("Say it.\n\n")
    assert body["schema"]["$defs"].keys() == {"Place"}
    assert "$defs" not in body["schema"]["properties"]["answers"]["items"]["properties"]["reply"]
