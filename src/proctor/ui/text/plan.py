"""Forecasts in words: a plan, a dry run, the findings of doctor, the backfills there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rich.console import RenderableType
from rich.text import Text

from proctor.engine.show import source_of
from proctor.engine.snapshot import DryRun, Finding, Plan, Preview
from proctor.model import Bucket
from proctor.ui import words
from proctor.ui.live import COLOURS
from proctor.ui.text import checked, paid
from proctor.ui.text.blocks import facts, heading, listing, table

if TYPE_CHECKING:
    from proctor.authoring import Backfill

CUT: Final = 60
"""Characters of a value in a column of a table."""
MOST_LINES: Final = 12
"""Lines of one row: a unit may give hundreds of rows, and the other units want to be seen."""


def plan(forecast: Plan) -> list[RenderableType]:
    """Everything that a reviewer needs, most important first."""
    survey = forecast.survey
    keys = ""
    if survey.first is not None and survey.last is not None:
        keys = f", keys {words.key(survey.first)} to {words.key(survey.last)}"
    guessed = survey.estimated
    wanted, there = (words.count(n, estimated=guessed) for n in (survey.eligible, survey.rows))
    rows = f"{wanted} eligible of {there}"
    # Of an empty table nobody knows how large its rows will be.
    size = f", {words.size(survey.row_bytes)} a row" if survey.row_bytes else ""
    chunks = words.plural(forecast.chunks, "chunk")
    said: list[RenderableType] = [
        heading(
            f"Plan: {forecast.backfill} {forecast.version} in {forecast.env}",
            "nothing was written",
        ),
        facts(
            (
                ("made", words.moment(forecast.made)),
                ("fills", words.filled(forecast.fills, forecast.target)),
                ("reads", words.visible(forecast.source)),
                ("database", _database(forecast)),
                ("parameters", ", ".join(f"{k}={v}" for k, v in forecast.params.items())),
                ("covers", words.span(forecast.span)),
                ("rows", f"{rows}{keys}{size}"),
                ("keys missed", words.missed(forecast.missed)),
                ("chunks", f"{chunks}, at first of {words.plural(forecast.chunk_rows, 'row')}"),
                ("duration", words.estimate(forecast.duration)),
                ("write-ahead log", _forecast(forecast.wal_bytes, words.size)),
                ("dead tuples", _forecast(forecast.dead_tuples, words.count)),
            )
        ),
    ]
    if forecast.warnings:
        said += [Text(), heading("Warnings"), _warned(forecast.warnings)]
    if forecast.paid:
        said += paid.forecast(forecast.paid)
    if forecast.sample:
        said += [Text(), heading("Sample", "before and after"), previews(forecast.sample)]
    said += checked.verdicts(forecast.checks)
    said += [
        Text(),
        heading("Throttle", "what the run watches, and where it would stop"),
        listing([words.signal(s) for s in forecast.throttle] or ["nothing is watched here"]),
        Text(),
        heading("Digest", "an approval names it"),
        facts((("all", forecast.digest), *((k, v[:16]) for k, v in forecast.parts.items()))),
    ]
    return said


def dry_run(found: DryRun) -> list[RenderableType]:
    """Rows with what would become of them."""
    counts = ", ".join(
        f"{bucket.value} {found.counts[bucket.value]:,}"
        for bucket in Bucket
        if found.counts.get(bucket.value)
    )
    title = heading(
        f"Dry run: {found.backfill} in {found.env}",
        f"{words.plural(len(found.previews), 'row')}; nothing was written",
    )
    warned = [_warned(found.warnings)] if found.warnings else []
    if not found.previews:
        return [title, *(warned or [listing(["no row is eligible: a run would do nothing"])])]
    return [
        title,
        *warned,
        previews(found.previews),
        *checked.verdicts(found.checks),
        Text(),
        facts(
            (
                ("would be", counts),
                ("paid just now", paid.paid(found.paid) if found.paid else ""),
                ("function", f"{words.duration(found.per_row)} a row" if found.per_row else ""),
                ("not tried", "what only the database can refuse: constraints, triggers"),
            )
        ),
    ]


def _warned(warnings: Sequence[str]) -> RenderableType:
    return listing(map(words.visible, warnings), style="yellow", mark="!")


def previews(rows: Sequence[Preview]) -> RenderableType:
    """One line a field; what it was made from; rows that would not be written say why."""
    heads = ("key", "from", "would be", "field", "before", "after")
    lines = [line for row in rows for line in _preview(row)]
    if not any(row.inputs for row in rows):
        return table((heads[0], *heads[2:]), ((line[0], *line[2:]) for line in lines))
    return table(heads, lines)


def _preview(row: Preview) -> Iterable[tuple[str | Text, ...]]:
    bucket = Text(row.bucket, style=COLOURS.get(Bucket(row.bucket), ""))
    made_from = _inputs(row.inputs)
    if not row.after:
        said = Text(words.visible(row.reason), style="dim")
        yield words.key(row.key), made_from, bucket, "", "", said
        return
    every = list(row.after.items())
    for place, (name, after) in enumerate(every[:MOST_LINES]):
        before = words.value(row.before.get(name), CUT) if name in row.before else "-"
        first = place == 0
        yield (
            words.key(row.key) if first else "",
            made_from if first else "",
            bucket if first else "",
            words.visible(name),
            Text(before, style="dim"),
            Text(words.value(after, CUT), style="green" if row.bucket == "written" else ""),
        )
    if (more := len(every) - MOST_LINES) > 0:
        yield "", "", "", Text(f"and {more:,} more", style="dim"), "", ""


def _inputs(used: Mapping[str, str | None]) -> str:
    """The columns that the function used: one is its value, several are told by name."""
    if len(used) == 1:
        return words.value(next(iter(used.values())), CUT)
    return words.visible(", ".join(f"{n}={words.value(v)}" for n, v in used.items()), CUT)


def findings(found: Sequence[Finding]) -> RenderableType:
    """One line a finding; what to do about it on its own line."""
    rows: list[tuple[str | Text, ...]] = []
    for finding in found:
        mark = Text("ok", style="green") if finding.ok else Text("BAD", style="bold red")
        rows.append((mark, words.visible(finding.subject), words.visible(finding.detail)))
        if finding.fix:
            rows.append(("", "", Text(words.visible(finding.fix), style="yellow")))
    return table(("", "looked at", "found"), rows)


def backfills(known: Mapping[str, Backfill]) -> RenderableType:
    """Name, version, what it fills and the first line of its docstring."""
    return table(
        ("name", "version", "fills", "of", "what it does"),
        (
            (
                Text(b.name, style="bold"),
                b.version,
                ", ".join(b.spec.fills),
                b.spec.target + (f", from {source_of(b.spec)}" if source_of(b.spec) else ""),
                b.doc.strip().partition("\n")[0],
            )
            for b in known.values()
        ),
    )


def _database(forecast: Plan) -> str:
    server = f" ({forecast.shape.server})" if forecast.shape.server else ""
    return words.visible(forecast.shape.address) + server


def _forecast(number: int | None, say: Callable[[int], str]) -> str:
    # Where the store keeps neither, the line is left out.
    return "" if number is None else say(number)
