"""Vectors of job advertisements: at first for all, then for whatever appears or is edited."""

from hashlib import sha256

from proctor import backfill, checks, table

CUT = 8_000
"""Characters: what stands behind them says nothing new of a job."""
TEXT = f"left(title || E'\\n\\n' || coalesce(description, ''), {CUT})"
"""What is embedded, as the database sees it."""
HASH = f"encode(sha256(convert_to({TEXT}, 'UTF8')), 'hex')"
SAYS_SOMETHING = r"concat(title, description) ~ '\S'"
"""A job without a word has no vector."""


def text_of(job):
    """What is embedded, as Python sees it: the same characters."""
    return f"{job['title']}\n\n{job['description'] or ''}"[:CUT]


@backfill(
    table("jobs", key="id", columns=("id", "title", "description"), where=SAYS_SOMETHING),
    fills=("embedding", "embedded_text"),
    missing=f"embedding IS NULL OR embedded_text IS DISTINCT FROM {HASH}",
    stamp="embedded_by",
    made_by="vectors",
    version="1",
    preserve="updated_at",  # it says when people edited the job, and a vector is no edit
    batch=50,
    concurrency=4,
    checks=[checks.vector("embedding", dimension=256)],
)
async def embed(jobs, ctx):
    """Fifty jobs a call; a row is filled again once its text is another one."""
    texts = [text_of(job) for job in jobs]
    vectors = await ctx.embed(texts, provider="vectors")
    return [
        {"embedding": vector, "embedded_text": sha256(text.encode()).hexdigest()}
        for vector, text in zip(vectors, texts, strict=True)
    ]
