"""What people are told of a run, and when: severity, repeats, silence, many made into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final

from proctor.core.windows import Window, closed_until
from proctor.model import Event, Severity

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL

SEVERITIES: Final[dict[str, Severity | None]] = {
    "plan.made": INFO,
    "sample.paid": INFO,
    "run.opened": INFO,
    "run.resumed": INFO,
    "run.pausing": INFO,
    "run.paused": WARNING,
    "run.cancelling": INFO,
    "run.cancelled": WARNING,
    "run.failed": CRITICAL,
    "run.succeeded": INFO,
    "run.tuned": INFO,
    "run.throttled": INFO,
    "batch.submitted": INFO,
    "batch.ended": WARNING,
    "batch.ended/settled": INFO,
    "quota.spent": WARNING,
    "quota.renewed": INFO,
    "limit.neared": WARNING,
    "run.stalled": CRITICAL,
    "run.rate_collapsed": CRITICAL,
    "run.beat_missed": WARNING,
    "signal.missed": WARNING,
    "alert.raised": WARNING,
    "alert.raised/stuck": CRITICAL,
    "health.checked": WARNING,
    "health.checked/pass": INFO,
    "columns.noted": None,
    "check.noted": WARNING,
    "text.shortened": INFO,
    "rows.audited": WARNING,
    "rows.audited/pass": INFO,
    "rows.audited/fail": CRITICAL,
    "rows.checked": WARNING,
    "rows.checked/pass": INFO,
    "rows.checked/fail": CRITICAL,
    "answers.noted": INFO,
    "sweep.started": INFO,
    "chunk.applied": None,
    "chunk.retried": None,
    "chunk.split": None,
    "chunk.fenced": None,
    "chunk.undone": None,
    "slice.failed": WARNING,
    "run.verified": WARNING,
    "run.verified/pass": INFO,
    "run.verified/fail": CRITICAL,
    "rollback.started": WARNING,
    "rollback.finished": WARNING,
    "rollback.stopped": WARNING,
    "script.written": INFO,
    "images.pruned": INFO,
    "rollout.began": INFO,
    "rollout.held": WARNING,
    "rollout.held/fail": CRITICAL,
    "rollout.step_back_begun": CRITICAL,
    "rollout.step_back_stumbled": CRITICAL,
    "rollout.stepped_back": CRITICAL,
    "rollout.ended": INFO,
    "rollout.logged": None,
    "rollout.stumbled": WARNING,
    "worker.died": WARNING,
    "answers.exported": INFO,
    "answers.pruned": INFO,
    "notice.sent": None,
    "notice.missed": None,
}
"""Every event's severity; None is never told. Behind a slash stands what the event itself says."""

VARIANTS: Final = ("alert", "verdict", "how")
"""The fields that an event says it in."""
SUBJECTS: Final = (
    "alert",
    "provider",
    "limit",
    "signal",
    "batch",
    "verdict",
    "until",
    "of",
    "rollout",
    "since",
    "tries",
)
"""The fields that tell two events of one name and backfill apart, for whoever has read one."""
SHOWN: Final = 12
"""Notices that one message tells in full; of more it says how many."""
LONGEST: Final = 400
"""Characters of one field: a message is read on a telephone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which events go to one place, and when.

    `events` are names or patterns such as `run.*`; one that begins with `!` takes names out.
    """

    place: str
    events: tuple[str, ...] = ("*",)
    least: Severity = WARNING
    repeat_after: timedelta = timedelta(hours=1)
    silence: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An event on its way to people. `backfill` is empty where none is concerned."""

    event: Event
    severity: Severity
    backfill: str = ""

    @property
    def thing(self) -> str:
        """What it is about: the same thing is not told again at once, whichever run it is."""
        said = [f"{k}={v}" for k in SUBJECTS if (v := self.event.data.get(k)) not in (None, "")]
        of = self.backfill or self.event.run
        return " ".join([self.event.env, self.event.name, of, *said])


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent: a line, and the rest of it."""

    title: str
    text: str
    severity: Severity


def severity_of(event: Event) -> Severity | None:
    """How grave an event is; None where nobody is told. What is not known here is `info`."""
    for field in VARIANTS:
        found = f"{event.name}/{event.data.get(field)}"
        if found in SEVERITIES:
            return SEVERITIES[found]
    return SEVERITIES.get(event.name, INFO)


def matches(patterns: Sequence[str], name: str) -> bool:
    """Whether a name is meant: by one of the patterns, and by none that begins with `!`."""
    out = [p[1:] for p in patterns if p.startswith("!")]
    into = [p for p in patterns if not p.startswith("!")] or ["*"]
    return any(fnmatchcase(name, p) for p in into) and not any(fnmatchcase(name, p) for p in out)


def goes_to(rule: Rule, notice: Notice) -> bool:
    """Whether a place wants it. Silence holds back all but what is critical."""
    if notice.severity.rank < rule.least.rank or not matches(rule.events, notice.event.name):
        return False
    at = notice.event.at
    silent = any(closed_until(window, at) is not None for window in rule.silence)
    return not silent or notice.severity is CRITICAL


def without_repeats(
    rule: Rule, notices: Sequence[Notice], told: Mapping[str, datetime]
) -> list[Notice]:
    """Those that are news: `told` says when each thing was told last at this place."""
    last, news = dict(told), list[Notice]()
    for notice in notices:
        before, at = last.get(notice.thing), notice.event.at
        if before is not None and before <= at < before + rule.repeat_after:
            continue
        last[notice.thing] = at
        news.append(notice)
    return news


def message(notices: Sequence[Notice], *, left_out: int = 0) -> Message:
    """Many made into one: the gravest first in the title, and all in the order they happened.

    left_out: how many more there were that nobody kept.
    """
    gravest = max(notices, key=lambda n: n.severity.rank)
    more = len(notices) - 1 + left_out
    title = f"Proctor, {gravest.event.env}: {_what(gravest)}" + (
        f" and {more} more" if more else ""
    )
    if not more:
        return Message(title=title, text=_told(gravest), severity=gravest.severity)
    graver = sorted(notices, key=lambda n: -n.severity.rank)[:SHOWN]
    lines = [_line(n) for n in notices if any(n is kept for kept in graver)]
    rest = len(notices) - len(lines) + left_out
    lines += [f"and {rest} more, which the ledger has"] if rest else []
    return Message(title=title, text="\n".join(lines), severity=gravest.severity)


def _what(notice: Notice) -> str:
    of = f" of {notice.backfill}" if notice.backfill else ""
    return f"{notice.event.name}{of} ({notice.severity})"


def _told(notice: Notice) -> str:
    event = notice.event
    facts = [("run", event.run), ("by", event.who), ("at", f"{event.at:%Y-%m-%d %H:%M:%S} UTC")]
    said = [f"{name}: {_cut(value)}" for name, value in _fields(event)]
    return "\n".join([*said, *(f"{name}: {value}" for name, value in facts if value)])


def _line(notice: Notice) -> str:
    said = ", ".join(f"{name} {_cut(value)}" for name, value in _fields(notice.event))
    run = f" [{notice.event.run}]" if notice.event.run else ""
    return f"{notice.event.at:%H:%M:%S} {_what(notice)}{run}" + (f": {said}" if said else "")


def _fields(event: Event) -> list[tuple[str, object]]:
    """What an event says, the reason first; nothing of what is empty."""
    named = sorted(event.data.items(), key=lambda pair: pair[0] != "why")
    return [(name, v) for name, v in named if v not in (None, "", 0, [], {}) or name == "value"]


def _cut(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


__all__ = [
    "SEVERITIES",
    "Message",
    "Notice",
    "Rule",
    "goes_to",
    "matches",
    "message",
    "severity_of",
    "without_repeats",
]
