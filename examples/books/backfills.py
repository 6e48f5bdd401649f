"""Notable books of each month: two models name them, and a service with a quota knows their ISBNs.

The rows of `works` come from units of work, the months; a book whose ISBN could not be asked for
today is kept without one, and resolved on a later day.
"""

import asyncio
import re

from pydantic import BaseModel, Field

from proctor import Declined, OutOfQuota, Unanswered, backfill, grid, table

# Newest first. All 300 months are year=range(2000, 2025): the new ones are pending, and what is
# done stays done.
MONTHS = grid(year=range(2019, 2022), month=range(1, 13), order=("-year", "-month"))
MODELS = ("gpt", "claude")
PROMPTS = {
    "contemporary-notable": "Name 20 notable books of {month}: new ones that critics wrote about "
    "and readers chose. Only books that you can verify.",
    "baseline": "Name 20 notable books published in {month}. Only books that you can verify.",
}


class Book(BaseModel):
    """One book, as a catalogue would have it."""

    title: str = Field(min_length=1)
    author: str = Field(min_length=1)


class Books(BaseModel):
    """What is asked of a model; it has a place to say no, or it would make books up."""

    books: list[Book]
    refusal: str | None = Field(None, description="why you cannot name 20 verifiable books")


@backfill(
    MONTHS,
    emits=table("works", key="slug"),
    fills=("title", "author", "year", "month", "named_by", "isbn", "resolution"),
    version="1",
    concurrency=4,
)
async def notable_books(unit, ctx):
    """Ask two models at the same time, and the service for each book that they name."""
    variant = "contemporary-notable" if unit["year"] >= 2020 else "baseline"
    prompt = PROMPTS[variant].format(month=f"{unit['year']}-{unit['month']:02}")
    said = await ctx.llm.each(prompt, providers=MODELS, output=Books)
    refusals = sum(refused(one) for one in said.values())
    ctx.record(prompt=variant, refusals=refusals, **{f"{name}_asked": 1 for name in said})
    if all(isinstance(one, Unanswered) for one in said.values()):
        raise next(iter(said.values()))  # nobody's reply could be used: the unit is tried again
    books = merged(said)
    isbns = await asyncio.gather(*(isbn_of(book, ctx) for book, _ in books.values()))
    resolved, later = sum(r == "resolved" for _, r in isbns), sum(r == "later" for _, r in isbns)
    ctx.record(
        books_generated=len(books),
        isbns_resolved=resolved,
        isbns_later=later,
        resolution_rate=f"{resolved / len(books):.0%}" if books else "no books",
    )
    return [
        {
            "slug": slug,
            "title": book.title,
            "author": book.author,
            "year": unit["year"],
            "month": unit["month"],
            "named_by": named_by,
            "isbn": isbn,
            "resolution": resolution,
        }
        for (slug, (book, named_by)), (isbn, resolution) in zip(books.items(), isbns, strict=True)
    ]


def refused(one):
    """Whether a model said no: in its vendor's own way, or in the place that it was given."""
    return isinstance(one, Declined) or (isinstance(one, Books) and not one.books)


def merged(said):
    """Each book once, with the models that named it: by slug, so that spelling does not matter."""
    books = {}
    for name, one in said.items():
        for book in one.books if isinstance(one, Books) else ():
            first, names = books.get(slug(book), (book, ""))
            books[slug(book)] = first, names if name in names else f"{names} {name}".strip()
    return books


def slug(book):
    """A book's key: title and author in small letters."""
    return re.sub(r"[^\w]+", "-", f"{book.title} by {book.author}".lower()).strip("-")


async def isbn_of(book, ctx):
    """A book's ISBN, and what became of the question; without a quota it is asked another day."""
    try:
        isbn = await ctx.http(provider="resolver", title=book.title, author=book.author)
    except OutOfQuota:
        return None, "later"
    return isbn, "resolved" if isbn else "unknown"


@backfill(
    table("works", key="slug", columns=("title", "author")),
    fills=("isbn", "resolution"),
    missing="isbn IS NULL AND resolution = 'later'",
    version="1",
    concurrency=16,
)
async def resolve(work, ctx):
    """What was left for a later day; where today's quota is spent too, the run waits for it."""
    isbn = await ctx.http(provider="resolver", title=work["title"], author=work["author"])
    return {"isbn": isbn, "resolution": "resolved" if isbn else "unknown"}


@backfill(
    table("works", key="slug", columns=("isbn",), where="isbn IS NOT NULL"),
    into=table("enrichment_queue", key="slug"),
    fills=("isbn", "queued_at"),
    version="1",
)
def enqueue(work, ctx):
    """Every resolved book is queued once, on whichever day it was resolved."""
    return {"isbn": work["isbn"], "queued_at": ctx.now}
