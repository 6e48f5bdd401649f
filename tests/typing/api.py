"""The public API as a type checker sees it: mypy strict reads this file, nobody runs it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, assert_type

import pydantic

from proctor import (
    Answer,
    Backfill,
    Context,
    Declined,
    ErrorBudget,
    Grid,
    Instead,
    Query,
    Refuse,
    Skip,
    Table,
    Unanswered,
    UsageError,
    Watch,
    backfill,
    checks,
    grid,
    metrics,
    query,
    table,
)
from proctor.model import Baseline, Metric, Spec


class Params(pydantic.BaseModel):
    """Parameters of a backfill."""

    since: date


def short(row: dict[str, Any], answer: Mapping[str, Any]) -> bool | str:
    """Refuse what is too long, or belongs to nobody."""
    return len(answer["style"]) <= 100 or f"longer than a style is; row has {len(row)} fields"


wardrobe = assert_type(table("wardrobe", key=("year", "-month"), columns=["style"]), Table)
months = assert_type(grid(year=range(2000, 2025), month=[1, 2], order="-year"), Grid)
paid = assert_type(metrics.matched_windows(allowed=0.85, lag=timedelta(days=7)), Baseline)
shop = assert_type(
    metrics.sql(
        "shop",
        "SELECT 1 AS events, 2 AS total WHERE :since < :until",
        interval=timedelta(minutes=15),
        baseline=paid,
        critical=True,
    ),
    Metric,
)
songs = assert_type(query("SELECT 1 AS id", key="id", guard="target"), Query)


@backfill(months, emits=table("works", key="isbn"), fills="title")
def unit_function(unit: dict[str, Any], ctx: Context) -> Answer:
    """Give rows, and keep numbers."""
    ctx.record(books=1, variant="x")
    return [{"isbn": str(unit["year"]), "title": "x"}]


@backfill(wardrobe, fills="style", version="1.0")
def row_function(row: dict[str, Any]) -> Answer:
    """Give the fields, skip or refuse."""
    if not row["style"]:
        return Skip("no style")
    return {"style": row["style"]} if len(row["style"]) < 10 else Refuse("too long")


class Book(pydantic.BaseModel):
    """What a service answers."""

    isbn: str


async def asks_services(row: dict[str, Any], ctx: Context) -> Answer:
    """A service's answer is the model that was asked for, or None where there is nothing."""
    book = assert_type(await ctx.http(provider="r", output=Book, title=row["title"]), Book | None)
    return {"isbn": book.isbn if book else await ctx.http(provider="other", title=row["title"])}


@backfill(
    songs,
    fills=["a", "b"],
    into=table("song_aboutness", key="song_id"),
    batch=10,
    params=Params,
    checks=[short, checks.length("a", most=3, level="warning"), checks.vector("b", dimension=3)],
    budget=ErrorBudget(share=0.01, count=5),
    undo_for=timedelta(days=7),
    watch=Watch(name="queue", limit=10, python=lambda: 1.0),
)
async def list_function(rows: list[dict[str, Any]], ctx: Context) -> list[Answer]:
    """A list in, a list out."""
    return [{"a": ctx.random.random(), "b": ctx.params.since} for _ in rows]


class Mood(pydantic.BaseModel):
    """A contract."""

    mood: str


async def asking(rows: list[dict[str, Any]], ctx: Context) -> None:
    """What a function gets of providers is typed by what it asks for."""
    assert_type(await ctx.llm("?"), str)
    assert_type(await ctx.llm("?", on_refusal=Instead("none"), on_cut_off="fallback"), str)
    assert_type(await ctx.llm("?", output=Mood, on_refusal=Instead(Mood(mood="none"))), Mood)
    await ctx.llm("?", output=Mood, on_refusal=Instead(3))  # type: ignore[type-var]
    await ctx.llm("?", on_refusal="ignore")  # type: ignore[call-overload]
    said = await ctx.llm.each("?", providers=("a", "b"), output=Mood)
    assert_type(said, dict[str, Mood | Declined | Unanswered])
    told = await ctx.llm.rows(rows, prompt="?", one=lambda row: str(row["style"]), output=Mood)
    assert_type(told, list[Mood | Declined | Unanswered])


@backfill(wardrobe, sql={"style": "lower(style)"})
def decorated() -> None:
    """Lower-case in the database."""


direct = backfill(wardrobe, fills="style", sql="lower(style)", name="lower_style", version="2")

assert_type(row_function, Backfill)
assert_type(list_function, Backfill)
assert_type(decorated, Backfill)
assert_type(direct, Backfill)

try:
    assert_type(list_function.bind({"since": "2026-01-01"}), tuple[Spec, pydantic.BaseModel | None])
except UsageError as error:
    assert_type(error.fix, str)

backfill(wardrobe, fills="a", versoin="1")  # type: ignore[call-overload]
backfill("wardrobe", fills="a")  # type: ignore[call-overload]
table("wardrobe")  # type: ignore[call-overload]
