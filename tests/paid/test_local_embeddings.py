"""Vectors of a model that runs in this process: real ones, without key, money or network."""

import json
import logging
import math

import pytest

from proctor.adapters.providers import open_local
from proctor.errors import ConfigError
from proctor.model import ProviderSettings

EMBED = """
import json
from proctor import backfill, table

@backfill(
    table("songs", key="id", columns=("id", "title")),
    fills=("emotions", "confidence"), version="1", concurrency=16,
)
async def about(song, ctx):
    (vector,) = await ctx.embed(song["title"])
    return {"emotions": json.dumps(vector), "confidence": str(len(vector))}
"""
ALONE = dict.fromkeys(("base_url", "max_tokens", "concurrency", "key_env", "price"))


def settings(**said):
    """A provider that runs here."""
    told = {"name": "embedder", "vendor": "local", "model": "wordllama", **said}
    return ProviderSettings(**told)


@pytest.fixture
async def opened():
    """Open a local model."""
    providers = []

    def opened(**said):
        providers.append(open_local(settings(**said)))
        return providers[-1]

    yield opened
    for provider in providers:
        await provider.aclose()


@pytest.fixture
def local(songs):
    """Songs whose function asks the model that comes with its weights."""
    songs.write(EMBED)
    songs.configure(model='"local:wordllama"', **ALONE)
    return songs


def alike(one, other):
    """How alike two vectors of length one are."""
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


async def test_texts_that_mean_the_same_are_closer_than_others(opened):
    """A real model: a cat is nearer to a kitten than to a database."""
    cat, kitten, database = await opened().encode(["cat", "kitten", "database"])
    assert alike(cat, kitten) > alike(cat, database) + 0.2
    assert math.hypot(*cat) == pytest.approx(1, abs=1e-6)
    assert len(cat) == 256


async def test_a_vector_depends_on_its_text_alone(opened):
    """P2: not on the texts that travel with it, their lengths or their order."""
    texts = [f"wave {n} " * (1 + n * n % 90) for n in range(150)] + ["tide " * 2000]
    model = opened()
    together = await model.encode(texts)
    assert together == [(await model.encode([text]))[0] for text in texts]
    assert together[::-1] == await model.encode(texts[::-1])


async def test_fewer_dimensions_are_the_beginning_made_as_long_again(opened):
    """Models that are trained for it are cut: 128 of 256."""
    ((whole,), (half,)) = [
        await opened(dimensions=n).encode(["the sea at night"]) for n in (256, 128)
    ]
    length = math.hypot(*whole[:128])
    assert half == pytest.approx([number / length for number in whole[:128]], abs=1e-6)


async def test_dimensions_that_it_cannot_have_are_told(opened):
    with pytest.raises(ConfigError) as told:
        await opened(dimensions=384).encode(["the sea"])
    assert "dimensions = 384" in told.value.found
    assert "[providers.embedder]" in told.value.fix


async def test_nobody_elses_logging_is_set_up(opened):
    """The library does that when it is imported, and our INFO lines would be on stderr."""
    await opened().encode(["the sea"])
    assert logging.getLogger().level == logging.WARNING


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model of somebody's own, as model2vec saves it."""
    import numpy as np

    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", "[PAD]", "sea", "night", "sun"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vectors = np.random.default_rng(1).normal(size=(len(words), 8)).astype(np.float32)
    place = tmp_path_factory.mktemp("models") / "own"
    StaticModel(vectors, tokenizer).save_pretrained(place)
    return place


async def test_a_model_of_ones_own_is_loaded_from_its_folder(opened, folder):
    model = opened(model="./own", folder=str(folder))
    sea, night, both = await model.encode(["sea", "night", "sea night"])
    assert len(sea) == 8
    assert alike(sea, both) > alike(sea, night)


def test_a_folder_stands_in_proctor_toml_from_that_file_on(songs, folder, tmp_path):
    """So the same text names the same model on every machine."""
    (tmp_path / "models").symlink_to(folder.parent)
    songs.write(EMBED)
    songs.sql("UPDATE songs SET title = 'sea night ' || id")
    songs.configure(model='"local:./models/own"', **ALONE)
    assert songs.run().code == 0
    assert {confidence for _, confidence in songs.rows().values()} == {"8"}


def test_a_run_asks_a_local_model_without_key_price_or_ledger_entry(local, monkeypatch):
    """Nothing is held or kept: the vectors cost time alone."""
    monkeypatch.delenv("LOCAL_KEY")
    ended = local.run()
    assert ended.code == 0, ended.said
    assert ended.json["buckets"]["written"] == 40
    vectors = {title: json.loads(vector) for title, (vector, _) in local.rows().items()}
    # One after the other a word is a word: some songs' numbers have the same digits.
    assert len({tuple(vector) for vector in vectors.values()}) > 30
    assert kept(local) == (0, 0)


def kept(project):
    """Answers and holds in the ledger."""
    import sqlite3

    from contextlib import closing

    with closing(sqlite3.connect(project.root / ".proctor" / "ledger.db")) as db:
        return tuple(db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES)


TABLES = ("proctor_ledger_answers", "proctor_ledger_holds")


def test_plan_and_dry_run_ask_a_local_model_without_leave(local):
    """P7: nothing is paid and nothing leaves the machine, so rows are shown as they will be."""
    tried = local.proctor("dry-run", "about", "--json")
    assert tried.code == 0, tried.said
    assert tried.json["counts"]["written"] > 0
    assert "--paid-sample" not in tried.said
    planned = local.proctor("plan", "about", "--json")
    assert planned.code == 0, planned.said
    assert "--paid-sample" not in planned.said
    assert set(local.rows().values()) == {(None, None)}


def test_a_dry_run_raises_in_the_function_what_a_run_does(local):
    """A text that is too long can be caught, although it is another process that asks."""
    local.write(EMBED.replace("    (vector,) = await", CAUGHT))
    local.configure(model='"local:wordllama"', **ALONE | {"max_input": 1})
    tried = local.proctor("dry-run", "about", "--json")
    assert tried.code == 0, tried.said
    assert tried.json["counts"] == {"read": 20, "skipped": 20}
    ended = local.run()
    assert ended.json["buckets"]["skipped"] == 40


CAUGHT = """    from proctor import Skip, Unanswered
    try:
        await ctx.embed(song["title"])
    except Unanswered as none:
        return Skip("too long" if "too long" in str(none) else "odd")
    (vector,) = await"""


def test_a_paid_sample_of_a_local_model_pays_nothing(local):
    """And says so; the function's own time is in the forecast."""
    planned = local.proctor("plan", "about", "--paid-sample", "5")
    assert planned.code == 0, planned.said
    assert "asked no provider that is paid" in planned.said
    assert kept(local) == (0, 0)


def test_an_unknown_local_model_is_told_with_those_there_are(local):
    local.configure(model='"local:all-minilm"', **ALONE)
    ended = local.run()
    assert ended.code == 2
    assert "'local:all-minilm'" in ended.said
    assert "local:wordllama" in ended.said
    assert set(local.rows().values()) == {(None, None)}


def test_a_local_model_cannot_chat(local):
    local.says("await ctx.llm('hello')\nreturn {}")
    ended = local.run()
    assert ended.code == 2
    assert "cannot chat" in ended.said


def test_limits_of_a_local_model_are_refused(local):
    """What would hold nothing is not taken without a word."""
    local.configure(model='"local:wordllama"', **ALONE | {"budget_usd": 1, "rpm": 60})
    ended = local.run()
    assert ended.code == 2
    assert "budget_usd, rpm" in ended.said


def test_doctor_says_that_it_costs_nothing(local):
    ended = local.proctor("doctor")
    assert "local:wordllama; it costs nothing" in ended.said
