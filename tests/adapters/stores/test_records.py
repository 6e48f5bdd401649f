"""What a target's own tables keep comes back as it went in."""

import json

from datetime import UTC, datetime, timedelta

from proctor.adapters.stores import records
from proctor.model import (
    Bucket,
    Guard,
    Holder,
    Issue,
    KeyPart,
    Outcome,
    Source,
    Span,
    Spec,
    Tuning,
)

SPEC = Spec(
    backfill="wardrobe",
    version="1",
    kind=Source.QUERY,
    source="SELECT 1",
    key=(KeyPart(column="a"), KeyPart(column="b", descending=True)),
    fills=("x", "doc.y"),
    columns=("a", "b"),
    where="a > :low",
    stamp="v",
    into="t",
    into_key=("a", "b"),
    sql=(("x", "lower(a)"),),
    guard=Guard.TARGET,
    preserve=("updated_at",),
    params=(("low", 1.5), ("s", "é\udcff"), ("n", None), ("b", True)),
)


def test_a_spec_survives_its_json():
    """Rollback reads the spec as it was, without the author's code."""
    assert records.spec_from_json(records.spec_to_json(SPEC)) == SPEC


def test_a_spec_of_an_older_proctor_reads_with_defaults():
    """Fields that did not exist yet take their defaults, unknown ones are passed over."""
    old = {"backfill": "b", "version": "1", "kind": "table", "source": "t", "fills": ["x"]}
    old |= {"key": [{"column": "id"}], "of_a_later_version": 1}
    assert records.spec_from_json(json.dumps(old)).guard is Guard.ROWS


def test_small_nouns_survive_their_json():
    """Spans, holders, knobs, keys, books and times."""
    span = Span(start=(1, "a"), stop=("b",), keys=((1,), ("x",)), limit=3)
    assert records.span_from_json(records.span_to_json(span)) == span
    holder = Holder(host="h", pid=1, started="now", user="u")
    assert records.holder_from_json(records.holder_to_json(holder)) == holder
    tuning = Tuning(workers=2, pause=timedelta(milliseconds=1500))
    assert records.tuning_from_json(records.tuning_to_json(tuning)) == tuning
    assert records.keys_from_json(records.keys_to_json([(1, "é")])) == ((1, "é"),)
    assert records.key_from_json(records.key_to_json(None)) is None
    outcome = Outcome(read=3, written=2, gone=1)
    assert records.outcome_from_json(records.outcome_to_json(outcome)) == outcome
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert records.time_from_text(records.time_to_text(moment)) == moment


def test_issues_survive_their_blob():
    """Every issue comes back in its place, whatever reasons lie between."""
    issues = [
        Issue(key=(1,), bucket=Bucket.FAILED, reason="bad"),
        Issue(key=(2,), bucket=Bucket.UNCHANGED),
        Issue(key=(3,), bucket=Bucket.FAILED, reason="bad"),
    ]
    back = records.unpack_issues(records.pack_issues(issues))
    assert back == issues
    assert records.pack_issues([]) is None
    assert records.unpack_issues(None) == []


def test_a_revisited_row_leaves_the_conflicted_bucket():
    """A sweep that settles a conflicted row does not count it twice."""
    first = records.outcome_to_json(Outcome(read=10, written=8, conflicted=2))
    again = records.outcome_to_json(Outcome(read=2, written=2))
    total = records.sum_outcomes([(first, 0), (again, 2)])
    assert total == Outcome(read=10, written=10)
