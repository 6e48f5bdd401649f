"""The songs' demo: sentences and vectors that cost money, killed half-way, paid once, undone.

A Postgres and a vendor run beside it, both real servers: the vendor keeps its limits, and books of
its own, which say what was really paid.
"""

from __future__ import annotations

import json
import os
import signal
import urllib.request

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from proctor.model import RunState
from proctor.ui.demo.stage import Broken, Stage, record, seen_half_way

BACKFILL: Final = "aboutness"
WRITER: Final = "gpt-5-mini"
KEY: Final = "sk-local-of-the-demo"
AT_ONCE: Final = 16
"""Calls in flight at most: what a kill can cost."""
OF_A_CALL: Final = 10
"""Songs that one request asks about."""
RPM: Final = 1200
SERVED: Final = (
    {
        "name": WRITER,
        "kind": "chat",
        "rpm": RPM,
        "latency_s": 0.3,
        "input_usd": "0.25",
        "output_usd": "2.00",
        "request_usd": "0",
    },
)
FINGERPRINT: Final = """
    SELECT count(*), count(*) FILTER (WHERE version = 2),
           encode(sha256(string_agg(t::text, E'\\n' ORDER BY song_id)::bytea), 'hex')
    FROM song_aboutness t
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The derived table at one moment; two are equal only if every value of every row is."""

    rows: int
    of_version_2: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What the vendor's own books say; `paid_again` counts songs, whatever their company."""

    calls: int
    limited: int
    paid_again: int
    usd: Decimal


def play(stage: Stage) -> dict[str, Any]:
    """The whole story; what it came to, for --json."""
    url = set_up(stage)
    original = described(url)
    stage.fact("SHA-256", f"{original.digest} over all {original.rows:,} rows of song_aboutness")
    foreseen(stage, url, original)
    sampled = paid(stage)
    run, flying = run_and_kill(stage)
    filled = resume(stage, run, url)
    spent = reckon(stage, sampled, flying)
    look_back(stage, run)
    restored = take_back(stage, run, url, original)
    again(stage, url, filled, spent)
    return {
        "folder": stage.folder,
        "run": run,
        "rows": filled.rows,
        "calls": spent.calls,
        "usd": str(spent.usd),
        "answered_429": spent.limited,
        "paid_again": spent.paid_again,
        "in_the_air": flying,
        "identical": restored == original,
        "seconds": round(stage.seconds, 1),
    }


def set_up(stage: Stage) -> str:
    """Two servers, and songs as a label has them; the database's address."""
    stage.scene(
        "Songs, and somebody who knows what they are about",
        "A Postgres with pgvector and a local vendor that speaks OpenAI's shape, with 1,200 "
        f"requests a minute, prices, and books of its own. The files are in {stage.folder}",
    )
    vendor = stage.serve("proctor.testing.vendor", {"served": SERVED, "key": KEY, "port": 0})
    url = stage.serve("proctor.testing.postgres")
    stage.variables |= {"SONGS_URL": url, "WRITER_URL": f"{vendor}/v1", "WRITER_KEY": KEY}
    stage.fact("Postgres", url)
    stage.fact("the vendor", vendor)
    stage.python("seed.py", url)
    return url


def foreseen(stage: Stage, url: str, original: Described) -> None:
    """The plan asks for twenty songs, and forecasts tokens, money and time from them."""
    stage.scene(
        "What would it cost?",
        "A plan pays nothing without a word. With --paid-sample it asks for some rows, under the "
        "same budget, and forecasts the rest; their answers are kept.",
    )
    stage.proctor("plan", BACKFILL, "--paid-sample", "20")
    if described(url) != original:
        raise Broken("the plan changed the table")
    stage.good("the plan left every row as it was")


def run_and_kill(stage: Stage) -> tuple[str, int]:
    """A run, ended by SIGKILL half-way; the most songs whose answers were in the air."""
    stage.scene("Apply, and die half-way", "SIGKILL, with calls in the air that will be paid.")
    with stage.begin("run", BACKFILL) as process:
        seen = seen_half_way(stage, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    stage.curtain()
    stage.typed(f"kill -9 {process.pid}")
    stage.fact(
        "the target", f"{seen.run.outcome.read:,} of {seen.run.expected or 0:,} rows settled"
    )
    stage.fact("the vendor", f"was paid {paid(stage).calls:,} calls")
    return seen.run.id, AT_ONCE * OF_A_CALL


def resume(stage: Stage, run: str, url: str) -> Described:
    """The same command goes on with the same run; answers that arrived are not asked again."""
    stage.scene("Resume", "Rows that were answered and not written get the answer that was kept.")
    stage.proctor("run", BACKFILL)
    ended, filled = record(stage, run), described(url)
    stage.books(ended.outcome)
    if ended.state is not RunState.SUCCEEDED or not ended.outcome.balances:
        raise Broken("the books do not balance", found=f"{ended.state.value}, {ended.outcome}")
    stage.good(f"{filled.of_version_2:,} rows of version 2 stand in song_aboutness")
    return filled


def reckon(stage: Stage, sampled: Paid, flying: int) -> Paid:
    """What the vendor was paid, by its own books."""
    spent = paid(stage)
    stage.scene("The vendor's own books", "They know nothing of Proctor's.")
    stage.fact("calls", f"{spent.calls:,}, of which {sampled.calls:,} for the plan's sample")
    stage.fact("money", f"${spent.usd:.4f} of a budget of $1.00")
    stage.fact(
        "paid again",
        f"{spent.paid_again:,} songs, whose answers were on their way at the kill: at most "
        f"{flying:,}",
    )
    stage.fact("answered 429", f"{spent.limited:,} calls")
    if spent.paid_again > flying:
        raise Broken("answers were paid twice", found=f"{spent.paid_again:,} songs")
    return spent


def look_back(stage: Stage, run: str) -> None:
    """Verify computes again from kept answers: it costs nothing."""
    stage.scene("Does it hold?", "Every written row is compared; a sample is computed again.")
    before = paid(stage)
    stage.proctor("verify", run)
    if paid(stage) != before:
        raise Broken("verify has paid for something")
    stage.good("without a single call")


def take_back(stage: Stage, run: str, url: str, original: Described) -> Described:
    """The rollback: rows that were inserted go, rows that were changed are as they were."""
    stage.scene("Take it back", "Inserted rows go, changed ones get their old values.")
    stage.proctor("rollback", run, "--yes")
    restored = described(url)
    if restored != original:
        raise Broken("the rollback did not restore the original data")
    stage.fact("before", original.digest)
    stage.fact("rolled back", restored.digest)
    stage.good("byte for byte the original")
    return restored


def again(stage: Stage, url: str, filled: Described, spent: Paid) -> None:
    """A second run finds every answer in the ledger."""
    stage.scene("Once more", "A new run of the same questions: every answer is in the ledger.")
    stage.proctor("run", BACKFILL)
    now = described(url)
    if (now.rows, now.of_version_2) != (filled.rows, filled.of_version_2):
        raise Broken("the second run filled other rows", found=f"{now}")
    if paid(stage) != spent:
        raise Broken("the second run has paid for something")
    stage.good(f"{now.of_version_2:,} rows filled again, and the vendor was not asked once")
    stage.scene(
        "The end", f"It took {stage.seconds:.0f} s. Its servers end here; the reports stay:"
    )
    for file in sorted((stage.folder / ".proctor" / "reports").glob("*/report.html")):
        stage.fact("report", str(file))


def described(url: str) -> Described:
    """The derived table as it stands, asked without Proctor."""
    import psycopg

    with psycopg.connect(url) as database:
        found = database.execute(FINGERPRINT).fetchone()
    assert found is not None  # noqa: S101 - an aggregate has one row
    return Described(rows=found[0], of_version_2=found[1], digest=found[2])


def paid(stage: Stage) -> Paid:
    """What the vendor counted until now."""
    address = stage.variables["WRITER_URL"].removesuffix("/v1")
    request = urllib.request.Request(f"{address}/_books", b"{}")  # noqa: S310 - on this machine
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as reply:
        books: list[dict[str, Any]] = list(json.load(reply).values())
    return Paid(
        calls=sum(one["calls"] for one in books),
        limited=sum(one["limited"] for one in books),
        paid_again=sum(count - 1 for one in books for count in one["parts"].values()),
        usd=sum((Decimal(one["usd"]) for one in books), Decimal(0)),
    )
