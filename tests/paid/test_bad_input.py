"""What is wrong from the start: one clear error, nothing written, nothing paid."""

import pytest

SYNCHRONOUS = """def about(song, ctx):
    said = ctx.llm("What?")
    return {"emotions": str(said), "confidence": "low"}"""


@pytest.fixture
def refused(songs):
    """The end of a run that must not have come to anything."""

    def run(code=2):
        ended = songs.run()
        assert ended.code == code, ended.said
        assert set(songs.rows().values()) == {(None, None)}
        assert songs.books.calls == 0
        assert ended.json["error"]["fix"] or ended.json["error"]["found"]
        assert "Traceback" not in ended.said
        return ended

    return run


def test_a_missing_key_is_named(songs, refused, monkeypatch):
    """By its variable."""
    monkeypatch.delenv("LOCAL_KEY")
    assert "needs the environment variable LOCAL_KEY" in refused().said


def test_a_missing_key_of_a_provider_that_is_not_asked_harms_nobody(songs):
    """Keys are looked for where they are used."""
    other = '[providers.other]\nmodel = "openai:gpt-5"\nkey_env = "NOT_SET"\n'
    songs.configure(others=other)
    songs.says(
        "said = await ctx.llm(f\"What does {song['title']} feel like?\", output=Song,\n"
        '    provider="writer")\nreturn said.model_dump()'
    )
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()


def test_a_wrong_key_is_told_and_not_shown(songs, refused, monkeypatch):
    """401."""
    monkeypatch.setenv("LOCAL_KEY", "sk-wrong-8dZ72hQ")
    said = refused().said
    assert "does not take the key" in said
    assert "sk-wrong-8dZ72hQ" not in said


def test_an_unknown_model_is_named(songs, refused):
    """404."""
    songs.configure(model='"openai:gpt-55"')
    assert "knows no model gpt-55" in refused().said


def test_an_unknown_price_stops_the_run(songs, refused):
    """It is never 0, with or without a budget."""
    songs.configure(model='"openai:our-own-7b"', price=None)
    said = refused().said
    assert "the price of openai:our-own-7b is not known" in said
    assert "price = { input" in said


@pytest.mark.parametrize("wrong", [{"budget_usd": 0}, {"max_tokens": 0}, {"rpm": 0}])
def test_a_limit_that_lets_nothing_through_is_refused_at_once(songs, wrong):
    """proctor.toml, by line and key."""
    songs.configure(**wrong)
    ended = songs.run()
    assert ended.code == 2
    (name,) = wrong
    assert f"providers.writer.{name}" in ended.said
    assert songs.books.calls == 0


def test_a_cap_of_nothing_in_the_function_is_the_authors_error(songs, refused):
    """Not silently another cap."""
    songs.says('await ctx.llm("What?", max_tokens=0)\nreturn {}')
    assert "max_tokens=0" in refused().said


def test_an_output_that_is_no_model_is_the_authors_error(songs, refused):
    """It says what it got."""
    songs.says('await ctx.llm("What?", output=dict)\nreturn {}')
    assert "pydantic model" in refused().said


def test_a_budget_below_one_call_pauses_before_the_first(songs):
    """Exit 3: a person must decide; nothing is asked."""
    songs.configure(budget_usd='"0.0000001"')
    ended = songs.run()
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert "the call may cost $0.0" in ended.json["reason"]
    assert songs.books.calls == 0


def test_an_address_where_nobody_answers_is_one_error_within_seconds(songs, refused):
    """Not one for each row; the address is named."""
    songs.configure(base_url='"http://127.0.0.1:1/v1"')
    said = refused().said
    assert "does not answer" in said
    assert "http://127.0.0.1:1/v1" in said


def test_a_function_that_asks_without_a_provider_is_told(songs, refused):
    """No [providers] at all."""
    (songs.root / "proctor.toml").write_text(
        'backfills = ["backfills"]\n[env.local]\nstore = "sqlite:///shop.db"\n'
    )
    assert "ctx.llm needs a provider" in refused().said


def test_a_provider_that_does_not_exist_is_named(songs, refused):
    """With those that do."""
    songs.says('await ctx.llm("What?", provider="reader")\nreturn {}')
    said = refused().said
    assert "there is no provider named reader" in said
    assert "in proctor.toml: writer" in said


def test_two_providers_and_no_name_is_told(songs, refused):
    """Nobody guesses which is meant."""
    songs.configure(others='[providers.other]\nmodel = "openai:gpt-5"\n')
    assert "no provider was named" in refused().said
    songs.says('await ctx.embed(["What?"])\nreturn {}')
    said = refused().said
    assert 'write ctx.embed(…, provider="NAME")' in said


def test_a_function_that_cannot_wait_may_not_ask(songs, refused):
    """A synchronous one would get a coroutine and write its name into the row."""
    text = (songs.root / "backfills.py").read_text()
    head, _, _ = text.partition("async def about")
    (songs.root / "backfills.py").write_text(head + SYNCHRONOUS + "\n")
    said = refused().said
    assert "must be asynchronous" in said
    assert "async def" in said


def test_a_prompt_that_is_no_text_fails_its_row(songs):
    """A NULL title, handed over as it is."""
    songs.sql("UPDATE songs SET title = NULL WHERE id = 3")
    songs.says('said = await ctx.llm(song["title"], output=Song)\nreturn said.model_dump()')
    ended = songs.run()
    assert ended.json["buckets"] | {"written": 39, "failed": 1} == ended.json["buckets"], ended.said
    assert "NoneType" in songs.proctor("failures", ended.json["id"]).said
    assert songs.books.calls == 39
