"""Between the command `rollout` and the app: its progress, its end, and what it leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proctor.engine.hints import pasteable
from proctor.errors import ProctorError
from proctor.ui import out, words
from proctor.ui.session import listening, with_app

if TYPE_CHECKING:
    from proctor.app import App
    from proctor.app.rolling import Rolled, RolloutOptions
    from proctor.engine.rolling.rig import Rig
    from proctor.engine.rolling.story import RunTold
    from proctor.ui.options import Wish

QUIET = frozenset(
    {"metric.measured", "metric.missed", "flag.intended", "snapshot.appended", "worker.starting"}
)
"""Entries that are not worth a line each."""
LEAVING = "leaving: what is in hand is written down, and the same command goes on from there"
ANEW = frozenset({"step_back.begun", "step_back.stumbled"})
"""Entries with which the report is written anew: what it says must not wait for the end."""


def driven(wish: Wish, name: str, options: RolloutOptions) -> int:
    """Drive it, a line for each thing that happens; the exit code."""
    from proctor.app.rolling import roll_out
    from proctor.engine.rolling.story import told
    from proctor.ui.reports.rollout import keep

    said: list[int] = []

    def tell(rig: Rig) -> None:
        if not said:  # what a process before us wrote stands in the report
            said.append(rig.carry.get("known", 0))
        for entry in rig.journal.entries[said[0] :]:
            if entry.kind not in QUIET:
                out.note(line(entry))
        if any(entry.kind in ANEW for entry in rig.journal.entries[said[0] :]):
            _anew(rig)
        said[0] = len(rig.journal.entries)

    async def go(app: App) -> tuple[Rolled, dict[str, str]]:
        with listening(options.stop, out.note, first=LEAVING, again=LEAVING):
            done = await roll_out(app, name, options, tell)
        folder = app.config.env(app.env).reports / done.rollout.id
        story = told(done.plan, done.rollout, done.journal.entries, await _runs(app, done))
        try:
            files = keep(story, folder)
        except OSError as error:
            out.note(f"the report could not be written: {error.strerror}")
            return done, {}
        return done, {form: str(path) for form, path in files.items()}

    done, files = with_app(wish, go)
    if done.error is not None:
        for path in files.values():
            out.note(f"report: {path}")
        raise done.error
    return _ended(wish, done, files)


def _anew(rig: Rig) -> None:
    """The report while it steps back: the one that is there would say that all goes on."""
    from proctor.engine.rolling.story import told
    from proctor.ui.reports.rollout import keep

    story = told(rig.plan, rig.journal.rollout, rig.journal.entries, [])
    try:
        keep(story, rig.folder)
    except OSError as error:
        out.note(f"the report could not be written: {error.strerror}")


async def _runs(app: App, done: Rolled) -> list[RunTold]:
    """Its runs as they are now; without them where the database is away: the log is told still."""
    from proctor.app.rolling import runs_told

    try:
        return await runs_told(app, done.journal.entries)
    except ProctorError as error:
        out.note(f"the report says nothing of its runs: {error.what}")
        return []


def _ended(wish: Wish, done: Rolled, files: dict[str, str]) -> int:
    state, standing = done.left.state.value, done.journal.standing
    held = standing.held
    document: dict[str, Any] = {
        "rollout": done.rollout.id,
        "name": done.rollout.name,
        "env": done.rollout.env,
        "state": state,
        "why": done.left.why,
        "interrupted": done.left.interrupted,
        "runs": dict(standing.runs),
        "reports": files,
    }
    stands = done.stands if done.left.interrupted else state
    said = [f"rollout {done.rollout.id} of {done.rollout.name} is {stands}: {done.left.why}"]
    if done.left.interrupted:
        # Whoever leaves it so has to know what is open meanwhile, and that nobody closes it.
        said += [f"  mind     {one}" for one in [done.still_open] if one]
        said.append(f"  go on    proctor rollout {done.rollout.name}")
    elif held is not None:
        entry = done.journal.entries[held.number - 1]
        document |= {"verdict": held.verdict, "digest": held.digest, "look": list(held.look)}
        document["type"] = [pasteable(one, done.rollout.env) for one in entry.data["type"]]
        said += [f"  look at  {one}" for one in held.look]
        said += [f"  type     {one}" for one in document["type"]]
        said.append(f"           proctor rollout {done.rollout.name}")
    said += [f"  report   {path}" for form, path in files.items() if form == "md"]
    out.answer(wish, document, "\n".join(said))
    return _code(done)


def _code(done: Rolled) -> int:
    if done.left.interrupted:
        return 130
    if done.left.state.value == "active":
        return 0
    return 3 if done.left.state.value == "held" else 1


def line(entry: Any) -> str:
    """One thing that happened, as a line of progress."""
    told = {k: v for k, v in entry.data.items() if isinstance(v, str | int | float | bool)}
    keep = (
        "name",
        "probe",
        "what",
        "why",
        "told",
        "verdict",
        "backfill",
        "run",
        "flag",
        "percent",
        "share",
    )
    parts = [f"{k} {words.visible(str(told[k]), 200)}" for k in keep if k in told and told[k] != ""]
    return f"{entry.at:%H:%M:%S}  {entry.kind:<18}  {'  '.join(parts)}"


def listed(wish: Wish) -> int:
    """Those that are defined, and where the latest of each stands."""
    from rich.text import Text

    from proctor.app.rollouts import known
    from proctor.ui.text.blocks import table

    found = with_app(wish, known)
    rows = [
        (
            Text(one["name"], style="bold"),
            str(one["stages"]),
            Text(_latest(one)),
            words.visible(one["doc"]),
        )
        for one in found
    ]
    heads = ("name", "stages", "the latest", "what it does")
    none = Text("no rollout is defined; see docs/rollouts.md")
    out.answer(wish, {"rollouts": found}, table(heads, rows) if rows else none)
    return 0


def _latest(one: dict[str, Any]) -> str:
    """The latest of a name, and what is wrong with it where something is."""
    if not one["latest"]:
        return "never begun"
    said = f"{one['latest']} is {one['where']}"
    if one["where"] in ("stepping back", "rejected"):
        said += f": {words.visible(one['why'], 400)}"
    return f"{said}; {_undriven(one)}" if one["undriven"] else said


def _undriven(one: dict[str, Any]) -> str:
    return f"{one['undriven']}: `proctor rollout {one['name']}` goes on"


def shown(wish: Wish, name: str) -> int:
    """What it would do, and where the one that has not ended stands; 0 where it would begin."""
    from proctor.app.rollouts import shown_plan
    from proctor.ui.text.rollouts import stage

    found = with_app(wish, lambda app: shown_plan(app, name))
    said = [f"{found['name']}: {found['doc']}" if found["doc"] else found["name"]]
    for number, one in enumerate(found["stages"], 1):
        said += stage(number, one)
    for one in found["asked"]:
        how = "can never be measured" if one.wrong else "cannot be measured now"
        how = "gives now" if one.ok else "waits for its run" if one.awaited else how
        told = f"{one.told}; to mend: {one.fix}" if one.fix else one.told
        said.append(f"  {one.metric} {how}: {words.visible(told, 400)}")
    said.append(f"  where it fails it takes back: {found['on_fail']}")
    said += [f"  ! {warning}" for warning in found["warnings"]]
    for one in found["reach"]:
        mark = {True: "enough", False: "not enough", None: "not known"}[one.enough]
        least = f" (at least {one.needed:,} to be counted)" if one.needed else ""
        said.append(f"  {one.metric} of {one.stage}: {mark}: {words.visible(one.told, 400)}{least}")
    if found["refused"]:
        said.append(f"  it would be refused: {words.visible(found['refused'], 400)}")
    if found["under_way"]:
        said.append(f"  under way: {found['under_way']} is {found['where']} in {found['stage']}")
        said += [f"  {_undriven(found)}"] if found["undriven"] else []
        if found["why"]:
            said.append(f"  {found['where']}: {words.visible(found['why'], 400)}")
        said += [f"  type  {pasteable(one, wish.env)}" for one in found["type"]]
    out.answer(wish, found, "\n".join(said))
    return 1 if found["refused"] else 0


def rehearsed(wish: Wish, name: str) -> int:
    """How its soaks would have ruled at times before; 0 only where none would have been wrong."""
    from proctor.app.rollouts import rehearse

    found = with_app(wish, lambda app: rehearse(app, name))
    asked, wrong = sum(one.times for one in found), sum(one.failed for one in found)
    passed = sum(one.passed for one in found)
    said = [f"  {one.stage}: {words.visible(one.told, 400)}" for one in found]
    if asked:
        said.append(f"{wrong} of {asked} would have been false alarms, {passed} a pass")
        if not passed:
            said.append("none would have passed: each would have been held for a person")
    else:
        said.append("nothing can be asked about times before: the rehearsal says nothing")
    document = {"name": name, "asked": asked, "false_alarms": wrong, "metrics": found}
    out.answer(wish, document, "\n".join([f"rehearsal of {name}, on data from before:", *said]))
    return 0 if passed and not wrong else 1


__all__ = ["driven", "line", "listed", "rehearsed", "shown"]
