"""Free repairs change no word: what cannot be mended so is a bad reply, never data."""

import json

import pytest

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from proctor.authoring.replies import (
    CutOff,
    Declined,
    Leaked,
    Misfit,
    fitting,
    parsed,
    whole,
)
from proctor.model import Finish, Reply, Usage


class Song(BaseModel):
    """A contract."""

    mood: str
    score: int = 0


def reply(text, finish=Finish.STOP):
    return Reply(raw=json.dumps({"text": text}), finish=finish, usage=Usage(output_tokens=9))


GOOD = '{"mood": "sad, they say", "score": 2}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Here it is:\n```\n{GOOD}\n```\nIs there more?",
        f"Certainly! {GOOD} I hope that helps.",
        f"<think>A {{song}} of the sea.</think>\n{GOOD}",
        f"<think>One.</think><thinking>Two.</thinking> {GOOD}",
        f"The user wants JSON.\n</think>\n{GOOD}",
        '{"mood": "sad, they say", "score": 2,}',
        "{'mood': 'sad, they say', 'score': 2}",
        '{"mood": "sad, they say" "score": 2}',
        '{mood: "sad, they say", score: 2}',
        '```json\n{"mood": "sad, they say", "score": 2,}\n```',
    ],
)
def test_what_stands_around_json_and_its_punctuation_are_mended_for_nothing(text):
    """Fences, prose, reasoning, commas, quotes."""
    assert parsed(whole(reply(text)), Song) == Song(mood="sad, they say", score=2)


@pytest.mark.parametrize(
    "text",
    [
        '{"mood": "sad, they s',  # cut off, and the vendor says that it is whole
        '{"mood": "sad, they say", "score": 2',
        '{"mood": "sad, they say", "sco',
        '{"mood": "sad", "score": 2} {"mood": "glad", "score": 3}',
        '{"mood": "sad, they say", "score": two}',
        '{"mood": sad, "score": /* guessed */ 2}',
        "I would say that it is sad.",
        "[]",
        '{"score": 2}',
    ],
)
def test_what_would_have_to_be_made_up_is_no_answer(text):
    """A word is never added, dropped or finished."""
    with pytest.raises(Misfit, match="does not fit Song"):
        parsed(whole(reply(text)), Song)


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1), st.integers(1, 12))
@example({"}": "}"}, 2)
@example({"a": '"}}'}, 1)
def test_json_that_was_cut_off_anywhere_is_never_taken_for_whole(content, left_out):
    """Whatever it holds."""

    class Held(BaseModel):
        held: dict[str, str]

    text = json.dumps({"held": content}, ensure_ascii=False)
    cut = text[: max(1, len(text) - left_out)]
    try:
        got = parsed(cut, Held)
    except Misfit:
        return
    assert got.held == content


@pytest.mark.parametrize(
    "text",
    [
        "<think>The user wants a song. It is sad.",
        f"<think>The user wants JSON: {GOOD}",
        "It is sad. <think>Or is it?",
        "<thinking>One.</thinking> <think>Two. It is sad.",
    ],
)
def test_reasoning_whose_end_nobody_knows_is_never_data(text):
    """An unclosed tag is a bad reply, of a text and of JSON."""
    with pytest.raises(Leaked, match="a tag that is open"):
        whole(reply(text))


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("<think>Hm.</think>It is sad.", "It is sad."),
        ("<THINK>\nHm.\n</THINK>\n\nIt is sad.", "It is sad."),
        ("Hm.</think>It is sad.", "It is sad."),
        ("It is sad: 1 < 2 > 0.", "It is sad: 1 < 2 > 0."),
    ],
)
def test_reasoning_in_front_of_a_text_is_taken_off(text, spoken):
    """And nothing else."""
    assert whole(reply(text)) == spoken


def test_a_tag_inside_json_is_somebodys_text():
    """Checks may refuse it; the contract holds."""
    text = json.dumps({"mood": "<think> is a tag, and </think> another"})
    assert parsed(whole(reply(text)), Song).mood.startswith("<think>")


def test_each_kind_of_no_answer_is_an_error_of_its_own():
    """Rows are counted by it."""
    with pytest.raises(CutOff, match="cut off after 9 tokens"):
        whole(reply("It is", Finish.LENGTH))
    with pytest.raises(Declined, match="the model refused"):
        whole(reply("", Finish.REFUSED))
    with pytest.raises(Declined, match="content filter"):
        whole(reply("", Finish.FILTERED))
    with pytest.raises(Misfit, match="empty"):
        whole(reply(" \n"))


@pytest.mark.parametrize(
    "text",
    [
        "I cannot name 20 verifiable books of that month.",
        "I'm sorry, but I can't help with that.",
        "Unfortunately, I'm unable to verify twenty books published in 2019-03.",
        "Es tut mir leid, das kann ich nicht beantworten.",
    ],
)
def test_who_says_no_in_prose_has_declined(text):
    """It is an answer, and not asked to be mended."""
    with pytest.raises(Declined, match="in prose"):
        fitting(reply(text), Song)


@pytest.mark.parametrize(
    "text",
    [
        "I would say that it is sad.",
        "I can't stop loving you is a happy song.",
        'I cannot name it better than {"mood": 7}',
        "I cannot name 20 books, " + "but here are those that I know, " * 20,
    ],
)
def test_other_prose_is_a_reply_that_does_not_fit(text):
    """It may be mended: there is an answer in it, or might be."""
    with pytest.raises(Misfit):
        fitting(reply(text), Song)


def test_what_fits_is_data_whatever_it_says():
    """A mood may be a refusal: that is for the checks."""
    assert fitting(reply('{"mood": "I cannot name it."}'), Song).mood == "I cannot name it."
