"""Refusals and cut-offs follow the author's policy, and other providers are asked in turn."""

from decimal import Decimal

import pytest

from proctor.testing.vendor import Fault, Flaw, Served

OTHER = "gpt-5-nano"
PRICE = "{ input = 0.25, output = 2.0 }"
SEVEN = "does song 7 "
CALL = """said = await ctx.llm(f"What does {{song['title']}} feel like?", output=Song{})
return {{"emotions": said.emotions, "confidence": said.confidence}}"""
INSTEAD = 'Instead(Song(emotions="none", confidence="low"))'


def says(songs, words, **more):
    songs.says(CALL.format(words), more="from proctor import Instead", **more)


def script(songs, flaw, match=SEVEN, times=1, model="gpt-5-mini"):
    songs.vendor.script(Fault(flaw=flaw, match=match, times=times, model=model))


@pytest.fixture
def pair(songs):
    """The songs with a second provider that is the first one's fallback."""
    songs.vendor.serve(Served(name=OTHER, input_usd=Decimal("0.25"), output_usd=Decimal(2)))
    songs.configure(
        others=f'[providers.other]\nmodel = "openai:{OTHER}"\nmax_tokens = 200\n'
        f'base_url = "{songs.vendor.openai_url}"\nkey_env = "LOCAL_KEY"\nprice = {PRICE}\n',
        fallback='["other"]',
    )
    return songs


def questions(songs, ended):
    """What the report counts of them."""
    return songs.proctor("report", ended.json["id"], "--format", "json").json["questions"]


def others(songs):
    return songs.vendor.books()[OTHER]


@pytest.mark.parametrize("flaw", [Flaw.REFUSAL, Flaw.FILTERED])
def test_a_refused_question_goes_to_the_fallback_where_the_author_says_so(pair, flaw):
    """One call of the other provider, and the row is right."""
    says(pair, ', on_refusal="fallback"')
    script(pair, flaw)
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert not pair.wrong()
    assert (pair.books.calls, others(pair).calls) == (40, 1)


def test_a_refusal_is_counted_as_refused_unless_the_author_says_otherwise(pair):
    """A fallback provider alone does not make a no a yes."""
    script(pair, Flaw.REFUSAL)
    ended = pair.run()
    assert ended.json["buckets"] | {"written": 39, "refused": 1} == ended.json["buckets"]
    assert others(pair).calls == 0


def test_when_everybody_refuses_the_row_is_refused(pair):
    """The first one's word stands."""
    says(pair, ', on_refusal="fallback"')
    script(pair, Flaw.REFUSAL)
    script(pair, Flaw.FILTERED, model=OTHER)
    ended = pair.run()
    assert ended.json["buckets"]["refused"] == 1, ended.said
    assert "the model refused" in pair.proctor("failures", ended.json["id"], "--json").out


@pytest.mark.parametrize(
    ("flaw", "policy"), [(Flaw.REFUSAL, "on_refusal"), (Flaw.CUT_OFF, "on_cut_off")]
)
def test_a_value_of_the_authors_stands_in(songs, flaw, policy):
    """A template for what cannot be had; nothing else is paid."""
    says(songs, f", {policy}={INSTEAD}")
    script(songs, flaw)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert songs.rows()["song 7"] == ("none", "low")
    assert songs.books.calls == 40
    said = "a value of the function's own stood in for writer"
    assert questions(songs, ended) == {said: 1}


def test_a_cut_off_may_count_as_refused(songs):
    """No failure, no repair."""
    says(songs, ', on_cut_off="refuse"')
    script(songs, Flaw.CUT_OFF)
    ended = songs.run()
    assert ended.json["buckets"]["refused"] == 1, ended.said
    assert "cut off at max_tokens" in songs.proctor("failures", ended.json["id"], "--json").out
    assert songs.books.calls == 40


def test_a_policy_that_there_is_not_is_an_error_of_the_author(songs):
    """It stops the run before anything is asked."""
    says(songs, ', on_refusal="ignore"')
    ended = songs.run()
    assert ended.code == 2, ended.said
    assert '"refuse", "fallback" or Instead(value)' in ended.said
    assert songs.books.calls == 0


def test_what_cannot_be_repaired_is_asked_of_the_fallback(pair):
    """Free repair, paid repair, fallback, in this order."""
    script(pair, Flaw.WRONG_SHAPE)
    script(pair, Flaw.WRONG_SHAPE, match="That cannot be used")
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert not pair.wrong()
    assert (pair.books.calls, others(pair).calls) == (41, 1)
    assert questions(pair, ended) == {"answered by the fallback provider other": 1}
    shown = pair.proctor("report", ended.json["id"]).said
    assert "answered by the fallback provider other | 1 |" in shown


def test_while_a_provider_is_down_its_fallback_answers(pair):
    """The run goes on; by the vendor's books the first answered none, the other all."""
    script(pair, Flaw.UNAVAILABLE, match="", times=-1)
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert not pair.wrong()
    assert (pair.books.calls, others(pair).calls) == (0, 40)
    # Each row would else wait for three tries: only those at once in the beginning do.
    assert pair.books.failed <= 3 * 16


def test_a_provider_that_is_down_does_not_hold_up_the_rows_of_another(pair):
    """Rows that ask the other by name are written while the first one's wait or fall back."""
    pair.says(
        "name = 'writer' if song['id'] % 2 else 'other'\n"
        + CALL.format(", provider=name").replace("{{", "{").replace("}}", "}")
    )
    script(pair, Flaw.UNAVAILABLE, match="", times=-1)
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert not pair.wrong()
    assert others(pair).calls == 40


def test_a_key_that_is_refused_leads_to_the_fallback(pair, monkeypatch):
    """Each provider has a key of its own."""
    text = (pair.root / "proctor.toml").read_text()
    head, _, tail = text.partition("[providers.writer]")
    tail = tail.replace('key_env = "LOCAL_KEY"', 'key_env = "STALE_KEY"')
    (pair.root / "proctor.toml").write_text(f"{head}[providers.writer]{tail}")
    monkeypatch.setenv("STALE_KEY", "sk-stale-0123456789")
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert not pair.wrong()
    assert others(pair).calls == 40


def test_money_that_is_gone_leads_to_the_fallback(pair):
    """At the vendor, and by our own budget, which is not overrun."""
    script(pair, Flaw.OUT_OF_QUOTA, match="", times=-1)
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert not pair.wrong()
    assert others(pair).calls == 40


def test_a_budget_that_is_used_up_leads_to_the_fallback(pair):
    """P6: and no provider's own budget is overrun."""
    text = (pair.root / "proctor.toml").read_text()
    (pair.root / "proctor.toml").write_text(f'{text}budget_usd = "0.002"\n')
    ended = pair.run()
    assert ended.code == 0, ended.said
    assert not pair.wrong()
    assert Decimal(0) < pair.books.usd <= Decimal("0.002")
    assert pair.books.calls + others(pair).calls == 40


def test_when_all_are_out_the_first_ones_error_is_raised(pair):
    """Nothing is failed; a resume goes on."""
    script(pair, Flaw.UNAVAILABLE, match="", times=-1)
    script(pair, Flaw.OUT_OF_QUOTA, match="", times=-1, model=OTHER)
    ended = pair.run()
    assert ended.code == 2, ended.said
    assert "the provider writer cannot answer now" in ended.said
    assert set(pair.rows().values()) == {(None, None)}
