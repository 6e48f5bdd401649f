"""Where a rollout stands is read from its log, in one go or entry by entry."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.rolling import Standing, fold
from proctor.model import LogEntry, RolloutState

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STAGE = st.integers(0, 3)
KINDS = {
    "stage.entered": st.fixed_dictionaries({"stage": STAGE, "name": st.just("s")}),
    "stage.passed": st.fixed_dictionaries({"stage": STAGE, "name": st.just("s")}),
    "metric.measured": st.fixed_dictionaries({"metric": st.sampled_from("ab")}),
    "metric.missed": st.fixed_dictionaries({"metric": st.just("a")}),
    "snapshot.appended": st.fixed_dictionaries({"slot": st.integers(0, 9)}),
    "probe.answered": st.fixed_dictionaries({"probe": st.just("p")}),
    "approval.given": st.fixed_dictionaries({"digest": st.sampled_from("de")}),
    "approval.voided": st.just({}),
    "flag.read": st.fixed_dictionaries({"flag": st.just("F"), "before": st.just({"percent": 0})}),
    "run.found": st.fixed_dictionaries({"backfill": st.just("b"), "run": st.sampled_from("xy")}),
}
ENTRIES = st.lists(
    st.sampled_from(sorted(KINDS)).flatmap(lambda kind: KINDS[kind].map(lambda data: (kind, data))),
    max_size=30,
)


def log(told):
    """Entries a second apart."""
    return [
        LogEntry(kind=kind, at=NOW + timedelta(seconds=n), who="ann", data=data, number=n)
        for n, (kind, data) in enumerate(told, 1)
    ]


@given(ENTRIES)
def test_entry_by_entry_is_the_same_as_all_at_once(told):
    """Whoever reads on stands where somebody stands who reads it all."""
    entries = log(told)
    by_one = Standing()
    for entry in entries:
        by_one = fold([entry], by_one)
    assert by_one == fold(entries)


@given(ENTRIES)
def test_a_stage_is_where_it_was_entered_and_has_what_came_since(told):
    """Nothing of the stage before is taken for evidence of the one in hand."""
    entries = log(told)
    stood = fold(entries)
    marks = [e for e in entries if e.kind in ("stage.entered", "stage.passed")]
    since = marks[-1].number if marks else 1
    assert [e.number for e in stood.here] == [e.number for e in entries if e.number >= since]
    own = [e.at for e in entries if not e.kind.startswith("approval.")]
    assert stood.last == (own[-1] if own else None)


def test_a_soak_of_days_is_read_in_a_moment():
    """As many looks as a metric every ten seconds takes in two days; no look costs all others."""
    looks = [("metric.measured", {"metric": "a"})] * 17_280
    entries = log([("stage.entered", {"stage": 0, "name": "s"}), *looks])
    stood = fold(entries)
    assert len(stood.here) == 17_281
    assert stood.ended is None
    ended = log([("rollout.ended", {"to": "active", "why": "through"})])
    assert fold(ended, stood).ended is RolloutState.ACTIVE


def test_each_look_of_a_long_soak_is_read_once():
    """Every turn asks for all of them, and no turn reads again what one before has read."""
    data = {"metric": "a", "due": NOW.isoformat(), "phase": "failed", "figures": {}, "told": ""}
    told = [("metric.measured", data | {"slot": slot}) for slot in range(2)]
    told.append(("metric.missed", {"metric": "a", "first": 2, "last": 3}))
    entries = log([*told, ("metric.measured", data | {"slot": 4})])
    stood = fold(entries[:3])
    before = stood.measured()["a"]
    after = fold(entries[3:], stood).measured()["a"]
    assert [one.slot for one in after] == [0, 1, 2, 3, 4]
    assert all(now is then for now, then in zip(after, before, strict=False))
    assert [one.slot for one in fold(entries).measured(3)["a"]] == [4]
