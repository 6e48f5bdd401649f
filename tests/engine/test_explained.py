"""Why a chunk was handed back: the commonest failures, and how many there were of others."""

from proctor.core.budget import Verdict, Word
from proctor.engine.process import explained
from proctor.model import Bucket, Issue
from proctor.testing.conformance.acting import items_spec


def test_the_numbers_of_a_reason_add_up():
    """Of what is not named it says how much there is."""
    reasons = ["a"] * 50 + ["b"] * 12 + ["c"] * 3 + ["d"] * 2 + ["e"]
    issues = [
        Issue(key=(place,), bucket=Bucket.FAILED, reason=reason)
        for place, reason in enumerate(reasons)
    ]
    told = explained(Verdict(Word.PAUSE, "68 of 500 rows failed"), issues, items_spec()).reason
    assert told == (
        "68 of 500 rows failed; 50 times a (such as key 0); 12 times b (such as key 50); "
        "3 times c (such as key 62); 3 for other reasons"
    )
    few = explained(Verdict(Word.PAUSE, "x"), issues[:50], items_spec()).reason
    assert few == "x; 50 times a (such as key 0)"
