"""Probes: questions with an answer that a person can read, asked before and after."""

from __future__ import annotations

import asyncio
import inspect
import json

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from proctor.engine.rolling.holding import hold
from proctor.engine.rolling.rig import Answered, Rig, Turn, wait
from proctor.engine.site import Site
from proctor.errors import ProctorError, Unmeasured
from proctor.model import Figures, FlagState, Precheck, Probe, ProbeKind, RolloutPlan

AGAIN = 30.0
"""Seconds between two tries of prechecks that said no, while somebody waits for them."""
CUT = 2_000
"""Characters of an answer that are kept."""


async def precheck(rig: Rig, stage: Precheck) -> Turn:
    """Ask every probe; held where one says no. What is answered is not asked again."""
    await ask_all(rig, stage.probes, when="precheck")
    answers = answered(rig, "precheck")
    wrong = {name: told for name, (ok, told, _) in answers.items() if not ok}
    if not wrong:
        return Turn(done=f"{len(answers)} of {len(answers)} probes say yes")
    said = "; ".join(f"{name}: {told}" for name, told in wrong.items())
    look = [f"probe {name}; then try again: --retry REASON" for name in wrong]
    await hold(rig, f"not ready: {said}", verdict="inconclusive", look=look)
    return wait(rig.clock.now(), AGAIN)


def answered(rig: Rig, when: str) -> dict[str, tuple[bool, str, Any]]:
    """What the probes of this stage answered at that time: yes or no, in words, and the answer."""
    return {
        e.data["probe"]: (e.data["ok"], e.data["told"], e.data["answer"])
        for e in rig.journal.standing.told("probe.answered")
        if e.data["when"] == when
    }


async def ask_all(rig: Rig, probes: Sequence[Probe], *, when: str) -> None:
    """Ask those that have not answered yet, and write each answer down."""
    for probe in probes:
        if probe.name in answered(rig, when):
            continue
        found = await ask(rig, probe)
        await rig.journal.add(
            "probe.answered",
            stage=rig.journal.standing.stage,
            when=when,
            probe=probe.name,
            ok=found.ok,
            told=found.told,
            answer=found.answer,
        )


class Asks(Protocol):
    """Whoever can ask probes: the rig of a rollout, and who looks at a metric outside of one."""

    @property
    def site(self) -> Site:
        """Whose store answers SQL."""

    @property
    def outside(self) -> Callable[[Probe], Awaitable[Answered]]:
        """Asks git, variables, HTTP, a command."""

    async def read(self, flag: str, /) -> FlagState:
        """What a flag's tool says of it."""


async def ask(asks: Asks, probe: Probe) -> Answered:
    """One answer; whatever a probe raises is a no with the reason."""
    try:
        async with asyncio.timeout(probe.timeout.total_seconds()):
            return await _asked(asks, probe)
    except TimeoutError:
        return Answered(ok=False, told=f"no answer within {probe.timeout.total_seconds():g} s")
    except ProctorError as error:
        return Answered(ok=False, told=str(error))


async def _asked(asks: Asks, probe: Probe) -> Answered:
    if probe.kind is ProbeKind.PYTHON:
        return await _python(probe)
    if probe.kind is ProbeKind.SQL:
        number = await asks.site.store.measure(probe.of[0])
        return Answered(ok=bool(number), told=f"{number:g}", answer=number)
    if probe.kind is ProbeKind.FLAG:
        state = await asks.read(probe.of[0])
        told = f"{probe.of[0]} answers: {state.percent}%"
        return Answered(ok=True, told=told, answer=state.percent)
    return await asks.outside(probe)


async def figures_of(asks: Asks, plan: RolloutPlan, name: str) -> Figures:
    """What a metric learns of a probe of its rollout: 1 or 0. Unmeasured where there is none."""
    probes = {p.name: p for stage in plan.stages for p in getattr(stage, "probes", ())}
    if name not in probes:
        error = Unmeasured(
            "there is no probe of that name in a stage of this rollout",
            found=f"{name}; there are {', '.join(probes) or 'none'}",
            fix="name one of those, or add it to a precheck",
        )
        error.for_good = True
        raise error
    return {"ok": float((await ask(asks, probes[name])).ok)}


async def _python(probe: Probe) -> Answered:
    assert probe.call is not None  # noqa: S101 - told at definition
    try:
        if inspect.iscoroutinefunction(probe.call):
            found = await probe.call()
        else:
            found = await asyncio.to_thread(probe.call)
        answer = _plain(found)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what the author's code raises is its answer
        return Answered(ok=False, told=f"it raised {type(error).__name__}")
    ok = found is None or bool(found) or found == 0
    return Answered(ok=found is not False and ok, told=_short(answer), answer=answer)


def _plain(found: Any) -> Any:
    """As JSON can hold it."""
    text = json.dumps(found, default=str, sort_keys=True)
    return json.loads(text) if len(text) <= CUT else text[:CUT]


def _short(answer: Any) -> str:
    text = json.dumps(answer, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def compared(probe: Probe, before: Any, after: Any) -> tuple[bool, str]:
    """Whether an answer after is as it has to be beside the one before, and what to say of it."""
    if probe.compare is None:
        same = before == after
        return True, "as before" if same else f"was {_short(before)}, is {_short(after)}"
    try:
        said = probe.compare(before, after)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the author's own code
        return False, f"comparing raised {type(error).__name__}"
    if isinstance(said, str):
        return False, said
    return bool(said), "as it should be" if said else f"was {_short(before)}, is {_short(after)}"


__all__ = ["Asks", "answered", "ask", "ask_all", "compared", "figures_of", "precheck"]
