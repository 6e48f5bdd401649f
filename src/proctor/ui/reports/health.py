"""What lacks its fill, as Markdown for a ticket and as JSON for scripts."""

from __future__ import annotations

from typing import Any

from proctor.app.healing import Health
from proctor.ui import documents, words
from proctor.ui.reports.markdown import KEY_CUT, cell, table


def render(found: Health, command: str = "") -> str:
    """The whole page. command: what runs the mini plan, where one was written."""
    head = [
        f"# Health of {cell(found.backfill)} in {cell(found.env)}",
        f"**{found.verdict.value}**: {cell(found.reason, 400)}",
        f"Looked at {found.at:%Y-%m-%d %H:%M:%S} UTC. Nothing was written.",
    ]
    body: list[str] = []
    if found.reasons:
        rows = [(cell(reason), f"{n:,}") for reason, n in found.reasons.items()]
        body += ["## Why", table(("reason", "rows"), rows)]
    if found.shown:
        keys = [(cell(words.key(x.key), KEY_CUT), cell(x.reason)) for x in found.shown]
        body += [f"## The first {len(keys)}", table(("key", "why"), keys)]
    return "\n\n".join([*head, *body, "## What to do", *advice(found, command)]) + "\n"


def advice(found: Health, command: str = "") -> list[str]:
    """What a person may do now, one sentence each."""
    said: list[str] = []
    if found.plan is not None:
        run = f"`{command}`" if command else "write it with --out FILE, and run it"
        said.append(f"The mini plan names {found.keys:,} rows: {run}. Run again it does nothing.")
    if found.capped:
        said.append("There are more than were looked at: look again after that run.")
    for reason, what in _FOR.items():
        if reason in found.reasons:
            said.append(what)
    return said or ["Nothing."]


_FOR = {
    "failed, with no attempt left": "Units without an attempt left are in no plan: raise attempts= "
    "of the grid once the cause is mended.",
    "done, but the rows of its service are not there": "Units that are done are in no plan: see "
    "what became of the service's rows, and take those units back with `proctor rollback RUN "
    "--keys K,…` before they are run again.",
    "skipped": "Skipped rows are skipped again, unless code or data have changed; `missing=` "
    "leaves them out for good.",
    "refused": "Refused rows are refused again, unless code or data have changed.",
}


def document(found: Health) -> dict[str, Any]:
    """For scripts; the plan by its digest, for it stands in a file of its own."""
    said = documents.plain(found)
    said["keys"] = found.keys
    said["plan"] = found.plan.digest if found.plan else None
    return dict(said)


__all__ = ["advice", "document", "render"]
