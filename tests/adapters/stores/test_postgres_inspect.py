"""What the plan is told of a Postgres database: refusals that teach, and warnings."""

import dataclasses

from urllib.parse import quote

import psycopg
import pytest

from pgcases import Case, Replica, fill, first_page, table_spec, take_back, until
from proctor.adapters.stores.postgres import open_postgres
from proctor.errors import Denied, ProctorError, TargetError, Unreachable, UsageError
from proctor.model import KeyPart, Outcome, RunState, Span
from proctor.ports import Manners
from proctor.testing.conformance.acting import TERMS, answered, begin

NOOP = "FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
EACH = "FOR EACH ROW EXECUTE FUNCTION noop()"


@pytest.fixture
async def case(pg):
    async with Case(pg) as case:
        case.items(3)
        yield case


@pytest.mark.parametrize(
    ("setup", "changes", "says"),
    [
        ("SELECT 1", {"source": "itemz"}, "items"),
        ("SELECT 1", {"fills": ("norml",)}, "normal"),
        ("SELECT 1", {"key": (KeyPart(column="nope"),)}, "id, style, normal"),
        ("SELECT 1", {"key": (KeyPart(column="style"),)}, "can be null"),
        (
            "ALTER TABLE items ALTER style SET NOT NULL",
            {"key": (KeyPart(column="style"),)},
            "unique",
        ),
        (
            (
                "CREATE UNIQUE INDEX ON items (style) WHERE id > 1;"
                "ALTER TABLE items ALTER style SET NOT NULL"
            ),
            {"key": (KeyPart(column="style"),)},
            "unique",
        ),
        ("SELECT 1", {"fills": ("id",)}, "part of the key"),
        (
            "ALTER TABLE items ADD g text GENERATED ALWAYS AS (lower(style)) STORED",
            {"fills": ("g",)},
            "generated",
        ),
        ("ALTER TABLE items ADD g int GENERATED ALWAYS AS IDENTITY", {"fills": ("g",)}, "identity"),
        ("ALTER TABLE items ADD doc json", {"fills": ("doc.x",)}, "jsonb"),
        ("ALTER TABLE items ADD doc jsonb", {"fills": ("doc", "doc.x")}, "overlap"),
        ("SELECT 1", {"where": "styl = 'x'"}, "styl"),
        ("SELECT 1", {"where": "style ="}, "syntax"),
        ("SELECT 1", {"missing": "lower(style)"}, "boolean"),
        ("SELECT 1", {"sql": (("normal", "upper(styl)"),)}, "styl"),
        ("SELECT 1", {"columns": ("style", "nope")}, "nope"),
        ("CREATE TABLE heir () INHERITS (items)", {}, "heir"),
        ("CREATE VIEW seen AS SELECT * FROM items", {"source": "seen"}, "view"),
        (
            (
                "CREATE COLLATION loose (provider = icu, locale = 'und', deterministic = false);"
                "CREATE TABLE named (name text COLLATE loose PRIMARY KEY, normal text)"
            ),
            {"source": "named", "key": (KeyPart(column="name"),)},
            "nondeterministic",
        ),
    ],
)
async def test_a_spec_that_does_not_fit_is_refused_with_what_to_do(
    case, store, setup, changes, says
):
    """One clear error, and nothing was written, not even Proctor's tables."""
    case.sql(*setup.split(";"))
    before = case.sql("SELECT count(*) FROM pg_class")
    with pytest.raises(TargetError) as refused:
        await store.inspect(dataclasses.replace(table_spec(), **changes))
    assert says in str(refused.value)
    assert case.sql("SELECT count(*) FROM pg_class") == before


async def test_hostile_names_and_values_stay_what_they_are(case, store):
    """Quotes, semicolons, percent signs and newlines in names, keys and parameters."""
    table, column = 'we"ird; DROP TABLE items; --%s', "fi\"ll %b :x $1\n'"
    name, field = (psycopg.sql.Identifier(n).as_string() for n in (table, column))
    key = "k'); DELETE FROM items; --\\ %s\n\"é"
    case.sql(f"CREATE TABLE {name} (k text PRIMARY KEY, {field} text, place int, k0 int)")
    with psycopg.connect(case.url, autocommit=True) as connection:
        connection.execute(f"INSERT INTO {name.replace('%', '%%')} VALUES (%s), ('b')", [key])
    spec = table_spec(table, ("k",), (column,), where="k <> :no", params=(("no", key + "'"),))
    await store.inspect(spec)
    original = case.image(name)
    run, applied = await fill(store, spec, lambda _row: "v'\\; %s")
    assert applied.outcome.written == 2
    assert (await store.written_keys(run, 1))[1] == (key,)
    assert store.parse_key(spec, key) == (key,)
    await take_back(store, run)
    assert case.image(name) == original
    assert case.sql("SELECT count(*) FROM items") == [(3,)]


async def test_keys_are_typed_as_the_server_prints_them(case, store):
    """A person may write a UUID in capitals; what cannot be a key is a usage error."""
    case.sql(
        "CREATE TABLE k (a uuid, b int8, c timestamptz, normal text, PRIMARY KEY (a, b, c))",
        "INSERT INTO k VALUES ('6ECD8C99-4036-403D-BF84-CF8400F67836', 5, '2024-01-01 02:00+02')",
    )
    spec = table_spec("k", ("a", "b", "c"))
    await store.inspect(spec)
    typed = store.parse_key(spec, "6ECD8C99-4036-403D-BF84-CF8400F67836, 5, 2024-01-01T00:00Z")
    run = await begin(store, spec, span=Span(keys=(typed,)))
    assert run.span.keys == (("6ecd8c99-4036-403d-bf84-cf8400f67836", 5, "2024-01-01 00:00:00+00"),)
    assert (await store.read_keys(spec, [typed])).keys == list(run.span.keys)
    for wrong in ("x,5,2024-01-01", "6ecd8c99-4036-403d-bf84-cf8400f67836,5", "", f"{2**64}"):
        with pytest.raises(UsageError):
            store.parse_key(spec, wrong)


async def test_the_plan_is_warned_of_everything_that_reacts(case, store):
    """Triggers, rules, policies, publications, indexes on fills and cascades, each by name."""
    case.sql(
        f"CREATE {NOOP}",
        f"CREATE TRIGGER react BEFORE UPDATE ON items {EACH}",
        f"CREATE TRIGGER sleeping BEFORE UPDATE ON items {EACH}",
        "ALTER TABLE items DISABLE TRIGGER sleeping",
        "CREATE INDEX on_fill ON items (lower(normal))",
        "CREATE UNIQUE INDEX uq ON items (normal)",
        "CREATE PUBLICATION feed FOR TABLE items",
        "CREATE TABLE child (n text REFERENCES items (normal) ON UPDATE CASCADE)",
        "CREATE RULE also AS ON UPDATE TO items DO ALSO SELECT 1",
    )
    shape = await store.inspect(table_spec())
    said = "\n".join(shape.warnings)
    for word in ("react", "on_fill", "uq", "feed", "child", "also", "disk"):
        assert word in said
    assert "sleeping" not in said
    assert shape.can_create
    assert shape.server.startswith("PostgreSQL")
    assert "@" not in shape.identity


async def test_the_digest_follows_the_schema_and_not_the_data(case, store):
    """Columns, types, constraints and triggers void an approval; rows do not."""
    digest = (await store.inspect(table_spec())).digest
    case.sql("INSERT INTO items VALUES (9)", "ANALYZE items", "VACUUM items")
    assert (await store.inspect(table_spec())).digest == digest
    for change in (
        "ALTER TABLE items ADD extra int",
        "ALTER TABLE items ALTER extra TYPE bigint",
        "ALTER TABLE items ADD CHECK (extra > 0)",
        f"CREATE {NOOP}; CREATE TRIGGER react BEFORE UPDATE ON items {EACH}",
        f"CREATE OR REPLACE {NOOP}".replace("BEGIN", "BEGIN NEW.extra = 1;"),
    ):
        case.sql(change)
        now = (await store.inspect(table_spec())).digest
        assert now != digest
        digest = now


class TestRoles:
    """What a role may not do is said with the GRANT that mends it."""

    @pytest.fixture
    async def worker(self, case, pg_server):
        name = "worker_" + case.url.rpartition("/")[2]
        case.sql(f"CREATE ROLE {name} LOGIN")
        yield name, case.url.replace("postgres@", f"{name}@")
        case.sql(f"DROP OWNED BY {name}", f"DROP ROLE {name}")

    async def test_missing_privileges_come_with_their_grants(self, case, worker):
        """Running the GRANT that is named makes the next look succeed."""
        name, url = worker
        store = await case.store(url)
        spec = table_spec(preserve=("style",))
        with pytest.raises(Denied) as denied:
            await store.inspect(spec)
        assert name in denied.value.fix
        case.sql(*denied.value.fix.split("; "))
        await store.inspect(spec)

    async def test_grants_name_odd_names_so_that_they_can_be_run(self, case, pg_server):
        """Quotes, semicolons and capitals in schema, table, column and role: each GRANT works."""
        schema, table, field = 'we"ird; Schema', 'we"ird; Table', 'nor"mal; X'
        role = f'o"dd; {case.url.rpartition("/")[2]}'
        quoted = {n: '"' + n.replace('"', '""') + '"' for n in (schema, table, field, role)}
        place = f"{quoted[schema]}.{quoted[table]}"
        case.sql(
            f"CREATE SCHEMA {quoted[schema]}",
            f"CREATE TABLE {place} (id int PRIMARY KEY, style text, {quoted[field]} text)",
            f"INSERT INTO {place} VALUES (1, 'A', NULL)",
            f"CREATE ROLE {quoted[role]} LOGIN",
        )
        url = pg_server.url(case.url.rpartition("/")[2], user=quote(role))
        spec = table_spec(source=f"{schema}.{table}", fills=(field,))
        try:
            store = await case.store(url)
            named = []
            for _ in range(4):
                try:
                    shape = await store.inspect(spec)
                    break
                except Denied as denied:
                    named.append(denied.fix.replace("the role of this connection", quoted[role]))
                    case.sql(named[-1])
            assert len(named) == 2  # the table's privileges, then the schema's
            assert not shape.can_create
            assert shape.target_sql == place
            case.sql(shape.to_create.partition("; or, ")[0])
            assert (await store.inspect(spec)).can_create
            run, applied = await fill(store, spec, lambda row: row["style"])
            assert applied.outcome.written == 1
            assert (await take_back(store, run)).restored == 1
        finally:
            await store.aclose()
            case.sql(f"DROP OWNED BY {quoted[role]}", f"DROP ROLE {quoted[role]}")

    async def test_a_role_that_may_not_create_tables_is_found_out_in_the_plan(self, case, worker):
        """And opening a run says what to grant, after which it works."""
        name, url = worker
        case.sql(f"GRANT SELECT, UPDATE ON items TO {name}")
        store = await case.store(url)
        assert not (await store.inspect(table_spec())).can_create
        with pytest.raises(Denied) as denied:
            await begin(store, table_spec())
        case.sql(denied.value.fix.partition(";")[0])
        assert (await store.inspect(table_spec())).can_create
        run, applied = await fill(store, table_spec(), lambda row: row["style"])
        assert applied.outcome.written == 3
        assert (await take_back(store, run)).restored == 3

    async def test_anothers_tables_are_no_hindrance_to_a_look(self, case, store, worker):
        """A role without rights on the schema proctor can plan; the run says what to grant."""
        name, url = worker
        run, _ = await fill(store, table_spec(), lambda row: row["style"])
        await store.move(run.id, RunState.SUCCEEDED, among=[RunState.RUNNING])
        case.sql(f"GRANT SELECT, UPDATE ON items TO {name}")
        theirs = await case.store(url)
        assert not (await theirs.inspect(table_spec())).can_create
        assert (await theirs.health()).runs == 1
        with pytest.raises(Denied) as denied:
            await begin(theirs, table_spec(), run="theirs")
        grants = denied.value.fix.partition("there: ")[2].partition(". ")[0]
        case.sql(*grants.split("; "))
        await begin(theirs, table_spec(), run="theirs")

    async def test_a_server_that_keeps_its_identifier_to_itself_is_known_by_names(
        self, case, worker
    ):
        """No right to ask for it: the database, the schema and the table must do."""
        name, url = worker
        case.sql(f"GRANT SELECT, UPDATE ON items TO {name}")
        store = await case.store(url)
        known = (await store.inspect(table_spec())).identity
        case.sql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        shape = await store.inspect(table_spec())
        assert shape.identity != known
        assert shape.identity.endswith(known.partition("/")[2])
        assert "127.0.0.1" in shape.address
        assert "127.0.0.1" not in known + shape.identity

    async def test_rows_that_a_policy_hides_are_told_of(self, case, worker):
        """Hidden rows are neither counted nor written; refused ones are listed."""
        name, url = worker
        case.sql(
            f"GRANT SELECT, UPDATE ON items TO {name}",
            f"GRANT CREATE ON DATABASE {case.url.rpartition('/')[2]} TO {name}",
            "ALTER TABLE items ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY few ON items USING (id < 3) WITH CHECK (normal <> 'style 2')",
        )
        store = await case.store(url)
        shape = await store.inspect(table_spec())
        assert any("row-level security" in w for w in shape.warnings)
        assert (await store.survey(table_spec(), Span())).rows == 2
        run, applied = await fill(store, table_spec(), lambda row: row["style"].lower())
        assert applied.outcome == Outcome(read=2, written=1, failed=1)
        assert "security" in (await store.issues(run.id))[0].reason


async def test_nobody_but_the_owner_sees_proctors_tables(case, store, pg_server):
    """Images are copies of rows: PUBLIC gets nothing of them."""
    await fill(store, table_spec(), lambda row: row["style"])
    name = "peeper_" + case.url.rpartition("/")[2]
    case.sql(f"CREATE ROLE {name} LOGIN")
    try:
        with (
            psycopg.connect(case.url.replace("postgres@", f"{name}@")) as other,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            other.execute("SELECT undo FROM proctor.chunks")
    finally:
        case.sql(f"DROP ROLE {name}")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda url, port: url.replace(f":{port}/", ":1/"), "does not answer"),
        (lambda url, _port: url.rpartition("/")[0] + "/nowhere", "nowhere"),
        (lambda url, _port: url.replace("postgres@", "locked:s3cret-word@"), "refuses the login"),
        (lambda url, _port: url.replace("postgres@", "user:s3cret@word@x@"), "Postgres"),
        (lambda _url, _port: "postgresql://u:s3cret@host:port:9/x y", "cannot be read"),
    ],
)
async def test_an_unreachable_database_says_why_and_no_password(pg, pg_server, change, says):
    """One operator's error for each reason, without the URL."""
    with pytest.raises(Unreachable) as refused:
        await open_postgres(change(pg, pg_server.port), Manners())
    assert says in str(refused.value)
    assert "s3cret" not in str(refused.value)


async def test_partitions_and_schemas_are_tables_like_others(case, store):
    """Rows keep their own versions in every partition."""
    case.sql(
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.orders (day date, id int, style text, normal text, "
        "PRIMARY KEY (day, id)) PARTITION BY RANGE (day)",
        "CREATE TABLE shop.o1 PARTITION OF shop.orders FOR VALUES FROM ('2024-01-01') "
        "TO ('2024-02-01')",
        "CREATE TABLE shop.o2 PARTITION OF shop.orders DEFAULT",
        "INSERT INTO shop.orders SELECT '2024-01-20'::date + n, n, 'S' "
        "FROM generate_series(1, 20) n",
    )
    spec = table_spec("shop.orders", ("-day", "id"))
    await store.inspect(spec)
    original = case.image("shop.orders")
    _, lease, page = await first_page(store, spec, rows=100)
    case.sql("UPDATE shop.orders SET style = 'T', day = '2024-01-02' WHERE id = 20")
    applied = await store.apply(spec, lease, answered(page, spec), TERMS)
    assert applied.outcome == Outcome(read=20, written=19, gone=1)
    run = await store.run("run-1")
    await take_back(store, run)
    case.sql("UPDATE shop.orders SET style = 'S', day = '2024-02-09' WHERE id = 20")
    assert case.image("shop.orders") == original


async def test_health_is_watched_or_says_why_not(case, store):
    """Numbers against limits; what this role may not see is not watched."""
    health = await store.health()
    signals = {s.name: s for s in health.signals}
    assert set(signals) == {
        *("replication_lag", "active_connections", "lock_waiters", "wal_rate", "commit_latency"),
    }
    assert all(s.value is not None and s.load < 1 for s in health.signals)
    case.sql("INSERT INTO items SELECT n FROM generate_series(100, 20000) n")
    await fill(store, table_spec(), lambda _row: "x")
    later = {s.name: s for s in (await store.health()).signals}
    assert later["wal_rate"].value > 0
    assert later["commit_latency"].value > 0


async def _lag(store):
    return next(s for s in (await store.health()).signals if s.name == "replication_lag")


async def test_a_replica_that_breaks_off_is_not_one_that_has_caught_up(case, store):
    """Its lag is not known any more: the signal vanishes, and comes back with the replica."""
    assert (await _lag(store)).value == 0
    for _ in range(2):
        replica = Replica(case.url)
        await until(case, "SELECT 1 FROM pg_stat_replication WHERE replay_lsn IS NOT NULL")
        assert (await _lag(store)).value is not None
        replica.close()
        await until(case, "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_replication)")
        gone = await _lag(store)
        assert gone.value is None
        assert "gone" in gone.why
    assert (await _lag(await case.store())).value == 0


async def test_errors_hold_no_chain_to_the_drivers_own(case, store):
    """The driver's error can repeat rows; ours does not lead to it."""
    with pytest.raises(ProctorError) as refused:
        await store.sample(table_spec(where="id / 0 = 1"), 1, span=Span())
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


async def test_a_scan_that_no_index_serves_is_in_the_plan_with_the_index_that_would(case, store):
    """Mixed directions: the minus is shown, and what is advised works."""
    case.sql("CREATE TABLE days (y int, m int, style text, normal text, PRIMARY KEY (y, m))")
    spec = table_spec(source="days", key=("y", "-m"))
    (said,) = [w for w in (await store.inspect(spec)).warnings if "no index" in w]
    assert "the key (y, -m)" in said
    case.sql(said.partition("; ")[2].removesuffix(" would help").replace("CONCURRENTLY", ""))
    assert not any("no index" in w for w in (await store.inspect(spec)).warnings)
