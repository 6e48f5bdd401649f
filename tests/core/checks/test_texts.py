"""Ready checks of text: what each catches, and above all what it leaves alone."""

import re

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor import checks
from proctor.core.checks import Given
from proctor.model import Ruling

PASS, FAIL, UNSURE = Ruling.PASS, Ruling.FAIL, Ruling.INCONCLUSIVE


def said(check, value, **row):
    """The ruling and the reason."""
    found = check.judge(value, Given(row=row))
    return found.ruling, found.reason


def ruling(check, value, **row):
    return said(check, value, **row)[0]


@given(st.text(max_size=30), st.integers(0, 10), st.integers(10, 20))
def test_length_counts_characters(text, least, most):
    found = ruling(checks.length("mood", least=least, most=most), text)
    assert (found is PASS) == (least <= len(text) <= most)


def test_of_a_list_or_a_document_every_text_is_judged():
    check = checks.length("style", most=3)
    assert ruling(check, ["red", "tan"]) is PASS
    assert ruling(check, {"main": "red", "rest": ["turquoise"]}) is FAIL
    assert ruling(check, []) is UNSURE
    assert said(check, 7) == (FAIL, "is no text")


def test_a_null_is_nothing_to_judge_and_never_green():
    """P8: no data never passes."""
    for check in (checks.length("m", most=3), checks.refusal("m"), checks.vector("m")):
        assert ruling(check, None) is UNSURE


@pytest.mark.parametrize("nothing", [None, "", "  \n", "\u200b", [], {}, [" "], {"a": ""}])
def test_empty_finds_what_holds_nothing(nothing):
    assert ruling(checks.empty("mood"), nothing) is FAIL


@pytest.mark.parametrize("something", ["a", "0", 0, False, ["a"], {"a": "b"}, [0.5]])
def test_empty_leaves_alone_what_holds_something(something):
    assert ruling(checks.empty("mood"), something) in (PASS, UNSURE)


def test_a_pattern_fits_all_of_it_and_a_forbidden_one_nothing():
    assert ruling(checks.pattern("m", "[a-z]+"), "sad") is PASS
    assert ruling(checks.pattern("m", "[a-z]+"), "sad!") is FAIL
    assert ruling(checks.forbidden("m", r"\bTODO\b"), "TODOS") is PASS
    assert ruling(checks.forbidden("m", r"\bTODO\b"), "a TODO") is FAIL


LEAKS = [
    ("<think>hm</think>sad", "<think>"),
    ("sad</think>", "<think>"),
    ("sad <THINK", "<think>"),
    ("< / reasoning > sad", "<reasoning>"),
    ('<thinking effort="high">', "<thinking>"),
    ("&lt;think&gt; sad", "<think>"),
    ("[THINK] sad", "<think>"),
    ("[answer] sad", None),
    ("sad [/think]", "<think>"),
    ("sad<|im_end|>", "<|…|>"),
    ("sad<|eot", "<|…|>"),
    ("<｜end▁of▁sentence｜>", "<|…|>"),
    ("<th\u0131nk>sad</th\u0131nk>", "<think>"),
    ("<rea\u017fon>sad", "<reason>"),
    ("[INST] mood? [/INST]", "[INST]"),
    ("sad [confidence: 0.8]", "[confidence: …]"),
    ("sad [Confidence", None),
    ("sad\nConfidence: high", "confidence: …"),
    ("Assistant: sad", "assistant:"),
    ("sad\n\nUser: and now?", "assistant:"),
    ("**Assistant:** sad", "assistant:"),
    ("### Response\nsad", "###"),
]


@pytest.mark.parametrize(("text", "told"), LEAKS)
def test_leaked_tags_are_found_closed_or_not(text, told):
    """Told by our own word for them: a reason quotes nothing."""
    expected = (FAIL, f"holds {told}") if told else (PASS, "")
    assert said(checks.leaked_tags("mood"), text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "I think it is sad.",
        "a < b and <thinking of you> by the band",
        "She has the confidence: of a queen? No.",
        "The user: interface of grief.",
        "[Chorus] la la la",
        "<b>sad</b>, <i>slow</i>",
        "He said: think!",
        "x<y, y>z",
        "A [reasonable] song",
        "Film music (score: Hans Zimmer)",
        "My confidence is low.",
    ],
)
def test_leaked_tags_leaves_a_text_alone_that_speaks_of_thinking(text):
    assert ruling(checks.leaked_tags("mood"), text) is PASS


def test_tags_of_the_prompts_own_are_found_when_they_are_named():
    assert ruling(checks.leaked_tags("mood", also="draft"), "<draft> sad") is FAIL
    assert ruling(checks.leaked_tags("mood"), "<draft> sad") is PASS


@given(st.sampled_from(["think", "scratchpad", "answer"]), st.text(), st.text(), st.booleans())
def test_a_tag_is_found_wherever_it_stands(tag, before, after, closing):
    text = f"{before}<{'/' if closing else ''}{tag}>{after}"
    assert ruling(checks.leaked_tags("mood"), text) is FAIL


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, but I can\u2019t assist with that request.",
    "I cannot provide the lyrics of this song due to copyright.",
    "Sorry, I can't do that.",
    "Unfortunately, I am unable to generate content about this topic.",
    "As an AI language model, I do not have feelings.",
    "I am not able to answer that question.",
    "I do not have access to the lyrics.",
    "I won't engage in discussions about this content.",
    "I apologize, but I cannot fulfill this request.",
    "I must decline to provide this information.",
    "I can't determine the mood without the lyrics.",
    "Please provide the lyrics of the song so that I can describe its mood.",
    "\"I'm sorry, but I can't help with that.\"",
    "**I'm sorry**, but I can't help with that.",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Leider kann ich diese Anfrage nicht beantworten.",
    "Als KI habe ich keine Gefühle.",
    "Désolé, je ne peux pas répondre à cette demande.",
    "En tant qu'IA, je ne peux pas donner d'avis.",
    "Lo siento, pero no puedo ayudar con eso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Desculpe, não posso ajudar com isso.",
    "Het spijt me, daar kan ik niet bij helpen.",
    "Przepraszam, ale nie mogę pomóc.",
    "Извините, я не могу помочь с этим.",
    "На жаль, я не можу допомогти.",
    "抱歉，我无法提供该内容。",
    "申し訳ありませんが、その内容にはお答えできません。",
    "죄송합니다. 그 요청은 도와드릴 수 없습니다.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_that_was_stored_as_an_answer_is_found(text):
    assert said(checks.refusal("mood"), text) == (FAIL, "is a refusal")


MENTIONS = [
    "I can't help falling in love with you is a tender vow.",
    "Sorry seems to be the hardest word.",
    "The narrator apologises: he cannot help her any more.",
    "He says \"I'm sorry, but I can't help with that\" and hangs up.",
    "\"I'm sorry, I can't help with that,\" says the clerk, and the song begins.",
    "I'm sorry for the things I said when it was raining.",
    "I cannot live without you.",
    "I won't back down.",
    "I can't describe how I feel about you.",
    "I can't see you anymore through all this smoke.",
    "I'm not able to sleep.",
    "I could not find my way home.",
    "Unfortunately she left, and he sings of regret.",
    "An AI refuses to answer; the lyrics mock it.",
    "As an airplane leaves, she waves.",
    "I can't give you anything but love.",
    "I can't find the words to say goodbye.",
    "Please give me some more time, she begs.",
    "We can't go on together with suspicious minds.",
    "Es tut mir leid, dass du gehst.",
    "Leider weint sie.",
    "Je ne peux pas vivre sans toi.",
    "Lo siento mucho, mi amor.",
    "No puedo vivir sin ti.",
    "Извините, что я люблю вас.",
    "对不起，我爱你。",
    "",
]


@pytest.mark.parametrize("text", MENTIONS)
def test_a_text_that_only_speaks_of_a_refusal_is_left_alone(text):
    assert ruling(checks.refusal("mood"), text) is PASS


def test_a_long_answer_behind_a_refusal_is_an_answer():
    head = "I cannot provide the full lyrics, but here is what this song is about. "
    assert ruling(checks.refusal("mood"), head) is FAIL
    assert ruling(checks.refusal("mood"), head + "It is slow and sad. " * 20) is PASS


WHOLE = [
    "It is sad.", "Is it?", 'He says "no."', "He says (so she says).", "It ends…", "It ends...",
    "It is **sad.**", "Love it! 😊", "Love it 😊", "It lives in the U.S.", "Rain, wind, etc.",
    "雨の歌です。", "它很悲伤。", "यह दुखद है।", "هل هي حزينة؟", "یہ اداس ہے۔", "Տխուր է։",
    "Il dit « non. »", "«Нет.»", "He said no.”", "彼は「いいえ。」", "I'm sad :( but fine.",
    "One.\n\nTwo.", "a) slow. b) sad.", "Plan B. It works.",
]  # fmt: skip


@pytest.mark.parametrize("text", WHOLE)
def test_a_text_that_ends_where_a_sentence_ends_is_whole(text):
    assert ruling(checks.cut_off("mood"), text) is PASS, said(checks.cut_off("mood"), text)


CUT = [
    "It is about a man who", "It is about rain,", "It has three parts:", "Sung by Mr.",
    "with colours, e.g.", "z. B.", "He says “no and leaves.", "It (the song is sad.", "雨の歌で",
    "它很", "The song is -", "It is *very", "First:\n```\ncode.", "Die Stimmung ist, d. h.",
]  # fmt: skip


@pytest.mark.parametrize("text", CUT)
def test_a_text_that_ends_in_the_middle_of_a_sentence_is_cut_off(text):
    assert ruling(checks.cut_off("mood"), text) is FAIL


@pytest.mark.parametrize("text", ["เพลงเศร้า", "…", ""])
def test_where_nobody_can_tell_a_cut_off_is_inconclusive(text):
    assert ruling(checks.cut_off("mood"), text) is UNSURE


@given(st.lists(st.sampled_from(["a", "man", "who", "sings", "of", "rain"]), min_size=2))
def test_a_sentence_without_its_end_is_cut_off(words):
    text = " ".join(words)
    assert ruling(checks.cut_off("mood"), text) is FAIL
    assert ruling(checks.cut_off("mood"), f"{text}.") is PASS


@pytest.mark.parametrize(
    "text",
    ["It is sad", "It is sad.", "Mr. Smith sings.", "It lives in the U.S. with J. Cash.",
     "Wait... what?", "“No!” she says.", "雨の歌です。", "It costs 3.50 a day."],
)  # fmt: skip
def test_one_sentence_is_one(text):
    assert ruling(checks.one_sentence("mood"), text) is PASS


@pytest.mark.parametrize(
    "text", ["", "...", "It is sad. It is slow.", "Sad\nslow", "雨です。歌です。", "No! She left."]
)
def test_none_or_several_sentences_are_not_one(text):
    assert ruling(checks.one_sentence("mood"), text) is FAIL


@pytest.mark.parametrize("text", ["- sad", "* sad\n* slow", "1. sad\n2. slow", "a) sad\nb) slow"])
def test_a_list_is_no_prose(text):
    assert ruling(checks.no_list("mood"), text) is FAIL


@pytest.mark.parametrize("text", ["sad - slow", "3. Symphony", "– Hello, she says.", "-1 degree"])
def test_prose_with_dashes_and_numbers_is_no_list(text):
    assert ruling(checks.no_list("mood"), text) is PASS


LYRICS = "when the rain comes down on lisbon town I walk the empty streets alone again tonight"


def test_an_echo_of_a_column_or_of_the_prompt_is_found():
    check = checks.echo("mood", of="lyrics", prompt="Describe the mood of the song in a few words")
    assert said(check, LYRICS.upper(), lyrics=LYRICS) == (FAIL, "repeats lyrics")
    part = "rain comes down on Lisbon town, I walk the empty streets"
    assert said(check, f"So: {part}", lyrics=LYRICS)[0] is FAIL
    assert "the prompt" in said(check, "describe the mood of the song in words", lyrics="x")[1]


def test_an_answer_in_the_words_of_its_subject_is_no_echo():
    check = checks.echo("mood", of=("title", "lyrics"))
    row = {"title": "Rain on Lisbon", "lyrics": LYRICS}
    assert ruling(check, "Rain on Lisbon is a lonely walk through empty streets", **row) is PASS
    assert ruling(check, "rain in lisbon", **row) is PASS
    assert ruling(check, "Rain on Lisbon!", **row) is FAIL
    assert ruling(check, "lonely", title=None, lyrics=None) is UNSURE


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=5), min_size=5, max_size=40))
def test_whatever_is_repeated_whole_is_an_echo(source):
    text = " ".join(source)
    assert ruling(checks.echo("mood", of="lyrics"), f"{text}.", lyrics=text) is FAIL


def test_an_echo_in_a_script_without_spaces_is_found():
    said_ = "雨が降るリスボンの街を一人で歩く"
    assert ruling(checks.echo("mood", of="lyrics"), said_, lyrics=f"昨日{said_}歌") is FAIL
    assert ruling(checks.echo("mood", of="lyrics"), "寂しい", lyrics=said_) is PASS


@given(st.text(max_size=200))
def test_no_check_breaks_on_any_text(text):
    """Whatever a model says, a check has an opinion, or none; it quotes nothing of it."""
    every = [
        checks.length("m", most=100), checks.pattern("m", "a*"), checks.forbidden("m", "b"),
        checks.empty("m"), checks.one_sentence("m"), checks.no_list("m"), checks.leaked_tags("m"),
        checks.refusal("m"), checks.cut_off("m"), checks.echo("m", of="t"), checks.vector("m"),
    ]  # fmt: skip
    for check in every:
        found, reason = said(check, text, t=text)
        assert found in Ruling
        assert (reason == "") == (found is PASS)
        assert not [w for w in re.findall(r"\w{30,}", text) if w in reason]


def test_hostile_texts_are_judged_in_time():
    """No expression of ours goes back and forth over a long text."""
    stops = ("." * 50_000 + "x", "! " * 30_000 + "A", "我。" * 100_000)
    texts = ("<" * 50_000, "i'm " * 20_000, "a. " * 20_000, "(" * 50_000, " " * 50_000 + "x")
    for text in (*texts, *stops):
        for check in (checks.leaked_tags("m"), checks.refusal("m"), checks.cut_off("m")):
            check.judge(text, Given(row={}))
        checks.one_sentence("m").judge(text, Given(row={}))
