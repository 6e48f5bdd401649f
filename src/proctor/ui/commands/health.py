"""Look again later: what still lacks its fill, and a plan for exactly that."""

from __future__ import annotations

import shlex

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proctor.errors import UsageError
from proctor.ui.commands.teaching import Taught
from proctor.ui.options import Wish, name_argument, pairs, params_option, wishes

if TYPE_CHECKING:
    from proctor.app.healing import Since


@click.command(
    cls=Taught,
    writes="Nothing to the database; FILE with --out and with --report; a line in the ledger.",
    examples=(
        "proctor health normalize_email",
        "proctor health normalize_email --since created_at=2026-11-01 --out mini.json",
        "proctor run normalize_email --plan mini.json",
        "proctor health score_pilot --report prod_health_check.md",
    ),
)
@name_argument
@params_option
@click.option("--since", metavar="COLUMN=DATE", help="Only rows of that moment and later.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=10_000,
    show_default=True,
    metavar="N",
    help="How many rows the mini plan names, at most; the next one takes the rest.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the mini plan as JSON, for `run --plan`; none where nothing can be filled.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write what was found as Markdown.",
)
@wishes
@click.pass_obj
def health(wish: Wish, /, name: str, *, params: tuple[str, ...], limit: int, **words: Any) -> int:
    """Find rows that still lack their fill, and say why; exit 0 only if there are none."""
    from proctor.app.healing import examine
    from proctor.engine.hints import pasteable
    from proctor.engine.writing import replace_now
    from proctor.ui import documents
    from proctor.ui.out import answer, note
    from proctor.ui.reports.health import document, render
    from proctor.ui.session import with_app
    from proctor.ui.text.health import health as shown

    given, since = pairs(params, "--param"), _since(words["since"])
    found = with_app(wish, lambda app: examine(app, name, params=given, since=since, most=limit))
    command = ""
    if (out := words["out"]) is not None and found.plan is not None:
        documents.write(found.plan, out)
        command = pasteable(f"proctor run {name} --plan {shlex.quote(str(out))}", wish.env)
        note(f"mini plan written to {out}; run it with: {command}")
    elif out is not None:
        note(f"no row can be filled, so there is no mini plan, and {out} was not written")
    if words["report"] is not None:
        replace_now(words["report"], render(found, command))
    answer(wish, document(found), *shown(found, command))
    return 0 if found.verdict.value == "pass" else 1


def _since(text: str | None) -> Since | None:
    from proctor.app.healing import Since

    if text is None:
        return None
    column, equals, value = text.partition("=")
    if not (equals and column.strip() and value.strip()):
        raise UsageError(
            "--since takes COLUMN=DATE",
            found=repr(text),
            fix="name the column that says when a row came: --since created_at=2026-01-31",
        )
    return Since(column=column.strip(), value=value.strip())


__all__ = ["health"]
