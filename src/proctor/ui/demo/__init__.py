"""Demos: a scenario from end to end by real commands, killed half-way, undone, and proved.

They type what a person would type, each command in a process of its own. Only the look at how far
a run has come, and what proves it in the end, are their own.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proctor.errors import UsageError

if TYPE_CHECKING:
    from proctor.ui.options import Wish

SCENARIOS: Final = ("wardrobe", "songs", "jobs", "books", "sessions")


def main(wish: Wish, name: str | None, folder: Path | None = None) -> int:
    """Play a scenario in a folder of its own; the exit code.

    Raises UsageError for a scenario that there is none of, for one whose servers are not
    installed, or for a folder that is not empty; Broken when a step of the story does not end as
    it should.
    """
    from proctor.ui.demo.stage import Stage
    from proctor.ui.out import answer

    if name not in (None, *SCENARIOS):
        raise UsageError(
            f"there is no scenario named {name}",
            found=f"shipped: {', '.join(SCENARIOS)}",
            fix="run `proctor demo`",
        )
    scenario = name or SCENARIOS[0]
    with Stage.set(scenario, folder, quiet=wish.json) as stage:
        told = import_module(f"proctor.ui.demo.{scenario}").play(stage)
    if wish.json:
        answer(wish, told)
    return 0
