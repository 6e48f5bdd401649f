"""What `touches=` takes, and what it says of all else."""

import pytest

from proctor import backfill, query, table
from proctor.errors import DefinitionError

SESSIONS = table("sessions", key="id")
SCORES = table("fc_scores", key="id", where="session_id = :id")


def define(source=SESSIONS, **words):
    """The backfill of these words."""

    @backfill(source, version="1", **words)
    async def score(session, ctx):
        """Nothing."""

    return score


def test_rows_that_nothing_is_filled_of_are_units():
    """Each is a chunk of its own, tried five times, and its key finds the rows."""
    spec = define(touches=SCORES).spec
    assert (spec.attempts, spec.chunk_rows(500), spec.only_touches) == (5, 1, True)
    assert [(t.table, t.key, t.where) for t in spec.touches] == [
        ("fc_scores", ("id",), "session_id = :id")
    ]


def test_beside_a_fill_a_row_stays_a_row():
    """Only that it is a chunk of its own, so that its rows are looked at right after its call."""
    spec = define(fills="scored_at", touches=[SCORES]).spec
    assert (spec.attempts, spec.chunk_rows(500), spec.emits) == (0, 1, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"touches": "fc_scores"}, "names tables"),
        ({"touches": table("fc_scores", key="id")}, "by a condition"),
        ({"touches": table("fc_scores", key="-id", where="session_id = :id")}, "no order"),
        ({"touches": [SCORES, SCORES]}, "each table once"),
        ({"touches": table("fc_scores", key="id", where="session_id = :session")}, ":session"),
        ({"touches": table("fc_scores", key="id", where="version = '1'")}, "does not name the key"),
        ({"touches": SCORES, "missing": "scored_at IS NULL"}, "missing="),
        ({"touches": SCORES, "stamp": "scored_by"}, "stamp="),
        ({"touches": SCORES, "fills": "scored_at", "batch": 10}, "batch="),
    ],
)
def test_what_it_cannot_mean_is_refused_with_the_right_code(words, said):
    """Every refusal names the word and what to write instead."""
    with pytest.raises(DefinitionError) as error:
        define(**words)
    assert said in str(error.value)
    assert error.value.fix


def test_a_query_needs_no_other_table_where_its_service_writes():
    """Its rows are units, too."""
    spec = define(query("SELECT id FROM sessions", key="id", guard="target"), touches=SCORES).spec
    assert (spec.into, spec.attempts) == ("fc_scores", 5)
