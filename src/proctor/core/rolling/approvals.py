"""Who may approve what, and whether enough have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from proctor.core.rolling.standing import Held, Standing
from proctor.errors import NotApproved, UsageError
from proctor.model import Halt, LogEntry

GENERAL = Halt(name="a person must decide")
"""The terms where a rollout is held and no halt of its author says others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Whether enough approvals stand, and what is wanting."""

    enough: bool
    why: str
    by: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()


def refuse_approval(
    standing: Standing,
    halt: Halt,
    *,
    who: str,
    digest: str,
    forced: bool,
    reason: str,
    now: datetime,
    differs: str = "",
) -> None:
    """Raise NotApproved unless this person may approve this, now.

    digest: of the evidence as it is now, looked up by the caller. differs: what of it is another.
    """
    _refuse_rejected(standing)
    held = standing.held
    if held is None:
        raise NotApproved(
            "there is nothing to approve",
            found=f"it has ended: {standing.ended.value}" if standing.ended else "it is not held",
            fix="see where it stands: proctor rollout NAME --show",
        )
    if not reason.strip():
        raise NotApproved(
            "an approval has a reason", found="none", fix='say --reason "what you looked at"'
        )
    if digest != held.digest:
        raise NotApproved(
            "what is to be approved has changed since the rollout was held",
            found=(f"{differs}: " if differs else "")
            + f"the evidence was {held.digest[:12]} then and is {digest[:12]} now",
            fix="let the rollout look again (proctor rollout NAME), then approve what it says",
        )
    if same_person(who, standing.by) and not halt.self_review:
        raise NotApproved(
            "who started a rollout does not approve it",
            found=f"{who} started it",
            fix="let somebody else approve; where one person may do so alone, halts say it when "
            "it begins: self_review=True",
        )
    if held.verdict == "fail" and not forced:
        raise NotApproved(
            "an approval does not override a fail",
            found=held.why,
            fix="mend it, and have its stage begun anew: proctor rollout NAME --retry …; or go on "
            "all the same, on record: --force --reason …",
        )
    stands = approved(held, standing.approvals, halt, now=now)
    # A word that has expired, or was not forced where that is asked, does not count.
    if any(same_person(who, one) for one in stands.by):
        raise NotApproved(
            f"{who} has approved this already",
            found=f"{len(standing.approvals)} of {halt.approvals} approvals",
            fix="another person has to approve it",
        )


def _refuse_rejected(standing: Standing) -> None:
    """A rejection stands: whoever drives the rollout next takes back what it opened."""
    said = standing.rejected
    if said is not None and standing.ended is None:
        raise NotApproved(
            "the rollout was rejected, and that is not taken back",
            found=f"{standing.rejection} ({said.at:%Y-%m-%d %H:%M} UTC)",
            fix="step back and end it: proctor rollout NAME; a new one begins with --again",
        )


def refuse_retry(standing: Standing, halt: Halt, *, who: str, altered: Sequence[str] = ()) -> None:
    """Raise unless this person may begin anew what the rollout is held for.

    A fail that is measured again until it passes, or that lets readers in again, is an approval
    by another word: it wants a second person as well. By rules that were written after it, it is
    not measured again at all. altered: what of its file differs now and is not accepted yet.
    """
    held = standing.held
    if held is None:
        raise UsageError(
            "there is nothing to try again", found="it is not held", fix="leave --retry out"
        )
    if standing.stepping_back is not None:
        raise UsageError(
            "no stage is begun anew before all is taken back",
            found=held.why,
            fix="mend that, and leave --retry out: it then goes on to step back",
        )
    _refuse_rejected(standing)
    changed = dict.fromkeys((*standing.altered, *altered))
    if standing.failed and changed:
        back = "" if standing.altered else "put the file back; or "
        raise NotApproved(
            "what failed is not measured again by other rules",
            found=f"changed since: {', '.join(changed)}",
            fix=f"{back}let somebody else look: proctor approve --force --reason …; or reject it, "
            "and begin anew with --again",
        )
    if held.verdict == "fail" and same_person(who, standing.by) and not halt.self_review:
        raise NotApproved(
            "who started a rollout does not try again what failed",
            found=f"{who} started it, and it failed: {held.why}",
            fix="let somebody else look and type it; or reject it, and begin anew with --again",
        )


def approved(held: Held, approvals: Sequence[LogEntry], halt: Halt, *, now: datetime) -> Approved:
    """Whether enough people approved this very evidence, and lately enough."""
    mine = [one for one in approvals if one.data["digest"] == held.digest]
    late = [one for one in mine if now - one.at > halt.expires]
    good = [one for one in mine if one not in late]
    if held.verdict == "fail":  # each of them has to know that it is one
        good = [one for one in good if one.data["forced"]]
    by = dict[str, str]()
    for one in good:
        by.setdefault(_person(one.who), one.who)
    people = tuple(by.values())
    gone = tuple(dict.fromkeys(one.who for one in late if _person(one.who) not in by))
    why = f"{len(people)} of {halt.approvals} approvals"
    if gone:
        why += f"; {expiry(gone, halt)}"
    return Approved(enough=len(people) >= halt.approvals, why=why, by=people, expired=gone)


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's, however they were typed."""
    return _person(one) == _person(other)


def _person(name: str) -> str:
    return name.strip().casefold()


def expiry(people: Sequence[str], halt: Halt) -> str:
    """That what they said is too old, in words."""
    return f"the approval of {' and '.join(people)} has expired: it is older than {halt.expires}"


__all__ = [
    "GENERAL",
    "Approved",
    "approved",
    "expiry",
    "refuse_approval",
    "refuse_retry",
    "same_person",
]
