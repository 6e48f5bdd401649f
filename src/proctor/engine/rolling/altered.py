"""What of a rollout's stages changed, in words: for whoever asks later by which rules it passed."""

from __future__ import annotations

import json

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

SHOWN: Final = 80
"""Characters of a rule in a sentence."""
HALT: Final = "halt"
Told = Mapping[str, Any]


def in_words(was: Sequence[Told], now: Sequence[Told]) -> list[str]:
    """Stages that came and went, and of the others every rule that is not what it was."""
    return list(_named(was, now, "stage", ""))


def weakened(was: Sequence[Told], now: Sequence[Told]) -> list[str]:
    """Halts that want a second person and would want less: fewer people, or an older word."""
    after = {one["name"]: one for one in now if one.get("what") == HALT}
    found = []
    for one in was:
        if one.get("what") != HALT or one["self_review"]:
            continue
        new, name = after.get(one["name"]), one["name"]
        if new is None:
            found.append(f"halt {name} was taken out")
            continue
        less = {
            "self_review": new["self_review"],
            "approvals": new["approvals"] < one["approvals"],
            "expires": new["expires"] > one["expires"],
        }
        found += [
            f"halt {name}: {rule} {_short(one[rule], new[rule])}"
            for rule, is_so in less.items()
            if is_so
        ]
    return found


def _named(was: Sequence[Told], now: Sequence[Told], kind: str, of: str) -> Iterator[str]:
    before, after = ({_name(one): one for one in some} for some in (was, now))
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            yield f"{kind} {name}{of} was taken out"
        elif name not in before:
            yield f"{kind} {name}{of} is new"
        else:
            here = f"{kind} {name}{of}" if kind != "stage" else name
            yield from _rules(before[name], after[name], here)
    both = [one for one in before if one in after]
    if both != [one for one in after if one in before]:
        yield f"the order of the {kind}s{of} is another"


def _name(one: Told) -> str:
    """As people call it: the kind of a stage stands before its name where that does not say it."""
    name, what = str(one["name"]), str(one.get("what", ""))
    return name if name.startswith(what) else f"{what} {name}"


def _rules(was: Told, now: Told, here: str) -> Iterator[str]:
    for rule in dict.fromkeys((*was, *now)):
        old, new = was.get(rule), now.get(rule)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _rules(old, new, here)
        elif _are_named(old) and _are_named(new) and (old or new):
            yield from _named(old or [], new or [], rule.removesuffix("s"), f" of {here}")
        else:
            yield f"{here}: {rule} {_short(old, new)}"


def _are_named(value: Any) -> bool:
    """Whether these are metrics, probes and the like: things with names of their own."""
    return isinstance(value, list) and all(isinstance(o, Mapping) and "name" in o for o in value)


def _short(old: Any, new: Any) -> str:
    """Both, cut short around where they differ: what changed in a long query has to be seen."""
    was, now = (one if isinstance(one, str) else json.dumps(one) for one in (old, new))
    same = next((n for n, (a, b) in enumerate(zip_longest(was, now)) if a != b), 0)
    start = max(0, same - SHOWN // 4) if max(len(was), len(now)) > SHOWN else 0
    return f"{_cut(was, start)} -> {_cut(now, start)}"


def _cut(text: str, start: int) -> str:
    left, right = "…" if start else "", "…" if len(text) > start + SHOWN else ""
    return f"{left}{text[start : start + SHOWN]}{right}" or '""'


__all__ = ["in_words", "weakened"]
