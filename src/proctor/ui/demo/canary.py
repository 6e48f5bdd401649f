"""The wardrobe's rollout: checked, approved, ramped, harmed while it is watched, and taken back.

A rollout does it by itself. The story types its commands, approves as two people, asks the
application who is let in, and once makes it worse. What is so is then read without Proctor.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from subprocess import Popen
from time import monotonic
from typing import Any, Final

from proctor.model import LogEntry
from proctor.ui.demo.phases import HELD, said_of
from proctor.ui.demo.proof import Fingerprint
from proctor.ui.demo.stage import Broken, Stage, configured, record
from proctor.ui.demo.wardrobe import look

ROLLOUT: Final = "wardrobe"
FLAG: Final = "FEATURE_SEMANTIC_MATCH"
SPEED: Final = 3600
"""An hour a second: a watch of a day takes 24 s, where nothing goes wrong."""
STEPS: Final = (5, 100)
WITHIN: Final = 0.02
"""How far the share of readers may be from a step."""
PATIENCE: Final = 60.0
LOOK_EVERY: Final = 0.05
GIVEN_UP: Final = 1
"""The exit code of a rollout that has ended, and not as it was begun for."""


def play(stage: Stage) -> dict[str, Any]:
    """The whole story; what it came to, for --json."""
    original = set_up(stage)
    rollout, filled = until_the_halt(stage, original)
    two_people(stage, rollout)
    seen = let_in_and_harm(stage)
    told = said_of(stage)
    observed = ramp(stage, told, seen["share"])
    back = taken_back(stage, told, seen["back_s"])
    restored = prove(stage, original, filled)
    given_up(stage, rollout)
    stage.end()
    return {
        "folder": stage.folder,
        "rollout": rollout,
        "run": _run(told),
        "rows": original.rows,
        "speed": SPEED,
        "observed": observed,
        "seen_by_the_application": seen["share"],
        "why": told["why"],
        "flag_percent": percent(stage),
        "harm_to_flag_s": round(seen["back_s"], 2),
        "taken_back": back,
        "checksum_before": original.digest,
        "checksum_filled": filled.digest,
        "checksum_after_rollback": restored.digest,
        "identical": restored == original,
        "state": said_of(stage)["state"],
        "seconds": round(stage.seconds, 1),
    }


def set_up(stage: Stage) -> Fingerprint:
    """The table as people left it, and the application that shoppers use."""
    stage.scene(
        "A wardrobe, and shoppers",
        "An application (matching.py) says what goes with an item: by its raw words, or by its "
        "normalized field where a flag lets a shopper in. The flag is a file, flags.json, which "
        f"it reads through OpenFeature. The files are in {stage.folder}",
    )
    # What is on this machine is not asked through a proxy that the environment may name.
    stage.variables |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PROCTOR_USER": "ann"}
    stage.python("seed.py")
    original = look(stage)
    stage.fact("SHA-256", f"{original.digest} over every value of all {original.rows:,} rows")
    stage.variables["MATCHING_URL"] = stage.application("matching.py")
    stage.fact("application", stage.variables["MATCHING_URL"])
    return original


def until_the_halt(stage: Stage, original: Fingerprint) -> tuple[str, Fingerprint]:
    """Precheck, run, and a validation of 100 rows; then it waits for people."""
    stage.scene(
        "Apply, validate, halt",
        f"Its stages stand in rollout.py. Its clock runs {SPEED} times as fast as ours, so that a "
        "day's watch takes seconds; table, flag and application are as fast as they are.",
    )
    stage.ends(HELD, "rollout", ROLLOUT, "--speed", str(SPEED))
    told, filled = said_of(stage), look(stage)
    (audit,) = _of(told, "audit.made")
    for claim in audit["claims"]:
        stage.fact("validation", f"{claim['check']} of {claim['of']}: {claim['told']}")
    if (audit["verdict"], audit["rows"]) != ("pass", 100):
        raise Broken("the validation of 100 rows did not pass", found=audit["why"])
    books = record(stage, _run(told)).outcome
    stage.books(books)
    if original.empty - filled.empty != books.written or filled.others != original.others:
        raise Broken("the table is not as the run's books say")
    if percent(stage) or not told["why"].startswith("halt"):
        raise Broken("it went past the halt by itself", found=told["why"])
    stage.good("what people typed is unchanged, the flag is at 0%, and it waits for a person")
    return str(told["rollout"]), filled


def two_people(stage: Stage, rollout: str) -> None:
    """Ann began it, so ann's word does not count."""
    stage.scene("Two people", "Ann has begun it, and cannot approve it. Bo can.")
    approve = ("approve", rollout, "--reason", "looked at the ten rows")
    stage.ends(HELD, *approve, who="ann")
    stage.ends(0, *approve, who="bo")


def let_in_and_harm(stage: Stage) -> dict[str, float]:
    """5 %, all, a watch; in the watch a release that harms, and nobody but the rollout acts."""
    stage.scene(
        "A canary, everybody, and a bad release",
        "Each step is held for two hours, which are two seconds. Then a day's watch begins, in "
        "which the application gets a release that looks for a field that is not there.",
    )
    process = stage.begin("rollout", ROLLOUT)
    try:
        seen = asyncio.run(_harmed(stage, process))
        code = process.wait(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    stage.fact("exit code", str(code))
    if code != HELD:
        raise Broken("the rollout did not step back", found=f"exit {code}")
    return seen


async def _harmed(stage: Stage, process: Popen[bytes]) -> dict[str, float]:
    """Ask the application at the canary, harm it in the watch, and see when the flag is back."""
    from proctor import app
    from proctor.app.rollouts import opened_log

    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(app.open(configured(stage)))
        log = await stack.enter_async_context(opened_log(opened))
        (rollout,) = await log.rollouts(opened.env)

        async def entries() -> Sequence[LogEntry]:
            return await log.entries(rollout.id)

        async def figures() -> dict[str, Any]:
            return await asyncio.to_thread(_told, stage, "/figures")

        async def back() -> int:
            return percent(stage)

        await _until(process, entries, _canary, "nobody was let in")
        seen = await _until(
            process, figures, lambda told: told["meaning"]["asked"], "the application let nobody in"
        )
        await _until(process, entries, _watched, "the watch did not begin")
        await asyncio.to_thread(_told, stage, "/release?field=occasions", b"")
        harmed = monotonic()
        stage.typed(f'curl -X POST "{stage.variables["MATCHING_URL"]}/release?field=occasions"')
        await _until(process, back, lambda now: now == 0, "the flag stayed on")
        back_s = monotonic() - harmed
    inside, outside = seen["meaning"]["asked"], seen["words"]
    whole = inside + outside["asked"] - outside["unfilled"]
    if seen["meaning"]["unfilled"]:
        raise Broken("a shopper was let in whose item is not filled")
    return {"share": inside / whole, "back_s": back_s}


def _canary(entries: Sequence[LogEntry]) -> bool:
    return any(one.kind == "flag.observed" for one in entries)


def _watched(entries: Sequence[LogEntry]) -> bool:
    """Whether the watch has seen that all is well, with everybody let in."""
    watch = [e.number for e in entries if e.kind == "stage.entered" and e.data["name"] == "watch"]
    return bool(watch) and any(
        e.kind == "metric.measured" and e.number > watch[0] and e.data["phase"] == "successful"
        for e in entries
    )


async def _until(
    process: Popen[bytes],
    ask: Callable[[], Awaitable[Any]],
    holds: Callable[[Any], object],
    wrong: str,
) -> Any:
    """Ask as any other process may, until it holds."""
    until = monotonic() + PATIENCE
    while process.poll() is None and monotonic() < until:
        found = await ask()
        if holds(found):
            return found
        await asyncio.sleep(LOOK_EVERY)
    raise Broken(wrong, found="the rollout has ended, or takes too long", fix="play it again")


def ramp(stage: Stage, told: dict[str, Any], share: float) -> dict[str, float]:
    """Each step as OpenFeature sees it, and the first as the application did."""
    stage.scene("Who was let in", "By flagd's own rule, asked for 2,000 readers after each step.")
    observed = _of(told, "flag.observed")
    for one in observed:
        stage.fact(
            f"{one['percent']}%",
            f"{one['share']:.2%} of {one['of']:,} readers, {one['lost']} of the earlier ones lost",
        )
    stage.fact("application", f"let {share:.2%} of its shoppers in at {STEPS[0]}%")
    first, last = ({*_places(one["inside"])} for one in observed)
    shares = {one["percent"]: one["share"] for one in observed}
    if tuple(shares) != STEPS or any(abs(s - p / 100) > WITHIN for p, s in shares.items()):
        raise Broken("a step is not what was observed", found=str(shares))
    if abs(share - STEPS[0] / 100) > WITHIN:
        raise Broken("the application let in another share", found=f"{share:.2%}")
    if not first < last or any(one["lost"] for one in observed):
        raise Broken("a reader who was let in is out again")
    stage.good("within 2 points at each step; whoever was in stayed in; no item without its field")
    return {str(step): found for step, found in shares.items()}


def _places(bits: str) -> list[int]:
    number = int(bits, 16)
    return [place for place in range(number.bit_length()) if number >> place & 1]


def taken_back(stage: Stage, told: dict[str, Any], back_s: float) -> dict[str, float]:
    """The flag first, then the run, then the rows; each with its measured time."""
    stage.scene("Stepped back", "Nobody typed anything: what the watch found, and what it did.")
    (begun,) = _of(told, "step_back.begun")
    stage.fact("why", begun["why"])
    log = [one for one in told["log"] if one["kind"].startswith("step_back.")]
    times = {one["kind"].partition(".")[2]: one["data"].get("seconds") for one in log}
    wanted = ["begun", "flag_restored", "run_paused", "rows_restored", "ended"]
    if list(times) != wanted:
        raise Broken("it did not step back in order", found=", ".join(times))
    measured = {rung: times[rung] for rung in wanted[1:-1]}
    for rung, seconds in measured.items():
        stage.fact(rung.replace("_", " "), f"{seconds:.2f} s after it began")
    stage.fact("in all", f"{back_s:.2f} s from the bad release to a flag at 0%")
    after = _told(stage, "/figures")
    if percent(stage) or after["meaning"]["asked"] or after["words"]["failed"]:
        raise Broken("shoppers still see the new data", found=str(after))
    stage.good("every shopper is matched by raw words again, and none fails")
    return measured


def prove(stage: Stage, original: Fingerprint, filled: Fingerprint) -> Fingerprint:
    """The checksums side by side."""
    restored = look(stage)
    stage.scene("Proof", f"SHA-256 over every value of all {original.rows:,} rows.")
    stage.fact("before", original.digest)
    stage.fact("filled", filled.digest)
    stage.fact("rolled back", restored.digest)
    if restored != original or filled == original:
        raise Broken("the step back did not restore the original data")
    stage.good("byte for byte the original")
    return restored


def given_up(stage: Stage, rollout: str) -> None:
    """A fail is not approved; bo ends it."""
    stage.scene("The last word", "The rollout is held. No approval overrides a fail; bo ends it.")
    stage.ends(HELD, "approve", rollout, "--reason", "the next release will do", who="bo")
    stage.ends(0, "reject", rollout, "--reason", "mend the release first", who="bo")
    stage.ends(GIVEN_UP, "rollout", ROLLOUT)
    if said_of(stage)["state"] != "rolled_back":
        raise Broken("it has not ended", found=said_of(stage)["state"])


def percent(stage: Stage) -> int:
    """The share in the flag's file, read without Proctor."""
    found = json.loads((stage.folder / "flags.json").read_text())["flags"][FLAG]
    targeting = found.get("targeting")
    return int(targeting["if"][1]["fractional"][0][1]) if targeting else 0


def _of(told: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one["data"] for one in told["log"] if one["kind"] == kind]


def _run(told: dict[str, Any]) -> str:
    return str(_of(told, "run.found")[0]["run"])


def _told(stage: Stage, path: str, sent: bytes | None = None) -> dict[str, Any]:
    """What the application answers; a body makes it a POST."""
    request = urllib.request.Request(f"{stage.variables['MATCHING_URL']}{path}", sent)  # noqa: S310 - on this machine
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as reply:
        found: dict[str, Any] = json.load(reply)
    return found
