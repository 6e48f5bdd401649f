"""What songs are about: two sentences by a language model, and their vectors."""

from typing import Literal

from pydantic import BaseModel

from proctor import backfill, checks, table

PROMPT = (
    "For each song write one sentence on the emotions it holds and one on the moments it fits, "
    "each of at most 100 characters, no lists. Say how sure you are of each."
)
Confidence = Literal["low", "medium", "high"]


class Aboutness(BaseModel):
    """What is asked of one song."""

    emotions: str
    moments: str
    emotions_confidence: Confidence
    moments_confidence: Confidence


def told(song):
    """What the model is told of a song: another title is another question."""
    return {"title": song["title"], "artist": song["artist"]}


def clean(field):
    """What a sentence must be before anybody may read it."""
    return [
        checks.length(field, least=1, most=100),
        checks.leaked_tags(field),
        checks.refusal(field),
    ]


@backfill(
    table("songs", key="id", columns=("id", "title", "artist"), where="NOT placeholder"),
    into=table("song_aboutness", key="song_id"),
    fills=(
        *("emotions_text", "moments_text", "emotions_confidence", "moments_confidence"),
        *("emotions_embedding", "moments_embedding", "provider", "model", "generated_at"),
    ),
    stamp="version",
    version="2",
    batch=10,
    concurrency=16,
    checks=[
        *clean("emotions_text"),
        *clean("moments_text"),
        checks.vector("emotions_embedding", dimension=256),
        checks.vector("moments_embedding", dimension=256),
    ],
)
async def aboutness(songs, ctx):
    """Ten songs a request, each kept by itself; all their sentences are embedded together."""
    said = await ctx.llm.rows(songs, prompt=PROMPT, one=told, output=Aboutness, provider="writer")
    texts = [
        text for one in said if isinstance(one, Aboutness) for text in (one.emotions, one.moments)
    ]
    vectors = iter(await ctx.embed(texts, provider="vectors"))
    return [row(one, vectors, ctx) if isinstance(one, Aboutness) else one for one in said]


def row(one, vectors, ctx):
    """A song's row in the derived table."""
    return {
        "emotions_text": one.emotions,
        "moments_text": one.moments,
        "emotions_confidence": one.emotions_confidence,
        "moments_confidence": one.moments_confidence,
        "emotions_embedding": next(vectors),
        "moments_embedding": next(vectors),
        "provider": "writer",
        "model": "gpt-5-mini",
        "generated_at": ctx.now,
    }
