"""Questions of several rows in one call, from two processes at once."""

import asyncio
import hashlib
import json

import pytest

from pydantic import BaseModel

from engine.test_answers import MODEL, asker_of, desk_of, shared  # noqa: F401 - fixtures
from proctor.adapters.ledger import Pocket
from proctor.authoring.asking import Llm


class Mood(BaseModel):
    mood: str


def asked_for(titles):
    """How the vendor remembers a request for these rows."""
    listed = [{"index": i, "row": title} for i, title in enumerate(titles)]
    sent = json.dumps({"rows": listed}, separators=(",", ":"))
    return hashlib.sha256(sent.encode()).hexdigest()


async def moods(asker, titles):
    said = await Llm(asker).rows(
        titles, prompt="How does it feel?", one=str, output=Mood, provider="writer"
    )
    return dict(zip(titles, said, strict=True))


@pytest.mark.parametrize("first_rows", [range(10), range(4, 6)], ids=["overlapping", "within"])
async def test_rows_that_another_process_asks_for_are_waited_for_and_not_paid(
    asker_of,  # noqa: F811 - the fixture
    shared,  # noqa: F811 - the fixture
    first_rows,
):
    """P5: in whatever company each of them asks for a row."""
    pocket, name = Pocket(), f"{first_rows}"
    ours = [f"cove {name} {n}" for n in first_rows]
    theirs = [f"cove {name} {n}" for n in range(5, 15)]
    first, second = asker_of(pocket=pocket), asker_of(pocket=pocket)
    one, other = await asyncio.gather(moods(first, ours), moods(second, theirs))
    assert all(isinstance(mood, Mood) for mood in (*one.values(), *other.values()))
    assert all(one[title] == other[title] for title in one.keys() & other.keys())
    asked = shared.books()[MODEL["writer"]].asked
    assert asked_for(ours) in asked
    assert asked_for([title for title in theirs if title not in ours]) in asked
    assert asked_for(theirs) not in asked
