"""From the log of a rollout to where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from proctor.model import LogEntry, Measurement, Phase, RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Why a person must decide, what to look at, and what an approval would be of."""

    stage: int
    why: str
    verdict: str
    """`halt`, `inconclusive` or `fail`."""
    digest: str
    """Of the evidence: an approval is of exactly this."""
    at: datetime
    look: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """What to type."""
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a rollout stands. `stage` is the index of the one in hand; `passed` counts those done.

    `entered` is when it was entered, None before that. `here` are the entries since then.
    """

    by: str = ""
    """Who started it."""
    began: datetime | None = None
    definition: str = ""
    """Digest of the stages as they were when it began, or were accepted since."""
    speed: float = 1.0
    origin: datetime | None = None
    """By the machine's own clock, where the rollout's clock runs faster."""
    stage: int = 0
    entered: datetime | None = None
    here: tuple[LogEntry, ...] = ()
    passed: tuple[int, ...] = ()
    held: Held | None = None
    approvals: tuple[LogEntry, ...] = ()
    """Of what it is held for; voided ones are not among them."""
    expired: tuple[LogEntry, ...] = ()
    """What was said of those of them that have grown too old."""
    accepted: tuple[LogEntry, ...] = ()
    """Verdicts that people went on past, with who and why."""
    stepping_back: LogEntry | None = None
    """What made it step back, until it has."""
    failed: int = 0
    """The number of the entry that says what failed; 0 where nothing did.

    Until people went past it, or the stage in which it was found is passed after all.
    """
    failed_in: int = 0
    """The stage that was in hand."""
    altered: tuple[str, ...] = ()
    """What of its file was accepted as changed since that."""
    stumbled: LogEntry | None = None
    """What a step back could not take back yet, at its latest try that is on record."""
    rejected: LogEntry | None = None
    ended: RolloutState | None = None
    why: str = ""
    last: datetime | None = None
    """Of the latest entry of whoever drives it."""
    runs: Mapping[str, str] = field(default_factory=dict)
    """The run of each backfill that it applied."""
    flags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By flag what was there `before` this rollout, and while it is open the latest `percent`.

    What it `was` until then as long as nobody knows whether that was written.
    """
    read: dict[int, list[Measurement]] = field(default_factory=dict, compare=False, repr=False)
    """Looks by the number of their entry: each turn of a long soak asks for all of them again."""

    @property
    def rejection(self) -> str:
        """Who gave it up and why; empty where nobody did."""
        if self.rejected is None:
            return ""
        return f"rejected by {self.rejected.who}: {self.rejected.data['reason']}"

    @property
    def why_held(self) -> str:
        """Why a person must decide, and what has become of it since; empty where nobody must."""
        if self.held is None:
            return ""
        since = [one.data["why"] for one in self.expired]
        return "; ".join([self.held.why, *since, *([self.rejection] if self.rejected else [])])

    def measured(self, after: int = 0) -> dict[str, list[Measurement]]:
        """The looks at each metric in this stage, in order, behind the entry of that number."""
        looks: dict[str, list[Measurement]] = {}
        for entry in self.here:
            if entry.number <= after or entry.kind not in _LOOKS:
                continue
            if entry.number not in self.read:
                self.read[entry.number] = _LOOKS[entry.kind](entry)
            looks.setdefault(entry.data["metric"], []).extend(self.read[entry.number])
        return looks

    def told(self, kind: str) -> list[LogEntry]:
        """The entries of that kind in this stage."""
        return [entry for entry in self.here if entry.kind == kind]


def measurement(entry: LogEntry) -> Measurement:
    """A look as the log has it."""
    data = entry.data
    return Measurement(
        metric=data["metric"],
        slot=data["slot"],
        at=datetime.fromisoformat(data["due"]),
        phase=Phase(data["phase"]),
        figures={name: float(value) for name, value in data["figures"].items()},
        told=data["told"],
    )


def missed(entry: LogEntry) -> list[Measurement]:
    """The looks that nobody took, as the log has them together."""
    return [
        Measurement(
            metric=entry.data["metric"],
            slot=slot,
            at=entry.at,
            phase=Phase.MISSED,
            told="nobody looked in time",
        )
        for slot in range(entry.data["first"], entry.data["last"] + 1)
    ]


_LOOKS = {"metric.measured": lambda entry: [measurement(entry)], "metric.missed": missed}


def fold(entries: Iterable[LogEntry], before: Standing | None = None) -> Standing:
    """Where a rollout stands after these entries, in order; `before` is where it stood until then.

    Looks are most of a long log: they are put behind each other at once, not one by one.
    """
    standing, here = before or Standing(), list[LogEntry]()
    last = standing.last
    for entry in entries:
        here.append(entry)
        if not entry.kind.startswith("approval."):  # those come by the clocks of other machines
            last = entry.at
        change = _CHANGES.get(entry.kind)
        if change is not None:
            standing = change(replace(standing, here=(*standing.here, *here), last=last), entry)
            here = []
    return replace(standing, here=(*standing.here, *here), last=last)


def _began(s: Standing, e: LogEntry) -> Standing:
    origin = e.data.get("origin")
    return replace(
        s,
        by=e.who,
        began=e.at,
        definition=e.data["digest"],
        speed=float(e.data.get("speed", 1.0)),
        origin=datetime.fromisoformat(origin) if origin else None,
    )


def _accepted_change(s: Standing, e: LogEntry) -> Standing:
    said = [e.data["why"]] if "why" in e.data else e.data["changed"]
    names = (*s.altered, *said) if s.failed else ()
    return replace(s, definition=e.data["digest"], altered=tuple(dict.fromkeys(names)))


def _entered(s: Standing, e: LogEntry) -> Standing:
    stage = e.data["stage"]
    # A stage that begins anew after a step back takes those behind it along.
    before = tuple(one for one in s.passed if one < stage)
    return replace(s, stage=stage, passed=before, entered=e.at, here=(e,))


def _passed(s: Standing, e: LogEntry) -> Standing:
    stage = e.data["stage"]
    settled = stage >= s.failed_in
    return replace(
        s,
        passed=(*s.passed, stage),
        stage=stage + 1,
        entered=None,
        held=None,
        approvals=(),
        here=(e,),
        failed=0 if settled else s.failed,
        altered=() if settled else s.altered,
    )


def _held(s: Standing, e: LogEntry) -> Standing:
    held = Held(
        stage=e.data["stage"],
        why=e.data["why"],
        verdict=e.data["verdict"],
        digest=e.data["digest"],
        at=e.at,
        look=tuple(e.data.get("look", ())),
        words=tuple(e.data.get("type", ())),
        number=e.number,
    )
    # What was approved of another digest is of no use here, nor what was said to another question.
    same = s.held is not None and s.held.why == held.why
    kept = tuple(a for a in s.approvals if same and a.data["digest"] == held.digest)
    s = _failed(s, e) if held.verdict == "fail" else s
    return replace(s, held=held, approvals=kept, expired=s.expired if kept else ())


def _failed(s: Standing, e: LogEntry) -> Standing:
    return s if s.failed else replace(s, failed=e.number, failed_in=s.stage)


def _given(s: Standing, e: LogEntry) -> Standing:
    late = tuple(one for one in s.expired if one.data["by"] != e.who)
    return replace(s, approvals=(*s.approvals, e), expired=late)


def _expired(s: Standing, e: LogEntry) -> Standing:
    return replace(s, expired=(*s.expired, e))


def _voided(s: Standing, _e: LogEntry) -> Standing:
    return replace(s, approvals=(), expired=(), held=None)


def _went_on(s: Standing, e: LogEntry) -> Standing:
    return replace(s, held=None, accepted=(*s.accepted, e), failed=0, altered=())


def _retried(s: Standing, e: LogEntry) -> Standing:
    """The stage is entered anew: what was measured in it does not count any more."""
    return replace(
        s,
        stage=e.data["stage"],
        entered=None,
        held=None,
        approvals=(),
        stepping_back=None,
        here=(e,),
    )


def _stepping(s: Standing, e: LogEntry) -> Standing:
    return replace(_failed(s, e), stepping_back=e, stumbled=None, held=None)


def _stumbled(s: Standing, e: LogEntry) -> Standing:
    return replace(s, stumbled=e)


def _resumed(s: Standing, _e: LogEntry) -> Standing:
    return replace(s, held=None, approvals=())


def _stepped(s: Standing, _e: LogEntry) -> Standing:
    return replace(s, stepping_back=None, stumbled=None)


def _rejected(s: Standing, e: LogEntry) -> Standing:
    return replace(s, rejected=e)


def _ended(s: Standing, e: LogEntry) -> Standing:
    return replace(s, ended=RolloutState(e.data["to"]), why=e.data["why"])


def _ran(s: Standing, e: LogEntry) -> Standing:
    return replace(s, runs={**s.runs, e.data["backfill"]: e.data["run"]})


def _flag_read(s: Standing, e: LogEntry) -> Standing:
    name = e.data["flag"]
    if "percent" in s.flags.get(name, {}):
        return s  # what is there now is ours: a step back goes to what was there before it
    return replace(s, flags={**s.flags, name: {"before": e.data["before"]}})


def _flag_open(s: Standing, e: LogEntry) -> Standing:
    """As soon as it was intended: nobody knows whether a write that was not told was made."""
    name = e.data["flag"]
    now = {"before": s.flags[name]["before"], "percent": e.data["percent"]}
    if e.kind == "flag.intended":
        now["was"] = e.data["was"]
    return replace(s, flags={**s.flags, name: now})


def _rows_back(s: Standing, e: LogEntry) -> Standing:
    """What was written is gone: another run has to write it, if it is to be written."""
    left = {k: run for k, run in s.runs.items() if run != e.data["run"]}
    return replace(s, runs=left, stumbled=None)


def _flag_shut(s: Standing, e: LogEntry) -> Standing:
    name = e.data["flag"]
    shut = {**s.flags, name: {"before": s.flags[name]["before"]}}
    return replace(s, flags=shut, stumbled=None)


_CHANGES = {
    "rollout.began": _began,
    "rollout.changed": _accepted_change,
    "rollout.held": _held,
    "rollout.went_on": _went_on,
    "rollout.ended": _ended,
    "stage.entered": _entered,
    "stage.passed": _passed,
    "stage.retried": _retried,
    "approval.given": _given,
    "approval.voided": _voided,
    "approval.expired": _expired,
    "step_back.begun": _stepping,
    "step_back.stumbled": _stumbled,
    "step_back.resumed": _resumed,
    "step_back.rows_restored": _rows_back,
    "flag.reopened": _flag_open,
    "step_back.ended": _stepped,
    "rollout.rejected": _rejected,
    "run.found": _ran,
    "run.gone": _rows_back,
    "flag.read": _flag_read,
    "flag.intended": _flag_open,
    "flag.set": _flag_open,
    "flag.reset": _flag_open,
    "step_back.flag_restored": _flag_shut,
}


def stumble(entry: LogEntry) -> str:
    """What could not be taken back at a try, and who sees what meanwhile, in words."""
    data = entry.data
    tries = f"try {data['tries']:,}"
    if "flag" not in data:
        return f"the rows of run {data['run']} are not back ({tries}): {data['why']}"
    percent = data.get("percent")
    still = f" at {percent}%" if percent is not None else ""
    return (
        f"readers are still let in: flag {data['flag']} stands{still}, as last known, and could "
        f"not be put back ({tries}): {data['why']}"
    )


_EVIDENCE = frozenset(
    {"stage.judged", "audit.made", "health.examined", "probe.answered", "flag.observed"}
)


def evidence(entries: Sequence[LogEntry]) -> list[Mapping[str, Any]]:
    """What a person would be approving: every verdict, audit and answer so far, without times."""
    return [{"kind": entry.kind, **entry.data} for entry in entries if entry.kind in _EVIDENCE]


__all__ = ["Held", "Standing", "evidence", "fold", "measurement", "stumble"]
