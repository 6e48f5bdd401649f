"""A rollout's definition as it is shown and digested: what was begun is what goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from proctor.engine.digest import Walk, digest_of
from proctor.model import RolloutPlan, Stage

SECRET = frozenset({"headers", "url"})
"""Words that may hold secrets: they count, and are not shown."""


def outline(plan: RolloutPlan) -> list[dict[str, Any]]:
    """Its stages as JSON, each with all that it was told."""
    return [{"what": kind_of(stage), **_told(stage)} for stage in plan.stages]


def kind_of(stage: Stage) -> str:
    """The kind of a stage, as authors write it."""
    return type(stage).__name__.removesuffix("Stage").lower()


def files_of(plan: RolloutPlan, root: Path) -> Mapping[str, str]:
    """Digests of its source files and of what they import, by name, and of its words."""
    walk = Walk(root=root.resolve())
    path = Path(plan.file)
    if path.is_file():
        walk.file(plan.module, path)
    while walk.waiting:
        walk.module(walk.waiting.pop())
    words = {
        "stages=": digest_of(outline(plan)),
        "monitor=": digest_of(_told(plan.monitor) if plan.monitor else None),
        "on_fail=": digest_of(plan.on_fail.value),
        "within=": digest_of(str(plan.within)),
    }
    return dict(sorted((walk.files | words).items()))


def digest(files: Mapping[str, str]) -> str:
    """One digest over all of them."""
    return digest_of(dict(files))


def _told(value: Any) -> dict[str, Any]:
    return {
        one.name: _plain(getattr(value, one.name))
        for one in fields(value)
        if one.name not in SECRET
    }


def _plain(value: Any) -> Any:
    plain = value
    match value:
        case Enum():
            plain = value.value
        case timedelta():
            plain = value.total_seconds()
        case Mapping():
            plain = {str(k): _plain(v) for k, v in value.items()}
        case list() | tuple():
            plain = [_plain(one) for one in value]
        case _ if is_dataclass(value):
            plain = _told(value)
        case _ if callable(value):
            plain = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    return plain


__all__ = ["digest", "files_of", "kind_of", "outline"]
