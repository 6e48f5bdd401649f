"""What an approval is of: every verdict so far, and the data as it stands at that moment."""

from __future__ import annotations

import hashlib
import json

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proctor.core.lifecycle import ACTIVE
from proctor.core.rolling import Standing
from proctor.core.rolling.standing import evidence
from proctor.engine.rolling.journal import Journal
from proctor.engine.site import Site
from proctor.engine.touched import still_held
from proctor.engine.undo import undoable
from proctor.model import LogEntry, Run, RunState

FILE: Final = "the rollout's file"
STATE: Final = "the state of run "
ROWS: Final = "rows written by run "
AUDIT: Final = "the audit of "
UNDER_WAY: Final = "under way"
GOES_ON: Final = (UNDER_WAY, RunState.PAUSED, RunState.FAILED, RunState.SUCCEEDED)
"""What a run that was under way comes to by its own worker."""
PART: Final = 16
"""Characters of a part's digest: they only name what differs; an approval is of the whole."""
Told = tuple[str, dict[str, Any]]
"""The kind of an entry and what it says."""
CHUNKS = 50
"""Chunks of a run that are compared row by row, spread evenly over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a person would be approving now: one digest of all of it, and one of each part."""

    digest: str
    parts: Mapping[str, str]
    """By what people call it. A run has two: its state in words, and a digest of its rows."""


async def seen_now(site: Site, entries: Sequence[LogEntry], standing: Standing) -> Seen:
    """SHA-256 over the stages, the verdicts and the rows: other data is another digest.

    Anybody who can read the ledger and the target computes the same one.
    """
    seen = [list(one.items()) for one in evidence(entries)]
    accepted = [
        [one.data.get("verdict"), one.data.get("digest"), one.who] for one in standing.accepted
    ]
    facts = {name: await facts_of(site, run) for name, run in sorted(standing.runs.items())}
    told = {
        "definition": standing.definition,
        "stage": standing.stage,
        "evidence": seen,
        "accepted": accepted,
        "runs": facts,
    }
    return Seen(digest=_sha(told), parts=dict(_parts(told, entries)))


def _sha(told: Any) -> str:
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _parts(told: Mapping[str, Any], entries: Sequence[LogEntry]) -> Iterator[tuple[str, str]]:
    yield FILE, told["definition"]
    yield "what people went on past", _sha(told["accepted"])[:PART]
    named: dict[str, list[Any]] = {}
    for one in evidence(entries):
        named.setdefault(_called(one), []).append(one)
    for name, some in named.items():
        yield name, _sha(some)[:PART]
    for facts in told["runs"].values():
        run, state = facts["run"], facts["state"]
        yield f"{STATE}{run}", state
        if state != UNDER_WAY:
            yield f"{ROWS}{run}", _sha(facts)[:PART]


def _called(one: Mapping[str, Any]) -> str:
    """What people call a piece of evidence."""
    match one["kind"]:
        case "audit.made":
            return f"{AUDIT}{one['backfill']} at {one['milestone']}"
        case "health.examined":
            return f"the health of {one['backfill']}"
        case "probe.answered":
            return f"the answer of probe {one['probe']}"
        case "flag.observed":
            return f"what readers of {one['flag']} get"
    return f"the verdict on stage {one['stage'] + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is not as it was when a rollout was held."""

    digest: str
    """Of all of it as it is now."""
    told: str
    """In words; empty where nobody knows."""
    went_on: bool
    """Whether it is only what its own worker did, and what was found of that."""
    look: tuple[str, ...]
    """What to type to see it."""


def change(was: Mapping[str, str], seen: Seen) -> Change:
    """Which parts differ. `was` is empty where they were not kept."""
    now, told, look = seen.parts, list[str](), list[str]()
    names = [n for n in dict.fromkeys((*was, *now)) if was.get(n) != now.get(n)] if was else []
    at_work = {n.removeprefix(STATE) for n in was if n.startswith(STATE) and was[n] == UNDER_WAY}
    own = bool(at_work)
    for name in names:
        run = name.removeprefix(STATE).removeprefix(ROWS)
        if name.startswith(STATE):
            before, after = (some.get(name, "not of this rollout") for some in (was, now))
            told.append(f"run {run} was {_plain(before)} and is now {_plain(after)}")
            own = own and run in at_work and after in GOES_ON
        elif name.startswith(ROWS) and (name not in was or name not in now):
            continue  # the state of its run says it
        else:
            told.append(name if name in was else f"{name}, which is new")
            look += [f"proctor verify {run}"] if name.startswith(ROWS) else []
            own = own and name.startswith(AUDIT)
    return Change(
        digest=seen.digest, told=", ".join(told), went_on=own and bool(told), look=tuple(look)
    )


def _plain(state: str) -> str:
    return state.replace("_", " ")


async def facts_of(site: Site, run_id: str) -> Mapping[str, Any]:
    """What matters of a run: whether it is under way, how much it wrote, what still stands."""
    run = await site.store.run(run_id)
    if run.state in ACTIVE:
        return {"run": run.id, "state": UNDER_WAY}
    chunks = await site.store.chunks(run.id)
    books: dict[str, Any] = {
        "run": run.id,
        "state": run.state.value,
        "written": run.outcome.written,
        "undone": sum(one.undone for one in chunks),
    }
    return books | await _standing(site, run, [c.chunk.number for c in chunks if undoable(c)])


async def _standing(site: Site, run: Run, numbers: Sequence[int]) -> dict[str, Any]:
    """How many of the rows that it wrote are as it left them, over some of its chunks."""
    step = max(1, len(numbers) // CHUNKS)
    some = numbers[::step]
    counts = {"holds": 0, "changed": 0, "gone": 0}
    for number in some:
        found = await site.store.verify(run, number)
        counts["holds"] += found.restored
        counts["changed"] += found.changed
        counts["gone"] += found.gone
    spec = await site.store.spec_of(run.id)
    touched = await still_held(site.store, run, spec.touches)
    services = {"touched": touched.written, "touched and changed": touched.changed}
    return counts | services | {"of chunks": len(some)}


async def seen_of(journal: Journal, site: Site, about: Sequence[Told] = ()) -> Seen:
    """The same for a rollout in hand, with what is about to be written down."""
    now = journal.clock.now()
    coming = [LogEntry(kind=kind, at=now, who="", data=data) for kind, data in about]
    return await seen_now(site, [*journal.entries, *coming], journal.standing)


__all__ = ["Change", "Seen", "Told", "change", "facts_of", "seen_now", "seen_of"]
