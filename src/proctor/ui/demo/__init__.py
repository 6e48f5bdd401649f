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


def main(
    wish: Wish,
    name: str | None,
    folder: Path | None = None,
    *,
    overnight: bool = False,
    leak: bool = False,
    rollout: bool = False,
) -> int:
    """Play a scenario in a folder of its own; the exit code.

    overnight: the rollout of songs instead of a run of it; leak: with a tag that leaks. rollout:
    that of the wardrobe.
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
    _fits(scenario, overnight=overnight, leak=leak, rollout=rollout)
    with Stage.set(scenario, folder, quiet=wish.json) as stage:
        if overnight:
            from proctor.ui.demo.overnight import play

            told = play(stage, leak=leak)
        else:
            story = "canary" if rollout else scenario
            told = import_module(f"proctor.ui.demo.{story}").play(stage)
    if wish.json:
        answer(wish, told)
    return 0


def _fits(scenario: str, *, overnight: bool, leak: bool, rollout: bool) -> None:
    if rollout and scenario != "wardrobe":
        raise UsageError(
            f"the demo of {scenario} has no rollout of its own",
            found="--rollout",
            fix="proctor demo wardrobe --rollout",
        )
    if overnight and scenario != "songs":
        raise UsageError(
            f"{scenario} has no night", found="--overnight", fix="proctor demo songs --overnight"
        )
    if leak and not overnight:
        raise UsageError(
            "a tag leaks in the rollout of songs only, which is a night's",
            found="--leak without --overnight",
            fix="proctor demo songs --overnight --leak",
        )
