"""The report as Markdown, for a pull request or a ticket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from proctor.engine.hints import pasteable
from proctor.engine.snapshot import Preview, Report
from proctor.model import Bucket, ChunkState
from proctor.ui import bills, units, words

CUT: Final = 120
"""Characters of a value in a table cell."""
KEY_CUT: Final = 1000
"""Characters of a key: it is typed back, so it is hardly ever cut."""
LISTED: Final = 50
"""Failures shown; `proctor failures RUN` lists all of them."""


def render(report: Report) -> str:
    """The whole report as text, a heading for each part that has something to say."""
    parts = [
        _head(report),
        _books(report),
        _units(report),
        _touched(report),
        _section("Warnings", _bullets(report.warnings)),
        _failures(report),
        _questions(report),
        _chunks(report),
        _waits(report),
        _paid(report),
        _sample(report.sample),
        _actions(report),
        _rollback(report),
        _section("Next steps", _bullets(report.next_steps)),
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def cell(text: str, width: int = CUT) -> str:
    """A value inside a table: nothing in it can end the cell or become markup."""
    said = words.visible(text, width)
    # No link, image, emphasis, code, HTML or new cell can begin without one of these.
    for special in "\\`*_[]<>|~&":
        said = said.replace(special, "\\" + special)
    return said


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the cells are escaped already."""
    lines = [" | ".join(heads), " | ".join("---" for _ in heads), *(" | ".join(r) for r in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _bullets(sentences: Sequence[str]) -> str:
    # Our own sentences may show SQL in backticks; they hold no row values.
    return "\n".join(f"- {words.visible(s)}" for s in sentences)


def _head(report: Report) -> str:
    run = report.run
    state = "interrupted" if run.interrupted else run.state.value
    facts = [
        ("Run", f"`{run.id}`"),
        ("State", state + (f" ({cell(run.reason)})" if run.reason else "")),
        ("Environment", cell(run.env)),
        (
            "Target",
            f"{cell(run.target)}: {cell(', '.join(run.fills) or 'written by called services')}",
        ),
        ("Rows", cell(words.span(run.span))),
        ("Started", words.moment(run.started)),
        ("Ended", words.moment(run.ended)),
        ("Time worked", words.worked(report.elapsed, run, report.made)),
        ("Rate", words.rate(report.rows_per_second)),
        ("Success rate", _percent(report.success_rate)),
        ("Report made", words.moment(report.made)),
    ]
    title = f"# {cell(run.backfill)} {cell(run.version)}"
    return f"{title}\n\n{table(('', ''), facts)}"


def _books(report: Report) -> str:
    books = report.run.outcome
    counts = books.as_dict()
    rows = [
        (b.value, f"{counts[b.value]:,}", words.share(counts[b.value], books.read)) for b in Bucket
    ]
    rows.append(("**read**", f"**{books.read:,}**", "balances" if books.balances else "DOES NOT"))
    left = cell(words.still_eligible(report.run))
    about = "about " if report.run.estimated else ""
    expected = f"{about}{words.count(report.expected)}"
    return _section(
        "Where the rows ended",
        f"{table(('Bucket', 'Rows', 'Share'), rows)}\n\n"
        f"Eligible at the start: {expected}. Still eligible at the end: {left}.",
    )


def _units(report: Report) -> str:
    """The units of a grid: by state, what their author counted, and those that want looking at."""
    seen = report.units
    if seen is None:
        return ""
    body = table(("State", "Units"), [(name, f"{n:,}") for name, n in seen.states.items()])
    if said := units.totals(seen):
        body += f"\n\nOver all units: {cell(said, KEY_CUT)}."
    if listed := units.to_see(seen):
        rows = [
            (cell(words.key(u.key), KEY_CUT), u.state.value, f"{u.attempts:,}", cell(u.reason))
            for u in listed[:LISTED]
        ]
        body += "\n\n" + table(("Unit", "State", "Attempts", "Why"), rows)
    return _section("Units", body)


def _touched(report: Report) -> str:
    """Rows that called services wrote."""
    if not report.touched.names:
        return ""
    rows = [
        (cell(t.table), f"{t.inserted:,}", f"{t.changed:,}", f"{t.deleted:,}")
        for t in report.touched.tables
    ]
    body = table(("Table", "Inserted", "Changed", "Deleted"), rows)
    return _section("Rows of the called service", f"{body}\n\n{units.touched(report.touched)}.")


def _failures(report: Report) -> str:
    if not report.issues_total:
        return ""
    by_reason = table(
        ("Reason", "Rows"),
        [(cell(why), f"{n:,}") for why, n in report.issues_by_reason.items()],
    )
    listed = report.issues[:LISTED]
    rows = [(cell(words.key(i.key), KEY_CUT), i.bucket.value, cell(i.reason)) for i in listed]
    more = ""
    if report.issues_total > len(listed):
        more = f"\n\n{len(listed):,} of {report.issues_total:,} are listed; " + pasteable(
            f"`proctor failures {report.run.id}` lists all of them.", report.run.env
        )
    return _section(
        "Rows not written", f"{by_reason}\n\n{table(('Key', 'Bucket', 'Reason'), rows)}{more}"
    )


def _questions(report: Report) -> str:
    if not report.noted:
        return ""
    rows = [(cell(what), f"{count:,}") for what, count in report.noted.items()]
    return _section("Questions to providers", table(("What came of them", "Questions"), rows))


def _chunks(report: Report) -> str:
    applied = [c for c in report.chunks if c.state is ChunkState.APPLIED]
    if not applied:
        return ""
    times = sorted(c.took for c in applied)
    sizes = sorted(c.outcome.read for c in applied)
    return _section(
        "Chunks",
        f"{words.plural(len(applied), 'chunk')} applied; write transaction: median "
        f"{words.duration(times[len(times) // 2])}, longest {words.duration(times[-1])}; rows a "
        f"chunk: median {sizes[len(sizes) // 2]:,}, most {sizes[-1]:,}.",
    )


def _waits(report: Report) -> str:
    if not report.throttle:
        return _section("Throttle", "The run never waited for the database.")
    rows = [(words.moment(at), cell(why)) for at, why in report.throttle]
    return _section("Throttle", table(("When", "Why it waited"), rows))


def _paid(report: Report) -> str:
    """What each provider was asked, one column each; the plan's forecast beside it."""
    if report.paid_unknown:
        return _section("Paid answers", f"{words.UNKNOWN}: {cell(report.paid_unknown)}")
    if not report.paid:
        return ""
    written = report.run.outcome.written
    heads = ("", *(cell(f"{one.name} {one.model}") for one in report.paid))
    rows = [(name, *map(cell, told)) for name, told in bills.columns(report.paid, written)]
    planned = bills.foreseen(report.planned, report.paid, written)
    return _section(
        "Paid answers", table(heads, rows) + (f"\n\nForeseen: {planned}." if planned else "")
    )


def _sample(sample: Sequence[Preview]) -> str:
    if not sample:
        return ""
    rows = [
        (cell(words.key(row.key), KEY_CUT), cell(name), *(cell(said) for said in _sides(row, name)))
        for row in sample
        for name in row.after or row.before
    ]
    return _section("Sample of rows", table(("Key", "Field", "Before", "After"), rows))


def _sides(row: Preview, name: str) -> tuple[str, str]:
    """One field before and after; what stands there instead where one of them is not known."""
    before = words.value(row.before[name], CUT) if name in row.before else "no row"
    after = words.value(row.after[name], CUT) if name in row.after else row.reason
    return before, after


def _actions(report: Report) -> str:
    rows = [
        (words.moment(at), cell(who), cell(what), cell(change))
        for at, who, what, change in report.actions
    ]
    return _section(
        "What operators did",
        table(("When", "Who", "What", "Before and after"), rows) if rows else "",
    )


def _rollback(report: Report) -> str:
    undone = report.rollback
    if undone is None:
        return ""
    rows = [
        ("restored", f"{undone.restored:,}"),
        ("changed since, left alone", f"{undone.changed:,}"),
        ("gone", f"{undone.gone:,}"),
        ("blocked by the server, or pruned", f"{undone.blocked:,}"),
        ("**written by the run**", f"**{undone.written:,}**"),
    ]
    body = table(("Rows", ""), rows)
    if undone.left:
        left = [(cell(words.key(i.key), KEY_CUT), cell(i.reason)) for i in undone.left[:LISTED]]
        body += "\n\n" + table(("Key", "Left alone because"), left)
    return _section("Rollback", body)


def _percent(share: float | None) -> str:
    return words.UNKNOWN if share is None else words.share(share, 1)
