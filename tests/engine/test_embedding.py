"""Vectors on their way: checked, of texts that fit, and each piece asked and paid once."""

import math

from dataclasses import replace
from decimal import Decimal

import pytest

from proctor.adapters.ledger import MemoryPurse
from proctor.adapters.providers import most_input, most_tokens, open_provider, sends_dimensions
from proctor.authoring import Unanswered
from proctor.core.lengths import pieces
from proctor.core.vectors import mean
from proctor.engine.answers import Answers
from proctor.engine.asker import Asker
from proctor.engine.desk import Desk
from proctor.engine.embedding import counting
from proctor.model import Limits, Price, ProviderSettings
from proctor.testing.clock import FakeClock
from proctor.testing.vendor import Fault, Flaw, Served, right_vector, serve_vendor

FREE = Price(input_per_million=Decimal(10), output_per_million=Decimal(0), source="a test")
MODELS = {"openai": "text-embedding-3-small", "google": "gemini-embedding-001"}
DIMENSIONS = 8
MOST = 12
"""Tokens of the longest text."""
LONG = "the harbour lies quiet under the winter moon, and nobody sails out before the morning"
PIECES = [piece.encode() for piece in pieces(LONG, MOST)]


@pytest.fixture(scope="module")
def shared():
    served = [
        Served(
            name=name, kind="embed", dimensions=DIMENSIONS, most_input=MOST, input_usd=Decimal(10)
        )
        for name in MODELS.values()
    ]
    with serve_vendor(*served) as server:
        yield server


@pytest.fixture(params=MODELS)
async def asker(shared, request):
    """A way to ask each vendor that embeds, with a ledger of its own."""
    settings = ProviderSettings(
        name="vectors",
        vendor=request.param,
        model=MODELS[request.param],
        base_url=getattr(shared, f"{request.param}_url"),
        key_env="A_KEY",
        price=FREE,
        timeout_s=10.0,
        dimensions=DIMENSIONS,
        max_input=MOST,
    )
    provider = open_provider(settings, shared.key)
    desk = Desk(
        name="vectors",
        provider=provider,
        model=settings.full_model,
        dimensions=settings.dimensions,
        sends_dimensions=sends_dimensions(settings),
        most_input=most_input(settings),
    )
    clock = FakeClock()
    purse = MemoryPurse({"vectors": Limits()}, clock=clock)
    yield Asker(answers=Answers(purse, {"vectors": desk}, clock, lambda: 0.0), run="r")
    await provider.aclose()


@pytest.fixture
def calls(shared):
    """Calls since the test began, by the server's own count."""

    def counted():
        return sum(tally.calls for tally in shared.books().values())

    before = counted()
    return lambda: counted() - before


FAULTS = [
    (Flaw.WRONG_SHAPE, "it has 9 dimensions, and 8 were to come"),
    (Flaw.NOT_A_NUMBER, "2 of its 8 numbers are NaN or Infinity"),
    (Flaw.ZERO, "all of its 8 numbers are zero"),
]


@pytest.mark.parametrize(("flaw", "told"), FAULTS, ids=[flaw for flaw, _ in FAULTS])
async def test_what_is_no_vector_is_no_answer_and_is_not_kept(asker, shared, calls, flaw, told):
    """Told with the numbers; paid, but asked anew the next time, when it may come right."""
    shared.script(Fault(flaw=flaw, match="bad"))
    with pytest.raises(Unanswered) as error:
        await asker.embed(None, [f"good {flaw}", f"bad {flaw}"])
    assert told in str(error.value)
    assert "text 2 of 2 from provider vectors" in str(error.value)
    (spent,) = await asker.answers.purse.spending()
    assert spent.usd > 0
    assert calls() == 1
    good, bad = await asker.embed(None, [f"good {flaw}", f"bad {flaw}"])
    assert calls() == 2
    assert bad == pytest.approx(right_vector(f"bad {flaw}", DIMENSIONS), abs=1e-6)
    assert good == pytest.approx(right_vector(f"good {flaw}", DIMENSIONS), abs=1e-6)


async def test_too_long_a_text_fails_before_anybody_is_asked(asker, calls):
    with pytest.raises(Unanswered) as error:
        await asker.embed(None, ["short", LONG])
    assert f"about {-(-len(LONG) // 4)} tokens" in str(error.value)
    assert "takes 12" in str(error.value)
    assert calls() == 0


async def test_cut_embeds_the_beginning(asker):
    """And says so by its count, once for each text."""
    counted = counting()
    short, cut = await asker.embed(None, ["short", LONG], "cut")
    assert cut == pytest.approx(right_vector(PIECES[0].decode(), DIMENSIONS), abs=1e-6)
    assert short == pytest.approx(right_vector("short", DIMENSIONS), abs=1e-6)
    assert counted == {("vectors", "cut"): 1}


async def test_average_asks_each_piece_once_and_gives_their_mean_by_length(asker, calls):
    """Each piece is kept for itself: of another text that shares them only the rest is asked."""
    counted = counting()
    (got,) = await asker.embed(None, [LONG], "average")
    each = [right_vector(piece.decode(), DIMENSIONS) for piece in PIECES]
    assert len(PIECES) > 2
    assert got == pytest.approx(mean(each, [len(piece) for piece in PIECES]), abs=1e-6)
    assert math.hypot(*got) == pytest.approx(1, abs=1e-6)
    assert counted == {("vectors", "average"): 1}
    assert calls() == 1
    await asker.embed(None, [LONG], "average")
    assert await asker.embed(None, [LONG], "cut") == [pytest.approx(each[0], abs=1e-6)]
    assert calls() == 1


async def test_texts_go_in_as_many_calls_as_their_tokens_want(asker, calls):
    """A vendor refuses a request that is too large as a whole, and no minute lets it through."""
    desk = asker.answers.desk(None)
    desk.most_tokens = 60
    texts = [f"seven words about the sea, number {n}" for n in range(9)]
    each = desk.gauge.tokens(desk.vector_of(texts[0]))
    assert 15 < each <= 30
    vectors = await asker.embed(None, texts)
    assert [v[0] for v in vectors] == [
        pytest.approx(right_vector(text, DIMENSIONS)[0], abs=1e-6) for text in texts
    ]
    assert calls() == -(-9 // (60 // each))


async def test_an_empty_text_has_no_vector(asker, calls):
    """A vendor would refuse all that travel with it."""
    with pytest.raises(Unanswered, match="empty text"):
        await asker.embed(None, ["short", ""])
    assert calls() == 0


async def test_dimensions_are_a_part_of_the_question_only_where_they_are_sent(asker):
    """Else writing them down to be checked would pay for every kept answer again."""
    desk = asker.answers.desk(None)
    asked = desk.vector_of("sea")
    desk.dimensions = None if desk.sends_dimensions else 16
    desk.sends_dimensions = False
    other = desk.vector_of("sea")
    assert (asked.key == other.key) is ("dimensions" not in asked.sent)


@pytest.mark.parametrize(
    ("vendor", "model", "most", "sends"),
    [
        ("openai", "text-embedding-3-large", 8191, True),
        ("openai", "openai/text-embedding-3-small", 8191, True),
        ("openai", "text-embedding-ada-002", 8191, False),
        ("openai", "nomic-embed-text", None, False),
        ("google", "gemini-embedding-001", 2048, True),
        ("local", "wordllama", 32_768, False),
    ],
)
def test_what_is_known_of_a_model(vendor, model, most, sends):
    settings = ProviderSettings(name="vectors", vendor=vendor, model=model, dimensions=64)
    assert most_input(settings) == most
    assert sends_dimensions(settings) is sends
    assert most_input(replace(settings, max_input=500)) == 500
    assert not sends_dimensions(replace(settings, dimensions=None))
    tight = replace(settings, limits=Limits(tpm=40_000))
    assert most_tokens(settings) == (300_000 if vendor == "openai" else None)
    assert most_tokens(tight) == 10_000
