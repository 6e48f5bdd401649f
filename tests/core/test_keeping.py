"""Which answers may go: what is too old, what is too much, and never what is needed."""

from datetime import UTC, datetime, timedelta

from proctor.core.keeping import Keep, cuts
from proctor.model import Stock

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def stock(run, *, oldest, newest, size=1_000):
    """A run's answers, with the ages of the first and the last in days."""
    return Stock(
        run=run,
        backfill="b",
        answers=10,
        size=size,
        oldest=NOW - timedelta(days=oldest),
        newest=NOW - timedelta(days=newest),
    )


STOCKS = [
    stock("old", oldest=100, newest=95),
    stock("across", oldest=95, newest=80),
    stock("new", oldest=5, newest=1),
]


def told(keep, needed=lambda _: ""):
    """Run, whether all of it, and why it stays."""
    return [(c.stock.run, c.before is None, c.needed) for c in cuts(STOCKS, keep, NOW, needed)]


def test_without_bounds_everything_stays():
    assert told(Keep()) == []


def test_what_is_too_old_goes_whole_or_in_part():
    keep = Keep(age=timedelta(days=90))
    assert told(keep) == [("old", True, ""), ("across", False, "")]
    assert cuts(STOCKS, keep, NOW, lambda _: "")[1].before == NOW - timedelta(days=90)


def test_the_oldest_runs_go_until_the_rest_is_small_enough():
    assert told(Keep(most_bytes=2_000)) == [("old", True, "")]
    assert told(Keep(most_bytes=2_999)) == [("old", True, "")]
    assert told(Keep(most_bytes=3_000)) == []
    assert told(Keep(most_bytes=0)) == [(s.run, True, "") for s in STOCKS]


def test_what_is_needed_stays_and_others_go_in_its_place():
    """And it is told, so that nobody wonders."""

    def needed(one):
        return "why" if one.run == "old" else ""

    assert told(Keep(age=timedelta(days=90)), needed)[0] == ("old", True, "why")
    assert told(Keep(most_bytes=2_000), needed) == [("old", True, "why"), ("across", True, "")]


def test_both_bounds_hold_together():
    """What age takes whole counts; what it takes in part goes whole where the size wants it."""
    assert told(Keep(age=timedelta(days=90), most_bytes=1_000)) == [
        ("old", True, ""),
        ("across", True, ""),
    ]
