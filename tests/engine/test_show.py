"""What faces show: sensitive fields as bullets, long ones cut, and true clocks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.pace import Pace
from proctor.core.sizing import Sizing
from proctor.engine.pacing import Pacing
from proctor.engine.show import (
    MASK,
    SHOWN,
    cut,
    image_text,
    in_key_order,
    inputs,
    is_hidden,
    masked,
    previews,
    rates,
    shown_key,
    snapshot,
)
from proctor.model import (
    ABSENT,
    Bucket,
    Chunk,
    ChunkRecord,
    ChunkState,
    Issue,
    KeyPart,
    Outcome,
    Page,
    Run,
    RunState,
    Settled,
    Signal,
    Source,
    Span,
    Spec,
    Tuning,
)
from proctor.testing.clock import FakeClock

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SECRET = "ann@example.org"


def spec(*fills, sensitive=(), key=("id",), stamp=None):
    return Spec(
        backfill="normalize",
        version="1.0",
        kind=Source.TABLE,
        source="people",
        key=tuple(KeyPart(column=column) for column in key),
        fills=fills or ("normalized",),
        sensitive=tuple(sensitive),
        stamp=stamp,
    )


def page(rows, images=None, *, keys=None):
    return Page(
        keys=keys or [(i + 1,) for i in range(len(rows))],
        rows=rows,
        versions=[None] * len(rows),
        images=images or [None] * len(rows),
    )


@pytest.mark.parametrize(
    ("name", "sensitive", "hidden"),
    [
        ("email", {"email"}, True),
        ("email", {"e-mail"}, False),
        ("email_domain", {"email"}, False),
        ("email", {"email_domain"}, False),
        ("doc.email", {"doc"}, True),
        ("doc.email", {"doc.email"}, True),
        ("doc.person.email", {"doc.person"}, True),
        ("doc.person.email", {"doc"}, True),
        ("doc.person", {"doc.person.email"}, True),
        ("doc", {"doc.email"}, True),
        ("doc.size", {"doc.email"}, False),
        ("doc.emails", {"doc.email"}, False),
        ("email", set(), False),
    ],
)
def test_a_field_is_hidden_with_all_that_holds_it_and_all_that_it_holds(name, sensitive, hidden):
    """A document that holds a sensitive path is hidden whole: bullets too many leak nothing."""
    assert is_hidden(name, sensitive) is hidden


def test_hidden_fields_are_bullets_and_null_stays_null():
    shown = masked([("email", SECRET), ("phone", None), ("size", "M")], spec(sensitive=["email"]))
    assert shown == {"email": MASK, "phone": None, "size": "M"}


def test_a_long_value_is_cut_with_a_sign():
    assert cut("x" * SHOWN) == "x" * SHOWN
    assert cut("x" * (SHOWN + 1)) == "x" * (SHOWN - 1) + "…"
    assert masked([("size", "y" * 10_000_000)], spec())["size"] == "y" * (SHOWN - 1) + "…"


@given(st.text(), st.integers(1, 50))
def test_what_is_cut_fits(text, most):
    shown = cut(text, most)
    assert len(shown) <= most
    assert shown == text or shown.endswith("…")


def test_issues_are_listed_by_key():
    """Numbers as numbers, each column in its own direction."""
    parts = (KeyPart(column="year", descending=True), KeyPart(column="sku"))
    keys = [(9, "b"), (10, "b"), (10, "a"), (1, "z")]
    issues = [Issue(key=key, bucket=Bucket.SKIPPED) for key in keys]
    found = in_key_order(issues, replace(spec(), key=parts))
    assert [i.key for i in found] == [(10, "a"), (10, "b"), (9, "b"), (1, "z")]


def test_images_read_as_people_read_them():
    assert image_text("M") == "M"
    assert image_text(None) is None
    assert image_text(ABSENT) is None


def test_the_inputs_are_what_the_function_got_without_what_it_fills():
    row = {"id": 7, "style": "Boho", "normalized": "old", "stamped": "0.9", "doc": {"a": 1}}
    shown = inputs(row, spec("normalized", "doc.size", stamp="stamped"), row)
    assert shown == {"id": "7", "style": "Boho"}


def test_no_input_is_shown_that_the_function_did_not_use():
    """A report of e-mail addresses tells nobody's name or balance."""
    row = {"id": 7, "style": "Boho", "balance": 3}
    assert inputs(row, spec(), {"style", "gone"}) == {"style": "Boho"}


def test_a_key_shows_its_sensitive_columns_as_bullets():
    """Some tables have an e-mail address for a key."""
    both = spec(key=("tenant", "email"), sensitive=["email"])
    assert shown_key((3, SECRET), both) == (3, MASK)
    assert shown_key((3, "M"), spec(key=("tenant", "size"))) == (3, "M")


def test_a_preview_shows_before_and_after():
    settled = Settled(page=page([{"style": "BOHO"}], [("x",)]), index=[0], values=[("boho",)])
    (shown,) = previews(settled.page, settled, spec(), {"style"})
    assert (shown.key, shown.bucket, shown.reason) == ((1,), "written", "")
    assert shown.before == {"normalized": "x"}
    assert shown.after == {"normalized": "boho"}
    assert shown.inputs == {"style": "BOHO"}


def test_every_row_has_its_own_preview():
    """Written ones and issues in the order of the page, each with its own values."""
    rows = page([{"n": 1}, {"n": 2}, {"n": 3}], [("a",), (None,), (ABSENT,)])
    settled = Settled(
        page=rows,
        index=[0, 2],
        values=[("A",), ("C",)],
        issues=(Issue(key=(2,), bucket=Bucket.REFUSED, reason="no style"),),
    )
    shown = previews(rows, settled, spec(), ())
    assert [p.bucket for p in shown] == ["written", "refused", "written"]
    assert [p.reason for p in shown] == ["", "no style", ""]
    assert [p.before["normalized"] for p in shown] == ["a", None, None]
    assert [p.after.get("normalized") for p in shown] == ["A", None, "C"]


def test_a_row_that_does_not_exist_yet_has_an_empty_before():
    """`into=` another table: nothing stood there."""
    settled = Settled(page=page([{}]), index=[0], values=[("a", "b")])
    (shown,) = previews(settled.page, settled, spec("one", "two"), ())
    assert shown.before == {"one": None, "two": None}
    assert shown.after == {"one": "a", "two": "b"}


def test_no_preview_shows_a_sensitive_value_anywhere():
    """In key, inputs, before and after, nested and as part of a document."""
    hidden = spec(
        "email_clean",
        "doc.person",
        key=("email",),
        sensitive=["email", "email_clean", "doc.person"],
    )
    rows = page(
        [{"email": SECRET, "size": "M", "doc": {"person": SECRET}}],
        [(SECRET, f'{{"email": "{SECRET}"}}')],
        keys=[(SECRET,)],
    )
    settled = Settled(page=rows, index=[0], values=[(SECRET, {"email": SECRET})])
    shown = previews(rows, settled, hidden, {"email", "size", "doc"})
    assert SECRET not in repr(shown)
    assert shown[0].inputs["size"] == "M"


def test_a_document_that_holds_a_sensitive_path_is_not_an_input_in_clear():
    row = {"doc": {"person": {"email": SECRET}, "size": "M"}, "size": "M"}
    shown = inputs(row, spec(sensitive=["doc.person.email"]), row)
    assert shown == {"doc": MASK, "size": "M"}


def run(state=RunState.RUNNING, **extra):
    values = {
        "id": "261122-aa",
        "backfill": "normalize",
        "version": "1.0",
        "env": "local",
        "target": "people",
        "fills": ("normalized",),
        "epoch": 1,
        "span": Span(),
        "digest": "{}",
        "params": "{}",
        "created": START,
        "started": START + timedelta(seconds=10),
    }
    return Run(state=state, **(values | extra))


NOW = START + timedelta(seconds=70)


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [
        pytest.param(run(), 60, id="running: until now"),
        pytest.param(run(started=None), 70, id="queued: since it was made"),
        pytest.param(
            run(RunState.SUCCEEDED, ended=START + timedelta(seconds=40)), 30, id="ended: until then"
        ),
        pytest.param(
            run(RunState.RUNNING, ended=START + timedelta(seconds=40)), 60, id="resumed after it"
        ),
        pytest.param(
            run(RunState.ROLLING_BACK, ended=START + timedelta(seconds=40)), 30, id="taken back"
        ),
        pytest.param(
            run(RunState.PAUSED, heartbeat=START + timedelta(seconds=25)), 15, id="paused"
        ),
        pytest.param(run(interrupted=True, heartbeat=START + timedelta(seconds=25)), 15, id="dead"),
        pytest.param(run(started=NOW + timedelta(seconds=5)), 0, id="a clock ahead of ours"),
    ],
)
def test_the_time_that_a_run_took(shown, seconds):
    assert snapshot(shown, NOW, pace=Pace()).elapsed == timedelta(seconds=seconds)


def test_a_snapshot_without_a_past_admits_it():
    """No rate and no end before anything was seen, and none where the rows were not counted."""
    shown = snapshot(run(expected=1000), NOW, pace=Pace())
    assert (shown.rate, shown.eta, shown.workers, shown.chunk_rows) == (None, None, None, None)
    assert shown.throttle == ()
    assert snapshot(run(expected=None), NOW, pace=moving()).eta is None


def moving():
    pace = Pace()
    for second in range(30):
        pace.mark(START + timedelta(seconds=second), 10 * second)
    return pace


def test_the_end_counts_what_is_left():
    shown = snapshot(run(expected=1290, outcome=Outcome(read=290, written=290)), NOW, pace=moving())
    assert shown.rate == pytest.approx(10.0)
    assert shown.eta.low <= timedelta(seconds=100) <= shown.eta.high


def test_more_rows_than_expected_are_no_negative_end():
    """Rows arrive while it runs: the estimate of the start may be passed."""
    shown = snapshot(run(expected=100, outcome=Outcome(read=290, written=290)), NOW, pace=moving())
    assert shown.eta.low == shown.eta.high == timedelta(0)


def test_a_snapshot_shows_the_throttle_and_the_chunk():
    signal = Signal(name="replication lag", value=9.0, limit=10.0, unit="s")
    pacing = Pacing(clock=FakeClock(START), sizing=Sizing(), tuning=Tuning(chunk_rows=42))
    pacing.signals, pacing.reason = (signal,), "replication lag is 9 s of 10 s"
    shown = snapshot(run(), NOW, pace=Pace(), pacing=pacing, lanes=3, chunks=8)
    assert shown.throttle == (signal,)
    assert shown.throttle_reason == "replication lag is 9 s of 10 s"
    assert (shown.chunk_rows, shown.workers, shown.chunks_applied) == (42, 3, 8)


def chunk(number, seconds, read, state=ChunkState.APPLIED):
    return ChunkRecord(
        chunk=Chunk(run="r", number=number, after=None, upto=(number,)),
        state=state,
        fence=1,
        worker="w",
        outcome=Outcome(read=read, written=read),
        code="c",
        applied=START + timedelta(seconds=seconds) if seconds is not None else None,
        took=timedelta(seconds=0.1),
    )


def test_too_few_chunks_make_no_curve():
    assert rates([]) == []
    assert rates([chunk(1, 1, 500)]) == []
    assert rates([chunk(1, 1, 500), chunk(2, None, 0, ChunkState.OPEN)]) == []


@given(
    st.lists(st.tuples(st.floats(0, 10**6), st.integers(0, 10**6)), min_size=2, max_size=60),
    st.integers(1, 300),
)
def test_the_curve_holds_every_row_once(found, points):
    """Whatever the gaps: the area under the rate is the rows read, in bounded points."""
    curve = rates([chunk(i, at, read) for i, (at, read) in enumerate(found)], points=points)
    begin, end = min(at for at, _ in found), max(at for at, _ in found)
    width = max((end - begin) / points, 0.25)
    assert len(curve) <= points + 2
    assert sum(rate for _, rate in curve) * width == pytest.approx(
        sum(read for _, read in found), rel=1e-3
    )
    assert [at for at, _ in curve] == sorted(at for at, _ in curve)


def test_chunks_at_one_moment_make_a_finite_rate():
    ((_, rate),) = rates([chunk(1, 5, 100), chunk(2, 5, 100)])
    assert rate == pytest.approx(200 / 0.25)
