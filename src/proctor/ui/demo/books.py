"""The books' demo: months as units of work, two models at once, a service with a daily quota.

The vendor beside it plays both models and the service, each with books of its own. What the quota
leaves open on the first day is resolved on the second one, and no model is asked again for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3

from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from proctor.model import RunState
from proctor.ui.demo.proof import fingerprint
from proctor.ui.demo.shelf import UNITS, knowledge
from proctor.ui.demo.stage import Broken, Stage, record, seen, seen_half_way
from proctor.ui.demo.vendor import Paid, paid, said

BACKFILL: Final = "notable_books"
DATABASE: Final = "books.db"
MODELS: Final = {"gpt": "gpt-5-mini", "claude": "claude-haiku-4-5"}
RESOLVER: Final = "resolver"
KEY: Final = "sk-local-of-the-demo"
DAILY: Final = 500
"""What the service answers a day; proctor.toml says the same."""
AT_ONCE: Final = {"gpt-5-mini": 4, "claude-haiku-4-5": 4, RESOLVER: 16}
"""Calls in flight at most: what a kill can cost. Four units, each of which asks each model once."""
DAY_S: Final = 86_400
SERVED: Final = (
    *(
        {
            "name": name,
            "kind": "chat",
            "rpm": 500,
            "latency_s": 0.15,
            "input_usd": input_usd,
            "output_usd": output_usd,
            "request_usd": "0",
        }
        for name, input_usd, output_usd in (
            ("gpt-5-mini", "0.25", "2.00"),
            ("claude-haiku-4-5", "1.00", "5.00"),
        )
    ),
    {
        "name": RESOLVER,
        "kind": "service",
        "daily": DAILY,
        "latency_s": 0.02,
        "input_usd": "0",
        "output_usd": "0",
        "request_usd": "0",
    },
)
FINAL: Final = ("completed", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelves:
    """Both tables at one moment; two are equal only if every value of every row is."""

    works: int
    resolved: int
    unknown: int
    later: int
    queued: int
    digest: str


def play(stage: Stage) -> dict[str, Any]:
    """The whole story; what it came to, for --json."""
    original = set_up(stage)
    foreseen(stage, original)
    sampled = paid(stage)
    run = run_and_kill(stage)
    named = resume(stage, run)
    first_day = reckon(stage, sampled)
    units = the_units(stage)
    whole = the_next_day(stage, named, first_day)
    second_run(stage, whole)
    spent = paid(stage)
    restored = take_back(stage, original)
    again(stage, whole, spent)
    return {
        "folder": stage.folder,
        "run": run,
        "units": units,
        "works": whole.works,
        "later_on_the_first_day": named.later,
        "resolved": whole.resolved,
        "queued": whole.queued,
        "calls": spent.calls,
        "by_day": spent.by_day[RESOLVER],
        "usd": {name: str(usd) for name, usd in spent.usd.items()},
        "answered_429": spent.limited,
        "paid_again": spent.paid_again,
        "in_the_air": AT_ONCE,
        "identical": restored == original,
        "seconds": round(stage.seconds, 1),
    }


def set_up(stage: Stage) -> Shelves:
    """A vendor that plays three, and two tables of a library."""
    stage.scene(
        "A library, two models and a catalogue",
        "A local vendor speaks OpenAI's and Anthropic's shapes and answers for the catalogue of "
        f"ISBNs, at most {DAILY:,} times a day. The files are in {stage.folder}",
    )
    vendor = stage.serve("proctor.testing.vendor", {"served": SERVED, "key": KEY, "port": 0})
    stage.variables |= {
        "GPT_URL": f"{vendor}/v1",
        "CLAUDE_URL": vendor,
        "RESOLVER_URL": f"{vendor}/services/{RESOLVER}",
        "GPT_KEY": KEY,
        "CLAUDE_KEY": KEY,
        "RESOLVER_KEY": KEY,
        "VENDOR": vendor,
    }
    for fault in knowledge(MODELS):
        said(stage, "_faults", fault)
    stage.fact("the vendor", vendor)
    stage.python("seed.py", DATABASE)
    original = shelves(stage)
    stage.fact("SHA-256", f"{original.digest} over both tables")
    return original


def foreseen(stage: Stage, original: Shelves) -> None:
    """The plan asks for four months, and forecasts tokens, money, time and days of quota."""
    stage.scene(
        "What would it cost, and how many days would it take?",
        f"{len(UNITS)} months are {len(UNITS)} units of work. The plan does four of them on paper, "
        "under the same limits; their answers are kept.",
    )
    stage.proctor("plan", BACKFILL, "--paid-sample", "4")
    if shelves(stage) != original:
        raise Broken("the plan changed a table")
    stage.good("the plan left every row as it was")


def run_and_kill(stage: Stage) -> str:
    """A run, ended by SIGKILL half-way."""
    stage.scene("Apply, and die half-way", "SIGKILL, with calls in the air that will be paid.")
    with stage.begin("run", BACKFILL) as process:
        found = seen_half_way(stage, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    stage.curtain()
    stage.typed(f"kill -9 {process.pid}")
    done, units = found.run.outcome.read, found.run.expected or 0
    stage.fact("the target", f"{done:,} of {units:,} units are settled")
    stage.fact("the vendor", f"has answered {sum(paid(stage).calls.values()):,} calls")
    return found.run.id


def resume(stage: Stage, run: str) -> Shelves:
    """The same command goes on; books that are named after the quota is used up are kept."""
    stage.scene(
        "Resume, beyond the quota",
        "Units that were written are not done again. When the catalogue's quota is used up, books "
        "are kept without an ISBN: what the models answered is not lost.",
    )
    stage.proctor("run", BACKFILL)
    ended, named = record(stage, run), shelves(stage)
    stage.books(ended.outcome)
    if ended.state is not RunState.SUCCEEDED or not ended.outcome.balances:
        raise Broken("the books do not balance", found=f"{ended.state.value}, {ended.outcome}")
    if ended.outcome.written + ended.outcome.unchanged != len(UNITS):
        raise Broken("a unit is not done", found=f"{ended.outcome}")
    stage.fact("works", f"{named.works:,}, of which {named.resolved:,} have an ISBN")
    stage.fact("no ISBN", f"{named.unknown:,} that the catalogue does not know")
    stage.fact("later", f"{named.later:,} were named after its quota for today was used up")
    return named


def reckon(stage: Stage, sampled: Paid) -> Paid:
    """The vendor's own books beside Proctor's bill."""
    stage.scene("Two sets of books", "The vendor's know nothing of Proctor's, and must agree.")
    spent, bills = paid(stage), [one.bill for found in seen(stage) for one in found.paid]
    for provider, name in (*MODELS.items(), (RESOLVER, RESOLVER)):
        mine = [bill for bill in bills if bill.provider == provider]
        settled, flying = sum(b.calls for b in mine), sum(b.flying for b in mine)
        theirs = spent.calls[name] - sampled.calls[name]
        stage.fact(
            provider,
            f"{theirs:,} calls by the vendor's books, {settled:,} and {flying:,} lost in flight by "
            f"Proctor's bill; {sampled.calls[name]:,} before, for the plan; ${spent.usd[name]:.4f}",
        )
        if not settled <= theirs <= settled + flying:
            raise Broken(f"the bill of {provider} is wrong", found=f"{theirs}, {mine}")
        if max(spent.paid_again[name], flying) > AT_ONCE[name]:
            raise Broken("answers were paid twice", found=f"{spent.paid_again[name]} of {name}")
    most = max(spent.by_day[RESOLVER].values())
    if most > DAILY or spent.limited:
        raise Broken("a limit was overrun", found=f"{most:,} a day, {spent.limited:,} times 429")
    again = sum(spent.paid_again.values())
    stage.good(
        f"{most:,} of {DAILY:,} resolver calls a day, and no 429; {again:,} calls were paid twice, "
        "those in the air at the kill"
    )
    return spent


def the_units(stage: Stage) -> dict[str, int]:
    """What the database itself remembers of each unit."""
    stage.scene("The units", "By state, and with what their author counted.")
    kept = units(stage)
    states: dict[str, int] = {}
    for unit in kept:
        states[unit["state"]] = states.get(unit["state"], 0) + 1
        final = unit["state"] in FINAL
        if (unit["completed"] is not None) is not final:
            raise Broken("a unit is completed and not in a final state", found=str(unit))
        if final and unit["completed"] < unit["started"]:
            raise Broken("a unit was completed before it began", found=str(unit))
    if states != {"completed": len(UNITS)}:
        raise Broken("not every unit is completed", found=f"{states}")
    metrics = [json.loads(unit["metrics"]) for unit in kept]
    said_no = sum(found["refusals"] for found in metrics)
    stage.fact("refusals", f"{said_no:,}: a model that names no books has answered, not failed")
    stage.fact("prompts", ", ".join(sorted({found["prompt"] for found in metrics})))
    for unit, found in [*zip(kept, metrics, strict=True)][:3]:
        told = ", ".join(f"{name} {value}" for name, value in found.items())
        stage.fact(unit["unit"], f"{unit['state']}, {unit['attempts']} of 5 attempts: {told}")
    stage.good("each was completed in a final state only, and not before it began")
    return states


def the_next_day(stage: Stage, named: Shelves, before: Paid) -> Shelves:
    """The vendor's clock and Proctor's go a day ahead; the quota begins anew for both."""
    stage.scene(
        "The next day",
        "The clocks by which quotas are counted, the vendor's and Proctor's, are moved by a day. "
        "What was left is resolved by a backfill of its own, and all that is resolved is queued.",
    )
    said(stage, "_advance", {"seconds": DAY_S})
    stage.tomorrow("run", "resolve")
    stage.proctor("run", "enqueue")
    whole, spent = shelves(stage), paid(stage)
    if whole.later or whole.works != named.works or whole.queued != whole.resolved:
        raise Broken("books are left without an answer", found=f"{whole}")
    asked = spent.calls[RESOLVER] - before.calls[RESOLVER]
    if asked > named.later or any(spent.calls[m] != before.calls[m] for m in MODELS.values()):
        raise Broken("the second day paid for something twice", found=f"{spent.calls}")
    stage.fact("resolver", f"{asked:,} calls for the {named.later:,} books that were left")
    stage.fact("works", f"{whole.resolved:,} resolved, {whole.unknown:,} unknown")
    stage.fact("the queue", f"{whole.queued:,} books")
    stage.good("no model was asked again")
    return whole


def second_run(stage: Stage, whole: Shelves) -> None:
    """Nothing is left to do, and that is said."""
    stage.scene("Run it again", "Every unit is done; more months would be pending.")
    before = paid(stage)
    stage.proctor("run", BACKFILL)
    if shelves(stage) != whole or paid(stage) != before:
        raise Broken("a second run found something to do")
    stage.good("nothing to do, nothing paid")


def take_back(stage: Stage, original: Shelves) -> Shelves:
    """Newest first: the queue, the ISBNs of the second day, the books."""
    stage.scene("Take it back", "Newest first; inserted rows go, changed ones are as they were.")
    for found in seen(stage):
        if found.run.outcome.written:
            stage.proctor("rollback", found.run.id, "--yes")
    restored = shelves(stage)
    if restored != original:
        raise Broken("the rollback did not restore the original data", found=f"{restored}")
    stage.fact("before", original.digest)
    stage.fact("rolled back", restored.digest)
    stage.good("byte for byte the original")
    return restored


def again(stage: Stage, whole: Shelves, spent: Paid) -> None:
    """Every answer is in the ledger, those of the second day too: one run is enough now."""
    stage.scene("Once more", "A new run asks the same; every answer is in the ledger.")
    stage.proctor("run", BACKFILL)
    now = shelves(stage)
    if (now.works, now.resolved, now.later) != (whole.works, whole.resolved, 0):
        raise Broken("the new run gave other books", found=f"{now}")
    if paid(stage) != spent:
        raise Broken("the new run has paid for something")
    stage.good(f"{now.works:,} books, all their ISBNs at once, and nobody was asked")
    stage.scene(
        "The end", f"It took {stage.seconds:.0f} s. Its servers end here; the reports stay:"
    )
    for file in sorted((stage.folder / ".proctor" / "reports").glob("*/report.html")):
        stage.fact("report", str(file))


def shelves(stage: Stage) -> Shelves:
    """Both tables as they stand, asked without Proctor."""
    file = stage.folder / DATABASE
    counts = _rows(
        stage,
        "SELECT count(*) AS works, count(isbn) AS resolved, count(*) FILTER (WHERE resolution = "
        "'unknown') AS unknown, count(*) FILTER (WHERE resolution = 'later') AS later, "
        "(SELECT count(*) FROM enrichment_queue) AS queued FROM works",
    )[0]
    digests = [fingerprint(file, name, "isbn").digest for name in ("works", "enrichment_queue")]
    return Shelves(**counts, digest=hashlib.sha256("".join(digests).encode()).hexdigest())


def units(stage: Stage) -> list[dict[str, Any]]:
    """What is kept of each unit."""
    return _rows(stage, "SELECT * FROM proctor_units")


def _rows(stage: Stage, sql: str) -> list[dict[str, Any]]:
    uri = f"{(stage.folder / DATABASE).resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(sql)]
