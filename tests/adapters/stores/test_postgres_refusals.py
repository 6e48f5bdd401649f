"""What Postgres says of one row is that row's, what it says of every statement stops the run."""

import pytest

from pgcases import fill, first_page, table_spec, take_back
from proctor.errors import Denied, TargetError
from proctor.model import Outcome, RunState
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import TERMS, answered, begin, claim, lower
from proxy import FaultProxy

GONE_COLUMN = "ALTER TABLE items DROP COLUMN normal"


def trigger(body):
    """A trigger before each update of `items`."""
    function = f"CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} "
    on = "CREATE TRIGGER react BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION react()"
    return f"{function} RETURN NEW; END $$", on


async def inside(store, spec, *, run="run-1"):
    """One chunk of a backfill that runs inside the database."""
    run = await begin(store, spec, run=run)
    (lease,) = await claim(store, run, spec, rows=1000)
    return run, await store.apply_sql(spec, lease, TERMS)


@pytest.mark.parametrize(
    "code",
    ["insufficient_privilege", "feature_not_supported", "undefined_object", "58030", "2D000"],
)
async def test_a_row_is_a_triggers_to_refuse_by_any_code(case, store, code):
    """Codes that mostly speak of a whole statement are listed when one row brings them up."""
    case.items(9)
    case.sql(*trigger(f"IF NEW.id = 3 THEN RAISE 'no' USING ERRCODE = '{code}'; END IF;"))
    run, applied = await fill(store, table_spec(), lower)
    assert applied.outcome == Outcome(read=9, written=8, failed=1)
    (issue,) = await store.issues(run.id)
    assert issue.key == (3,)


async def test_a_chunk_of_one_bad_row_is_listed_too(case, store):
    """That every row fails alike proves nothing where there is one."""
    case.items(1)
    case.sql(*trigger("RAISE 'no' USING ERRCODE = 'insufficient_privilege';"))
    _, applied = await fill(store, table_spec(), lower)
    assert applied.outcome == Outcome(read=1, failed=1)


@pytest.mark.parametrize("bad", ["id = 3", "true"])
async def test_a_value_that_an_expression_cannot_take_costs_its_row(case, store, bad):
    """A NaN for a whole number is feature_not_supported to Postgres: one of them, or all."""
    case.sql(
        "CREATE TABLE items (id int PRIMARY KEY, price numeric, cents int)",
        "INSERT INTO items SELECT n, n FROM generate_series(1, 5) n",
        f"UPDATE items SET price = 'NaN' WHERE {bad}",
    )
    spec = table_spec(fills=("cents",), sql=(("cents", "price::int"),))
    _, applied = await inside(store, spec)
    failed = 1 if bad == "id = 3" else 5
    assert applied.outcome == Outcome(read=5, written=5 - failed, failed=failed)


async def test_a_generated_column_costs_its_row(case, store):
    """What is computed from the fill can refuse it as well."""
    cents = "normal numeric, cents int GENERATED ALWAYS AS (normal::int) STORED"
    case.items(5, column=cents)
    run, applied = await fill(
        store, table_spec(), lambda row: "NaN" if row["id"] == 3 else row["id"]
    )
    assert applied.outcome == Outcome(read=5, written=4, failed=1)
    (issue,) = await store.issues(run.id)
    assert "NaN" not in issue.reason


@pytest.mark.parametrize("into", ["", "about"])
@pytest.mark.parametrize("fills", ["normal", "doc.n"])
async def test_a_row_that_cannot_be_computed_is_listed_wherever_it_goes(case, store, into, fills):
    """Another table and a place in a document take another way, to the same books."""
    case.items(9, column="normal int, doc jsonb")
    case.sql("CREATE TABLE about (item int PRIMARY KEY, normal int, doc jsonb)")
    apart = {"into": "about", "into_key": ("item",)} if into else {}
    spec = table_spec(fills=(fills,), sql=((fills, "10 / (id - 4)"),), **apart)
    run, applied = await inside(store, spec)
    assert applied.outcome == Outcome(read=9, written=8, failed=1)
    (issue,) = await store.issues(run.id)
    assert issue.key == (4,)
    assert "zero" in issue.reason
    assert (await take_back(store, run)).restored == 8


async def test_a_row_may_be_refused_on_its_way_back(case, store):
    """The undo lists it, and restores the others."""
    case.items(9)
    run, _ = await fill(store, table_spec(), lower)
    case.sql(*trigger("IF NEW.id = 3 THEN RAISE 'no' USING ERRCODE = '0A000'; END IF;"))
    undone = await take_back(store, run)
    assert (undone.restored, undone.blocked) == (8, 1)


class TestEveryRow:
    """What every statement would meet stops the run; no row is tried, and none is listed."""

    @pytest.fixture
    def role(self, case):
        name = "worker_" + case.url.rpartition("/")[2]
        case.items(200)
        case.sql(
            f"CREATE ROLE {name} LOGIN",
            f"GRANT CREATE ON DATABASE {case.url.rpartition('/')[2]} TO {name}",
            f"GRANT SELECT, UPDATE ON items TO {name}",
        )
        yield name
        case.sql(f"DROP OWNED BY {name}", f"DROP ROLE {name}")

    @pytest.fixture
    async def theirs(self, case, role, pg_server):
        with FaultProxy("127.0.0.1", pg_server.port) as proxy:
            url = case.url.replace("postgres@", f"{role}@")
            store = await case.store(url.replace(f":{pg_server.port}/", f":{proxy.port}/"))
            yield store, proxy
            await store.aclose()

    @pytest.mark.parametrize("broken", ["REVOKE UPDATE ON items FROM {}", GONE_COLUMN])
    @pytest.mark.parametrize("way", ["function", "inside", "undo"])
    async def test_it_stops_the_run_after_a_few_messages(self, case, role, theirs, way, broken):
        """A privilege taken away says which grant is missing, a column dropped its name."""
        store, proxy = theirs
        spec = table_spec(sql=(("normal", "lower(style)"),) if way == "inside" else ())
        if way == "undo":
            run, _ = await fill(store, spec, lower)
            await store.move(run.id, RunState.SUCCEEDED, among=[RunState.RUNNING])
            await store.move(run.id, RunState.ROLLING_BACK, among=[RunState.SUCCEEDED])
        else:
            run, lease, page = await first_page(store, spec)
        case.sql(broken.format(role))
        before = proxy.client_messages
        acting = {
            "function": lambda: store.apply(spec, lease, answered(page, spec), TERMS),
            "inside": lambda: store.apply_sql(spec, lease, TERMS),
            "undo": lambda: store.undo(run, 1, UndoTerms()),
        }
        with pytest.raises(Denied if "REVOKE" in broken else TargetError) as caught:
            await acting[way]()
        assert proxy.client_messages - before < 40
        assert (
            ("GRANT" in caught.value.fix) if "REVOKE" in broken else "normal" in str(caught.value)
        )

    async def test_an_expression_that_takes_no_row_at_all_stops_it_too(self, case, store):
        """By the constant that it divides by it is wrong before there is a row."""
        case.items(9, column="normal int")
        spec = table_spec(sql=(("normal", "1 / 0"),))
        with pytest.raises(TargetError, match="zero"):
            await inside(store, spec)
