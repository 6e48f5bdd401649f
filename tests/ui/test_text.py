"""What commands print for people."""

import io

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from rich.console import Console

from proctor.engine.snapshot import (
    DryRun,
    Estimate,
    Finding,
    Plan,
    Preview,
    Rollback,
    Verification,
)
from proctor.model import (
    Bucket,
    Foreseen,
    Foresight,
    Issue,
    Outcome,
    RunState,
    Shape,
    Signal,
    Span,
    Survey,
    Tuning,
    Undone,
)
from proctor.ports import UndoTerms
from proctor.ui import lines, live, words
from proctor.ui.text import plan as forecasts
from proctor.ui.text import runs

HOSTILE = "\x1b[2J[red]<b>\u202e"


def shown(parts, *, width=120):
    """As it comes out of a pipe, or of a terminal of this width."""
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    for part in parts if isinstance(parts, list) else [parts]:
        console.print(part)
    return console.file.getvalue()


@pytest.fixture
def forecast():
    preview = Preview(
        key=(1,), bucket="written", before={"lowered": None}, after={"lowered": HOSTILE}
    )
    refused = Preview(key=(2,), bucket="refused", before={}, after={}, reason="no [red] text")
    return Plan(
        backfill="lower",
        version="2",
        env="production",
        target="public.songs",
        fills=("lowered",),
        made=datetime(2026, 11, 22, 19, 0, tzinfo=UTC),
        digest="d" * 64,
        parts={"code": "c" * 64, "schema": "s" * 64},
        files={"backfills.py": "f" * 64},
        facts={},
        params={"depth": 3},
        span=Span(limit=100),
        shape=Shape(
            identity="postgres:7/shop/public.songs",
            address="songs at db.example.com/shop",
            columns=(),
            target_columns=(),
            digest="s" * 64,
            server="PostgreSQL 16.2",
        ),
        survey=Survey(rows=114_336, eligible=90_000, first=(1,), last=(114_336,), row_bytes=210.5),
        chunks=180,
        chunk_rows=500,
        duration=Estimate(low=timedelta(minutes=3), high=timedelta(minutes=9)),
        wal_bytes=52_000_000,
        dead_tuples=90_000,
        sample=(preview, refused),
        warnings=("the trigger touch changes updated_at",),
        throttle=(
            Signal(name="replication_lag_s", value=0.2, limit=10, unit="s"),
            Signal(name="lock_waiters", value=None, limit=8, why="pg_locks is not readable"),
        ),
    )


def test_a_plan_says_everything_that_a_reviewer_needs(forecast):
    """Rows, chunks, time, log, dead tuples, sample, warnings, signals not watched, digest."""
    text = shown(forecasts.plan(forecast))
    for said in (
        "Plan: lower 2 in production",
        "lowered of public.songs",
        "songs at db.example.com/shop (PostgreSQL 16.2)",
        "depth=3",
        "at most 100 rows",
        "90,000 eligible of 114,336, keys 1 to 114336",
        "180 chunks, at first of 500 rows",
        "3 min to 9 min",
        "52.0 MB",
        "dead tuples",
        "! the trigger touch changes updated_at",
        "no [red] text",
        "replication_lag_s: 0.2 of 10 s",
        "lock_waiters: not watched (pg_locks is not readable)",
        "d" * 64,
        "c" * 16,
    ):
        assert said in text, said


def test_a_plan_shows_what_was_not_counted_as_such(forecast):
    """~ stands for the server's guess, on every number of rows."""
    guessed = replace(forecast, survey=replace(forecast.survey, estimated=True))
    assert "~90,000 eligible of ~114,336" in shown(forecasts.plan(guessed))


def test_the_first_line_of_a_plan_fits_a_narrow_terminal(forecast):
    """What it is, and that nothing was written, at one glance."""
    first = shown(forecasts.plan(forecast), width=80).splitlines()[0]
    assert first.endswith("nothing was written")


def test_values_cannot_drive_the_terminal(forecast):
    """Escape codes are shown, and square brackets are not Rich's markup."""
    text = shown(forecasts.plan(forecast))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]<b>" in text


def test_a_plan_leaves_out_what_the_store_does_not_have(forecast):
    """SQLite keeps no dead tuples: no line rather than a zero."""
    text = shown(forecasts.plan(replace(forecast, wal_bytes=None, dead_tuples=None, params={})))
    assert "dead tuples" not in text
    assert "write-ahead log" not in text
    assert "parameters" not in text


def test_a_plan_tells_what_its_answers_will_cost(forecast):
    """Money as a range, what the sample has cost, the limit that binds, days of quota."""
    writer = Foreseen(
        provider="writer",
        model="openai:gpt-5-mini",
        calls_per_row=1.0,
        input_per_row=412.0,
        output_per_row=38.0,
        calls=3421,
        input_tokens=1_409_452,
        output_tokens=129_998,
        usd=Decimal("0.61"),
        usd_low=Decimal("0.58"),
        usd_high=Decimal("0.64"),
        to_pay=Decimal("0.60"),
        left_usd=Decimal("11.89"),
        days=4,
    )
    seen = Foresight(
        rows=50,
        eligible=3421,
        providers=(writer,),
        usd=Decimal("0.61"),
        usd_low=Decimal("0.58"),
        usd_high=Decimal("0.64"),
        to_pay=Decimal("0.60"),
        paid=Decimal("0.0089"),
        paid_calls=50,
        low=timedelta(minutes=7),
        high=timedelta(minutes=11),
        bound="rpm = 500 of writer",
    )
    text = shown(forecasts.plan(replace(forecast, paid=seen)))
    for told in (
        "about $0.61, $0.58 to $0.64, for all 3,421 rows",
        "$0.0089 for 50 calls",
        "7 min to 11 min, by rpm = 500 of writer",
        "412 in, 38 out",
        "$11.89 of writer",
        "4 days of writer",
    ):
        assert told in text
    kept = replace(seen, paid=Decimal(0), paid_calls=0)
    assert "nothing: the answers were kept already" in shown(
        forecasts.plan(replace(forecast, paid=kept))
    )


def test_a_dry_run_of_nothing_says_so():
    empty = DryRun(backfill="b", env="local", previews=(), counts={}, per_row=None, existing=0)
    assert "no row is eligible" in shown(forecasts.dry_run(empty))


def test_a_dry_run_shows_what_a_row_was_made_from(forecast):
    """`null -> ann` says little without what was read; several columns are named."""
    (written, refused) = forecast.sample
    one = replace(written, inputs={"email": " Ann "})
    two = replace(refused, inputs={"email": "x", "phone": None})
    tried = DryRun(
        backfill="b", env="local", previews=(one, two), counts={}, per_row=None, existing=1
    )
    text = shown(forecasts.dry_run(tried))
    assert " from " in text
    assert " Ann " in text
    assert "email=x, phone=null" in text
    plain = shown(forecasts.dry_run(replace(tried, previews=forecast.sample)))
    assert " from " not in plain


def test_a_unit_of_many_rows_leaves_room_for_the_others(forecast):
    """JSON has them all; a plan of four units would else be a hundred lines long."""
    (written, refused) = forecast.sample
    rows = {f"isbn-{n}": f"title={n}" for n in range(24)}
    unit = replace(written, before=dict.fromkeys(rows), after=rows)
    text = shown(forecasts.plan(replace(forecast, sample=(unit, refused))))
    assert "isbn-11" in text
    assert "isbn-12" not in text
    assert "and 12 more" in text
    assert "more" not in shown(forecasts.previews((replace(unit, after=dict.fromkeys("abc")),)))


def test_the_time_of_a_function_is_told_where_there_is_one(forecast):
    """`sql=` has none: 0 ms a row would be wrong."""
    tried = DryRun(
        backfill="b", env="local", previews=forecast.sample, counts={}, per_row=None, existing=1
    )
    assert "a row" not in shown(forecasts.dry_run(tried))
    timed = replace(tried, per_row=timedelta(milliseconds=3))
    assert "3 ms a row" in shown(forecasts.dry_run(timed))


def test_a_finding_says_what_to_do():
    text = shown(
        forecasts.findings(
            [
                Finding(subject="ledger", ok=True, detail="reachable"),
                Finding(subject="store", ok=False, detail="refused", fix="GRANT SELECT"),
            ]
        )
    )
    assert "ok" in text
    assert "BAD" in text
    assert "GRANT SELECT" in text


def test_no_runs_are_a_sentence():
    assert "no run is on record" in shown(runs.runs([]))


def test_a_long_list_says_how_many_more_there_are(seen):
    text = shown(runs.runs([seen] * 25))
    assert text.count("normalize_wardrobe") == runs.LISTED
    assert "and 5 older ones" in text


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_what_one_copies_from_a_list_is_never_broken(seen, width):
    """An identity or a name that goes over two lines can be neither read nor pasted."""
    long = replace(seen, run=replace(seen.run, backfill="normalize_all_email_addresses"))
    out = shown(runs.runs([long]), width=width)
    assert f"  {seen.run.id} " in out
    for said in ("normalize_all_email_addresses", "1,480", words.moment(seen.run.started)):
        assert said in out, out
    assert ("backfill" in out) == (width == 200), "heads only above columns"
    assert max(map(len, out.splitlines())) <= width


def test_a_file_is_named_as_one_would_type_it_from_here(tmp_path, monkeypatch):
    """Short below the directory one stands in, whole elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert words.place(tmp_path / "reports" / "r.html") == "reports/r.html"
    assert words.place(tmp_path.parent / "r.html") == str(tmp_path.parent / "r.html")


def test_an_interrupted_run_is_called_so(seen):
    """Its state is running, but nobody runs it."""
    text = shown(runs.one(replace(seen, run=replace(seen.run, interrupted=True))))
    assert "interrupted" in text
    assert "mira@ops (process 7)" in text


def test_knobs_are_said_only_when_somebody_set_them():
    assert runs.knobs(Tuning()) == ""
    tuned = Tuning(chunk_rows=200, pause=timedelta(seconds=0.5))
    assert runs.knobs(tuned) == "chunk_rows=200, pause=500 ms"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (RunState.PAUSING, "proctor watch"),
        (RunState.PAUSED, "proctor resume"),
        (RunState.CANCELLED, "proctor rollback"),
        (RunState.RUNNING, ""),
    ],
)
def test_an_order_is_answered_with_what_comes_next(run, state, said):
    assert said in runs.hint_after(replace(run, state=state))


def test_a_verdict_stands_first(run):
    text = shown(
        runs.verification(
            Verification(
                run=run,
                held=Undone(written=5, restored=4, changed=1),
                recomputed=3,
                different=tuple(
                    Issue(key=(n,), bucket=Bucket.CONFLICTED, reason="other") for n in range(30)
                ),
                verdict="fail",
                reason="4 of 5 rows hold what was written",
            )
        )
    )
    assert text.startswith("fail  4 of 5 rows hold")
    assert "and 10 more" in text


def test_a_rollback_lists_what_it_left_alone(run):
    undone = Undone(
        written=5,
        restored=4,
        changed=1,
        left=(Issue(key=(3,), bucket=Bucket.CONFLICTED, reason="changed since"),),
    )
    done = Rollback(run=run, undone=undone, chunks=1, dry_run=True, elapsed=timedelta(seconds=1))
    text = shown(runs.rollback(done))
    assert "Dry run of the rollback" in text
    assert "nothing was written" in text
    assert "would be restored  4" in text
    assert "changed since" in text
    assert "5 in 1 chunk" in text


def test_a_rollback_of_a_part_counts_no_chunks(run):
    """It looks into every chunk of the run, which says nothing of two rows."""
    done = Rollback(
        run=run,
        undone=Undone(written=2, restored=2),
        chunks=14,
        dry_run=False,
        elapsed=timedelta(seconds=1),
        terms=UndoTerms(span=Span(keys=((1,), (2,)))),
    )
    text = shown(runs.rollback(done))
    assert "chunk" not in text


def test_a_run_that_waits_says_why(seen):
    """Whoever asks for its status need not watch it to know."""
    waits = replace(seen, throttle_reason="lag is 12 of 10 s")
    assert "waits           lag is 12 of 10 s" in shown(runs.one(waits))
    assert f"{seen.run.id}: it waits: lag is 12 of 10 s" in shown(runs.runs([waits]))
    assert "waits" not in shown(runs.one(seen)) + shown(runs.runs([seen]))


def test_a_part_has_nothing_left_in_itself_alone(run):
    """`none` beside thousands of rows that were not read would say the contrary of it."""
    done = replace(run, still_eligible={})
    assert words.still_eligible(done) == "none"
    part = replace(done, span=Span(limit=5))
    assert words.still_eligible(part) == "none in the part that it covers"


def test_a_run_that_is_not_heard_of_says_when_it_can_be_taken_over(seen):
    """A beat comes every second: five without one are news, a lease of them the end."""
    quiet = replace(seen, silent_for=timedelta(seconds=4), lease_left=timedelta(seconds=26))
    assert runs.silence(seen) == runs.silence(quiet) == ""
    silent = replace(seen, silent_for=timedelta(seconds=12), lease_left=timedelta(seconds=18))
    assert runs.silence(silent) == (
        "no heartbeat for 12 s: its process may be dead; "
        f"`proctor resume {seen.run.id}` takes over after 18 s"
    )
    assert f"{seen.run.id}: no heartbeat for 12 s" in shown(runs.runs([silent]))


@pytest.mark.parametrize("state", [RunState.PAUSING, RunState.PAUSED, RunState.FAILED])
def test_a_run_that_was_stopped_with_every_row_read_does_not_look_done(seen, state):
    """What it lacks is said wherever "3,421 of 3,421" stands; a list says why it is paused."""
    read = Outcome(read=3421, written=3421)
    run = replace(seen.run, state=state, outcome=read, reason="paused by ann")
    to_come = "a last look for rows left is to come"
    stopped = replace(seen, run=run)
    line = lines.line(stopped)
    assert f"processed 3,421 of 3,421 (100 %), {to_come};" in line
    for drawn in (runs.one(stopped), runs.moved(run, ""), live.panel(stopped)):
        assert to_come in shown(drawn)
    because = "paused by ann; " if state is RunState.PAUSED else ""
    assert f"  {run.id}: {because}{to_come}" in shown(runs.runs([stopped]))
    others = [replace(run, state=s) for s in (RunState.RUNNING, RunState.SUCCEEDED)]
    others.append(replace(run, outcome=Outcome(read=3420, written=3420)))
    for other in others:
        still = replace(seen, run=other)
        assert to_come not in lines.line(still) + shown(runs.one(still) + runs.runs([still]))
