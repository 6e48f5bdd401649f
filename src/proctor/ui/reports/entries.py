"""What one entry of a rollout's log says, in words: the same in each of its reports."""

from __future__ import annotations

import json

from typing import Any

from proctor.model import LogEntry

TOLD = ("name", "probe", "flag", "backfill", "run", "verdict", "why", "told")
"""Parts of an entry that are worth a place in its line."""


def brief(entry: LogEntry) -> str:
    """One line of it; empty where its kind says all."""
    data = entry.data
    if entry.kind in _OF_FLAGS:
        return f"{data['flag']} {flag(entry)}"
    said = [_text(data[name]) for name in TOLD if data.get(name)]
    return ": ".join(said)


def kind(entry: LogEntry) -> str:
    """What happened, without the dots of a name."""
    return entry.kind.replace(".", " ").replace("_", " ")


def flag(entry: LogEntry) -> str:
    """What became of a flag."""
    data = entry.data
    match entry.kind:
        case "step_back.flag_restored":
            said = f"stepped back: at {data['percent']}% again"
        case "flag.read":
            said = f"was at {data['before']['percent']}% before"
        case "flag.reopened" if data.get("as_found"):
            said = f"left at {data['percent']}%: somebody has written it since it was closed"
        case "flag.reopened":
            said = f"opened again to {data['percent']}%, by the word of people"
        case "flag.set":
            said = f"set to {data['percent']}%"
        case "flag.reset":
            said = f"put back to {data['percent']}%: its stage was begun anew"
        case _ if data["share"] is None:
            said = f"{data['percent']}%: it cannot be read as readers see it"
        case _:
            said = f"{data['share']:.1%} of {data['of']:,} synthetic readers are let in"
            said += f", {data['lost']:,} of those before are out" if data["lost"] else ""
    return said


_OF_FLAGS = frozenset(
    {"step_back.flag_restored", "flag.read", "flag.reopened", "flag.set", "flag.reset"}
    | {"flag.observed"}
)


def back(entry: LogEntry) -> str:
    """What was taken back, and how long after its begin."""
    data = entry.data
    parts = [_text(data[name]) for name in ("flag", "run", "why", "told") if data.get(name)]
    if "restored" in data:
        parts.append(f"{data['restored']:,} rows restored, {data['left']:,} left alone")
    parts += [f"try {data['tries']}"] if "tries" in data else []
    took = f" ({data['seconds']:g} s after its begin)" if data.get("seconds") is not None else ""
    return f"{entry.kind.partition('.')[2].replace('_', ' ')}: {', '.join(parts)}{took}"


def worker(entry: LogEntry) -> str:
    """What a worker did."""
    data = entry.data
    return {
        "worker.started": f"started, process {data.get('pid')}",
        "worker.ended": f"left with exit code {data.get('code')}",
        "run.found": f"works on run {data.get('run')}",
        "run.gone": f"run {data.get('run')} was taken back by hand, and another writes its rows",
        "worker.finished": str(data.get("why", "")),
    }[entry.kind]


def answer(told: Any) -> str:
    """What a probe answered."""
    return "" if told is None else json.dumps(told, ensure_ascii=False)


def _text(told: Any) -> str:
    return "; ".join(map(str, told)) if isinstance(told, list | tuple) else str(told)


__all__ = ["answer", "back", "brief", "flag", "kind", "worker"]
