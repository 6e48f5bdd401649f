"""Activation: readers are let in step by step, and each step is looked at before the next."""

from __future__ import annotations

import hashlib
import math

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from proctor.core.gates import gate as verdict_of
from proctor.engine.rolling.evidence import Told
from proctor.engine.rolling.holding import hold, went_past
from proctor.engine.rolling.probing import answered, ask_all, compared
from proctor.engine.rolling.rig import Rig, Turn
from proctor.engine.rolling.standing_rows import still_there
from proctor.engine.rolling.stepback import fail
from proctor.engine.rolling.watching import look_all, rulings, seeing, seen_at_end
from proctor.errors import FlagFault, FlagMoved, ProctorError
from proctor.model import Activate, FlagState, LogEntry, Ruling


async def activate(rig: Rig, stage: Activate) -> Turn:
    """The stage, one durable step a turn: read, probe, set, observe, hold, and on to the next."""
    standing = rig.journal.standing
    if not standing.told("flag.read"):
        return await _begin(rig, stage)
    if stage.probes and len(answered(rig, "before")) < len(stage.probes):
        await ask_all(rig, stage.probes, when="before")
        return Turn(until=rig.clock.now())
    steps = standing.told("flag.set")
    return await _step(rig, stage, steps[-1]) if steps else await _first(rig, stage)


async def _first(rig: Rig, stage: Activate) -> Turn:
    """The first step above where the flag stands already: who is in is not turned out."""
    before = rig.journal.standing.told("flag.read")[-1].data["before"]["percent"]
    above = [place for place, percent in enumerate(stage.steps) if percent > before]
    if above:
        return await _set(rig, stage, above[0])
    why = f"flag {stage.flag} is at {before}% already: no step of {stage.steps} is above that"
    await hold(rig, why, verdict="inconclusive", look=["who has opened it, and for which data"])
    return Turn(until=rig.clock.now())


async def _step(rig: Rig, stage: Activate, here: LogEntry) -> Turn:
    """What a step that was set still needs."""
    seen = [e for e in rig.journal.standing.told("flag.observed") if e.number > here.number]
    if not seen:
        return await _observe(rig, stage, here)
    # From then on: while nobody drove it, or readers were asked, there was no look to be missed.
    held = await _held(rig, stage, here, begun=seen[0].at)
    if held is not None:
        return held
    after = here.data["step"] + 1
    if after == len(stage.steps):
        return await _finish(rig, stage)
    confirm = f"{stage.flag} {stage.steps[after]}%" if after < len(stage.steps) else ""
    if stage.confirm and not any(
        went_past(rig, one, after=here.number) for one in (confirm, _verdict_at(stage, here))
    ):
        why = (
            f"{stage.flag} is at {here.data['percent']}%: {stage.steps[after]}% is to be confirmed"
        )
        await hold(rig, why, verdict="halt", then="go_on", look=["the report"], question=confirm)
        return Turn(until=rig.clock.now())
    return await _set(rig, stage, after)


async def _begin(rig: Rig, stage: Activate) -> Turn:
    """The flag as it is before anything of ours: what a step back restores."""
    index = rig.journal.standing.stage
    left_open = _left_open(rig, stage, index)
    try:
        flag = await rig.opened(stage.flag)
        if left_open is not None:
            state, left = await flag.read(), left_at(rig, stage.flag)
            if state.percent not in {*left, left_open.percent}:
                if not _is_left(rig, stage, state, left_open):
                    return await _moved(rig, stage, state, left)
                left_open = None  # people went on from what somebody else had made of it
        if left_open is not None:
            once = f"{rig.journal.rollout.id}/{index}/reset/{rig.journal.standing.here[0].number}"
            reason = f"rollout {rig.journal.rollout.id}: begun anew"
            state = await flag.restore(left_open, reason=reason, once=once)
        else:
            state = await flag.read()
    except ProctorError as error:
        return await _flag_failed(rig, stage, error)
    told: list[Told] = [("flag.read", {"stage": index, "flag": stage.flag, "before": _dump(state)})]
    if left_open is not None:
        reset = {"stage": index, "flag": stage.flag, "percent": state.percent}
        told.insert(0, ("flag.reset", reset))
    await rig.journal.add_all(told)
    return Turn(until=rig.clock.now())


async def refuse_moved(rig: Rig, index: int) -> None:
    """FlagMoved where to begin a stage anew would overwrite what somebody else has written."""
    stage = rig.plan.stages[index]
    before = _left_open(rig, stage, index) if isinstance(stage, Activate) else None
    if before is None or not isinstance(stage, Activate):
        return
    try:
        now = await rig.read(stage.flag)
    except ProctorError:
        return  # the stage finds it too, before it writes, and holds for it
    left = left_at(rig, stage.flag)
    if now.percent in {*left, before.percent}:
        return
    ident = rig.journal.rollout.id
    raise FlagMoved(
        f"flag {stage.flag} is not as it was left, and to begin anew would overwrite that",
        found=_found(now, left),
        fix=f"see who wrote it; go on from what it is now: proctor approve {ident} --reason …; or "
        f"put it back to {left[-1]}%, and type this again; or give it up: proctor reject "
        f"{ident} --reason …",
    )


def left_at(rig: Rig, flag: str) -> list[int]:
    """The percents at which this rollout may have left a flag: two where a write was in doubt."""
    for entry in reversed(rig.journal.entries):
        data = entry.data
        if data.get("flag") != flag:
            continue
        if entry.kind == "flag.intended":
            return [data["was"]["percent"], data["percent"]]
        if entry.kind == "flag.read":
            return [data["before"]["percent"]]
        if entry.kind in ("flag.set", "flag.reset", "flag.reopened", "step_back.flag_restored"):
            return [data["percent"]]
    return []


def _left_open(rig: Rig, stage: Activate, index: int) -> FlagState | None:
    """What was there before an earlier try at this stage, where that has left the flag open."""
    standing = rig.journal.standing
    mine = [e for e in rig.journal.entries if e.data.get("stage") == index]
    tried = any(e.kind == "flag.intended" for e in mine)
    if not tried or "percent" not in standing.flags.get(stage.flag, {}):
        return None
    return _load([e for e in mine if e.kind == "flag.read"][-1].data["before"])


async def _set(rig: Rig, stage: Activate, step: int) -> Turn:
    """One step, written down before it is made and after: a crash between is found and settled."""
    if not await still_there(rig):
        return Turn(until=rig.clock.now())
    journal, percent = rig.journal, stage.steps[step]
    flag = await rig.opened(stage.flag)
    entered = journal.standing.here[0].number  # a stage that begins anew writes anew
    once = f"{journal.rollout.id}/{entered}/{step}"
    try:
        intended = [e for e in journal.standing.told("flag.intended") if e.data["step"] == step]
        state = await flag.read()
        # Where a write was intended: it was made, or nobody else has written either.
        left = _load(intended[-1].data["was"]) if intended else _expected(rig)
        if not (intended and state.percent == percent) and not _is_left(rig, stage, state, left):
            return await _moved(rig, stage, state, [left.percent])
        if not intended:
            await journal.add(
                "flag.intended",
                stage=journal.standing.stage,
                flag=stage.flag,
                step=step,
                percent=percent,
                was=_dump(state),
            )
        if state.percent != percent or not intended:
            reason = f"rollout {journal.rollout.id}: step {step + 1} of {len(stage.steps)}"
            state = await flag.set(percent, expect=state, reason=reason, once=once)
    except ProctorError as error:
        return await _flag_failed(rig, stage, error)
    await journal.add(
        "flag.set",
        stage=journal.standing.stage,
        flag=stage.flag,
        step=step,
        percent=percent,
        now=_dump(state),
    )
    return Turn(until=rig.clock.now())


def _is_left(rig: Rig, stage: Activate, state: FlagState, left: FlagState) -> bool:
    """Whether it is as it was left, or people went on from what it is now."""
    same = (state.percent, state.version) == (left.percent, left.version)
    entered = rig.journal.standing.here[0].number
    return same or went_past(rig, _moved_to(stage, state), after=entered)


async def _moved(rig: Rig, stage: Activate, state: FlagState, left: Sequence[int]) -> Turn:
    error = FlagMoved(
        f"flag {stage.flag} is not as it was left",
        found=_found(state, left),
        fix="see who wrote it; then approve to go on from what it is now, or put it back as it was "
        "left and begin the stage anew with --retry",
    )
    return await _flag_failed(rig, stage, error, _moved_to(stage, state))


def _found(now: FlagState, left: Sequence[int]) -> str:
    return f"{now.percent}% now, {' or '.join(f'{one}%' for one in left)} when it was left"


def _moved_to(stage: Activate, state: FlagState) -> str:
    """The question whether to go on from what somebody else has written."""
    return f"{stage.flag} moved to {state.percent}% {state.version}"


def _expected(rig: Rig) -> FlagState:
    """As we left it: after the last step, or as it was read at first."""
    standing = rig.journal.standing
    steps = standing.told("flag.set")
    return _load(steps[-1].data["now"] if steps else standing.told("flag.read")[-1].data["before"])


async def _observe(rig: Rig, stage: Activate, here: LogEntry) -> Turn:
    """Ask as applications ask: the share has to fit, and nobody who was in may be out again."""
    flag, percent = await rig.opened(stage.flag), here.data["percent"]
    told: dict[str, Any] = {"share": None, "lost": 0, "of": 0, "inside": None, "readers": ""}
    fault = ""
    if flag.powers.observable:
        try:
            readers = await flag.readers(stage.subjects)
            seen = await flag.observe(readers)
        except ProctorError as error:
            return await _flag_failed(rig, stage, error)
        inside = {place for place, on in enumerate(seen) if on}
        same = hashlib.sha256("\n".join(readers).encode()).hexdigest()
        lost = _lost(rig, inside, same)
        share = len(inside) / len(seen) if seen else None
        told = {"share": share, "lost": lost, "of": len(seen)}
        told |= {"inside": _bits(inside), "readers": same}
        fault = _misfit(stage, percent, share, lost, len(seen))
    told |= {"stage": rig.journal.standing.stage, "flag": stage.flag, "step": here.data["step"]}
    told |= {"percent": percent, "ok": not fault, "why": fault or "as it was set"}
    about: list[Told] = [("flag.observed", told)]
    if fault:
        await fail(rig, f"flag {stage.flag}: {fault}", then="restart", about=about)
    else:
        await rig.journal.add_all(about)
    return Turn(until=rig.clock.now())


def _lost(rig: Rig, inside: set[int], readers: str) -> int:
    """How many were let in at an earlier step and are out; only the same readers can tell."""
    before = [
        e.data
        for e in rig.journal.standing.told("flag.observed")
        if e.data["inside"] is not None and e.data["readers"] == readers
    ]
    return len(set(_places(before[-1]["inside"])) - inside) if before else 0


def _misfit(stage: Activate, percent: int, share: float | None, lost: int, of: int) -> str:
    """What is wrong with what readers see; few readers are allowed the chance that they are."""
    if share is None:
        return "there is no reader to ask: nobody knows who is let in"
    if lost:
        return f"{lost} readers who were let in before are out again"
    wanted = percent / 100
    chance = 4 * math.sqrt(wanted * (1 - wanted) / of)
    if abs(share - wanted) > max(stage.tolerance, chance):
        return f"{share:.1%} of {of:,} readers are let in, {percent}% were set"
    return ""


def _bits(inside: set[int]) -> str:
    """Places as a number in hexadecimal: small enough to be kept with every step."""
    return f"{sum(1 << place for place in inside):x}"


def _places(bits: str) -> list[int]:
    number = int(bits, 16)
    return [place for place in range(number.bit_length()) if number >> place & 1]


async def _held(rig: Rig, stage: Activate, here: LogEntry, *, begun: datetime) -> Turn | None:
    """The hold of a step with its metrics; None when it is over and all is well."""
    ends = begun + stage.hold
    after: datetime | None = ends
    if stage.metrics:
        ends = seen_at_end(rig, stage.metrics, begun=begun, ends=ends, since=here.number)
        after = await look_all(rig, stage.metrics, begun=begun, ends=ends, since=here.number)
        if after is None:
            return Turn(until=rig.clock.now())
        ends = seen_at_end(rig, stage.metrics, begun=begun, ends=ends, since=here.number)
    over = rig.clock.now() >= ends
    found = rulings(
        rig,
        stage.metrics,
        over=over,
        after=here.number,
        share=here.data["percent"] / 100,
    )
    verdict = seeing(stage.metrics, found, verdict_of(*found)) if found else None
    if verdict is not None and verdict.ruling is Ruling.FAIL and any(o.finished for o in found):
        await fail(rig, f"at {here.data['percent']}%: {verdict.reason}", then="restart")
        return Turn(until=rig.clock.now())
    if not over:
        return Turn(until=min(after or ends, ends))
    question = _verdict_at(stage, here)
    passed = verdict is None or verdict.ruling is Ruling.PASS
    if verdict is not None and not passed and not went_past(rig, question, after=here.number):
        why = f"at {here.data['percent']}%: {verdict.reason}"
        await hold(rig, why, verdict="inconclusive", then="go_on", question=question)
        return Turn(until=rig.clock.now())
    return None


def _verdict_at(stage: Activate, here: LogEntry) -> str:
    """The question whether to go on past what the metrics of a step left open."""
    return f"verdict of {stage.flag} at {here.data['percent']}%"


async def _finish(rig: Rig, stage: Activate) -> Turn:
    """All are in: the probes are asked again and compared with what they said before."""
    if stage.probes:
        await ask_all(rig, stage.probes, when="after")
        before, after = answered(rig, "before"), answered(rig, "after")
        wrong = []
        for probe in stage.probes:
            ok, told, now = after[probe.name]
            well, said = compared(probe, before[probe.name][2], now)
            if not ok or not well:
                wrong.append(f"{probe.name}: {told if not ok else said}")
        if wrong:
            await fail(rig, f"after activation: {'; '.join(wrong)}", then="restart")
            return Turn(until=rig.clock.now())
    try:
        state = await (await rig.opened(stage.flag)).read()
    except ProctorError as error:
        return await _flag_failed(rig, stage, error)
    left = _expected(rig)
    if state.percent != left.percent and not _is_left(rig, stage, state, left):
        return await _moved(rig, stage, state, [left.percent])
    return Turn(done=f"flag {stage.flag} is at {state.percent}%")


async def as_left(rig: Rig) -> bool:
    """Whether the flags stand as this rollout has left them; held for a person where not."""
    for name, told in rig.journal.standing.flags.items():
        left = told.get("percent")
        if left is None:
            continue
        try:
            now = await rig.read(name)
        except FlagFault as error:
            why, question = f"flag {name}: {error.what}", f"{name} cannot be read"
        else:
            why = f"flag {name} is at {now.percent}%, and was left at {left}%"
            question = f"{name} ended at {now.percent}%"
            if now.percent == left:
                continue
        if went_past(rig, question):
            continue
        at, look = len(rig.plan.stages) - 1, ["who has written the flag, and why"]
        await hold(
            rig, why, verdict="inconclusive", then="go_on", question=question, at=at, look=look
        )
        return False
    return True


async def _flag_failed(rig: Rig, stage: Activate, error: ProctorError, question: str = "") -> Turn:
    """The tool fails or lies: nobody is let in by guessing."""
    why = f"flag {stage.flag}: {error.what}" + (f" ({error.found})" if error.found else "")
    opened = bool(rig.journal.standing.told("flag.set"))
    if opened and not isinstance(error, FlagMoved | FlagFault):
        raise error
    await hold(
        rig,
        why,
        verdict="inconclusive",
        then="go_on",
        look=[error.fix] if error.fix else [],
        question=question,
    )
    return Turn(until=rig.clock.now())


def _dump(state: FlagState) -> dict[str, Any]:
    return {"percent": state.percent, "version": state.version, "raw": state.raw}


def _load(told: Any) -> FlagState:
    return FlagState(percent=told["percent"], version=told["version"], raw=told["raw"])


__all__ = ["activate", "as_left", "left_at", "refuse_moved"]
