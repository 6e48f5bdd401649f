"""Begin: a new project, the demo, what is defined, what is reachable, completion for a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from proctor.errors import ProctorError, UsageError
from proctor.ui.commands.teaching import Taught
from proctor.ui.options import Wish, wishes

SHELLS: Final = {
    "bash": 'eval "$(proctor completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(proctor completion zsh)"   # in ~/.zshrc, after compinit',
    "fish": "proctor completion fish > ~/.config/fish/completions/proctor.fish",
}


@click.command(
    cls=Taught,
    writes="A handful of files in DIR; nothing that is there already is touched.",
    examples=("proctor init shop", "cd shop && proctor plan normalize_email"),
)
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@wishes
@click.pass_obj
def init(wish: Wish, directory: Path) -> None:
    """Make a project that runs: a database, one commented backfill and its test."""
    from rich.text import Text

    from proctor.ui.init import make
    from proctor.ui.out import answer
    from proctor.ui.text import facts, heading, listing

    made = make(directory)
    enter = [] if directory.resolve() == Path.cwd() else [f"cd {directory}"]
    steps = [
        *enter,
        "proctor plan normalize_email       # what would happen; writes nothing",
        "proctor dry-run normalize_email    # before and after of real rows; writes nothing",
        "proctor run normalize_email        # do it",
        "proctor rollback RUN               # take it back, exactly",
    ]
    answer(
        wish,
        {"directory": directory.resolve(), "files": [name for name, _ in made]},
        heading(f"Made a project in {directory}"),
        facts(made),
        Text(),
        heading("Next"),
        listing(steps, mark="$"),
    )


@click.command(
    cls=Taught,
    writes="A project in a directory of its own, which it says and leaves for you to look at.",
    examples=(
        "proctor demo",
        "proctor demo wardrobe --dir wardrobe",
        "proctor demo wardrobe --rollout",
        "proctor demo songs --overnight",
    ),
)
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Play it in this folder, which must be empty or new.  [default: a temporary one]",
)
@click.option(
    "--overnight",
    is_flag=True,
    help="Of songs: the rollout of a night by a faster clock, up to the flag.",
)
@click.option("--leak", is_flag=True, help="In that night a tag leaks: the flag stays off.")
@click.option(
    "--rollout",
    is_flag=True,
    help="Of wardrobe: its rollout by a faster clock, harmed while it is watched.",
)
@wishes
@click.pass_obj
def demo(wish: Wish, /, name: str | None, *, folder: Path | None, **told: bool) -> int:
    """Watch a scenario end to end: plan, run, a kill, resume, verify, rollback.

    NAME is wardrobe (which it is when left out), songs, sessions, books or jobs.
    """
    from proctor.ui.demo import main

    return main(wish, name, folder, **told)


@click.command(
    "list",
    cls=Taught,
    writes="Nothing. It imports the modules that proctor.toml names.",
    examples=("proctor list", "proctor list --json"),
)
@wishes
@click.pass_obj
def list_(wish: Wish) -> None:
    """Show the backfills that are defined."""
    from rich.text import Text

    from proctor.app.stamping import defined
    from proctor.ui.out import answer
    from proctor.ui.session import configured
    from proctor.ui.text.plan import backfills

    config = configured(wish)
    known = defined(config)
    document = {
        "backfills": [
            {
                "name": b.name,
                "version": b.version,
                "doc": b.doc,
                "target": b.spec.target,
                "fills": b.spec.fills,
                "key": [k.column for k in b.spec.key],
                "missing": b.spec.missing,
                "stamp": b.spec.stamp,
                "sql": dict(b.spec.sql),
                "module": b.module,
                "file": b.file,
            }
            for b in known.values()
        ]
    }
    none = Text(f"no backfill is defined in {', '.join(config.backfills) or 'any module'}")
    answer(wish, document, backfills(known) if known else none)


@click.command(
    cls=Taught,
    writes="Nothing.",
    examples=("proctor doctor", "proctor doctor --env production"),
)
@wishes
@click.pass_obj
def doctor(wish: Wish) -> int:
    """Say what is configured, reachable and permitted; exit 1 if something is not well."""
    from proctor.engine.snapshot import Finding
    from proctor.ui.out import answer
    from proctor.ui.session import configured, with_app
    from proctor.ui.text.plan import findings

    config = configured(wish)
    found = [
        Finding(
            subject="configuration",
            ok=True,
            detail=f"{config.path}; environments: {', '.join(config.envs)}",
        )
    ]
    try:
        found += with_app(wish, lambda app: app.doctor())
    except ProctorError as error:
        detail = f"{error.what}: {error.found}" if error.found else error.what
        found.append(
            Finding(subject=f"environment {wish.env}", ok=False, detail=detail, fix=error.fix)
        )
    well = all(finding.ok for finding in found)
    answer(wish, {"ok": well, "findings": found}, findings(found))
    return 0 if well else 1


@click.command(
    cls=Taught,
    writes="Nothing; it prints a script for your shell.",
    examples=tuple(SHELLS.values()),
)
@click.argument("shell", metavar="bash|zsh|fish", shell_complete=lambda *_: list(SHELLS))
@wishes
@click.pass_obj
def completion(wish: Wish, shell: str) -> None:
    """Print the script that completes commands, options, backfills and runs on TAB."""
    from click.shell_completion import get_completion_class

    from proctor.ui.out import answer

    if shell not in SHELLS:
        raise UsageError(
            "there is no completion for this shell", found=shell, fix=f"use {', '.join(SHELLS)}"
        )
    context = click.get_current_context().find_root()
    kind = get_completion_class(shell)
    if kind is None:  # click knows all three; a plug-in may have taken one away
        raise UsageError(f"the installed click cannot complete {shell}")
    source = kind(context.command, {}, "proctor", "_PROCTOR_COMPLETE").source()
    if wish.json:
        answer(wish, {"shell": shell, "install": SHELLS[shell], "script": source})
        return
    click.echo(f"# To install: {SHELLS[shell]}\n{source}")
