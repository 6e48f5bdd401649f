"""Held: why a person must decide, what to look at and what to type; and how it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from proctor.core.rolling import Approved, Held, Standing, approved, still_open
from proctor.core.rolling.approvals import GENERAL, expiry
from proctor.engine.rolling.evidence import Change, Told, change, seen_of
from proctor.engine.rolling.rig import Rig
from proctor.model import Halt, RolloutState, Stage

ANEW: Final = 60.0
"""Seconds between two looks at whether what is to be approved is as it was."""
CHANGED: Final = "; what was to be approved has changed since"
WENT_ON: Final = "; the run went on meanwhile: "
"""Before what its own worker did, where nobody had approved anything yet."""


def terms_of(stages: Sequence[Stage], standing: Standing) -> Halt:
    """The terms of the halt that a rollout is held at; general ones elsewhere."""
    held = standing.held
    if held is not None and held.stage < len(stages):
        stage = stages[held.stage]
        if isinstance(stage, Halt):
            return stage
    # The strictest that its author asks for anywhere: what nobody foresaw wants no fewer eyes.
    halts = [one for one in stages if isinstance(one, Halt)]
    if not halts:
        return GENERAL
    return Halt(
        name=GENERAL.name,
        approvals=max(one.approvals for one in halts),
        self_review=all(one.self_review for one in halts),
        expires=min(one.expires for one in halts),
    )


async def hold(
    rig: Rig,
    why: str,
    *,
    verdict: str,
    then: str = "pass",
    look: Sequence[str] = (),
    about: Sequence[Told] = (),
    question: str = "",
    at: int | None = None,
    words: Sequence[str] = (),
) -> None:
    """Write down that a person must decide, with what that is about.

    question: by which `went_past` knows the answer again; an answer to another one is none.

    verdict: halt, inconclusive or fail. then: what follows an approval: the stage is passed
    (`pass`), goes on where it was (`go_on`), or begins anew (`restart`), where `at` says
    another stage that one. words: what to type, where that is not to try it again or to approve it.
    """
    standing = rig.journal.standing
    ident = rig.journal.rollout.id
    force = " --force" if verdict == "fail" else ""
    # What can be mended is tried again; past it goes only who has looked.
    mended = verdict != "halt" and not (standing.failed and standing.altered)
    again = [f'proctor rollout {rig.plan.name} --retry "…"'] if mended else []
    other = ""
    if verdict == "fail" and not terms_of(rig.plan.stages, standing).self_review:
        other = f"  # by somebody else than {standing.by}"
    seen = await seen_of(rig.journal, rig.site, about)
    if (let_in := still_open(standing)) and let_in not in why:
        why = f"{why}; {let_in}"  # whoever is called has to know what is at stake
    held: dict[str, Any] = {
        "stage": standing.stage if at is None else at,
        "why": why,
        "verdict": verdict,
        "then": then,
        "question": question,
        "digest": seen.digest,
        "parts": dict(seen.parts),
        "look": list(look),
        "type": list(words)
        or [
            *(f"{one}{other}" for one in again),
            f'proctor approve {ident}{force} --reason "…"{other}',
            f'proctor reject {ident} --reason "…"',
        ],
    }
    await rig.journal.add_all([*about, ("rollout.held", held)], state=RolloutState.HELD)


async def decide(rig: Rig) -> bool:
    """Whether what holds the rollout was settled by people: then it may go on.

    An approval counts only for the evidence as it is now: where that has changed it is void,
    and the rollout is held anew.
    """
    journal = rig.journal
    held = journal.standing.held
    assert held is not None  # noqa: S101 - the caller has looked
    halt = terms_of(rig.plan.stages, journal.standing)
    # Now and then also before anybody approved: what is held is to be what stands there now.
    real = rig.site.clock.monotonic()
    number, looked = rig.carry.get("looked at hold", (0, 0.0))
    if not journal.standing.approvals and number == held.number and real - looked < ANEW:
        return False
    rig.carry["looked at hold"] = held.number, real
    found = approved(held, journal.standing.approvals, halt, now=rig.clock.now())
    now = await seen_of(rig.journal, rig.site)
    if now.digest != held.digest:
        was = journal.entries[held.number - 1].data.get("parts", {})
        await _hold_anew(rig, held, change(was, now), found)
        return False
    if not found.enough:
        await _say_expired(rig, found, halt)
        return False
    reasons = {a.who: a.data["reason"] for a in journal.standing.approvals}
    asked = journal.entries[held.number - 1].data
    await journal.add(
        "rollout.went_on",
        stage=held.stage,
        verdict=held.verdict,
        digest=held.digest,
        why=held.why,
        by=list(found.by),
        reasons=reasons,
        then=asked["then"],
        question=asked.get("question", ""),
    )
    return True


async def _say_expired(rig: Rig, found: Approved, halt: Halt) -> None:
    """On record, once: who gave it would look in vain for why nothing goes on."""
    known = {e.data["by"] for e in rig.journal.standing.expired}
    told: list[Told] = [
        ("approval.expired", {"by": one, "why": expiry([one], halt)})
        for one in found.expired
        if one not in known
    ]
    if told:
        await rig.journal.add_all(told)


async def _hold_anew(rig: Rig, held: Held, differs: Change, found: Approved) -> None:
    """Held for the same, with what it is about as it is now, and what of that is another."""
    standing, asked = rig.journal.standing, rig.journal.entries[held.number - 1].data
    about: list[Told] = []
    named = f": {differs.told}" if differs.told else ""
    if standing.approvals:
        why = f"what was approved has changed since{named}"
        said = {"why": why, "was": held.digest, "digest": differs.digest, "by": list(found.by)}
        about.append(("approval.voided", said))
    if differs.went_on and not standing.approvals:
        suffix = f"{WENT_ON}{differs.told}"
    else:
        suffix = f"{CHANGED}{named}; so it has to be looked at again"
    await hold(
        rig,
        held.why.partition(CHANGED)[0].partition(WENT_ON)[0] + suffix,
        verdict=held.verdict,
        then=asked["then"],
        at=held.stage,
        look=list(dict.fromkeys((*differs.look, *held.look))),
        question=asked.get("question", ""),
        words=held.words if standing.stepping_back else (),
        about=about,
    )


def went_past(rig: Rig, question: str, *, after: int = 0) -> bool:
    """Whether people went on past this very question, behind the entry of that number."""
    return any(
        e.kind == "rollout.went_on" and e.data.get("question", "") == question and e.number > after
        for e in rig.journal.entries
    )


__all__ = ["decide", "hold", "terms_of", "went_past"]
