"""The same commands on Postgres, whose role and server can refuse in more ways."""

import json
import re
import subprocess

import psycopg
import pytest

from psycopg.conninfo import conninfo_to_dict

import servers


@pytest.fixture
def customers(shop, pg):
    """The shop's customers on Postgres, as another environment; a way to ask it."""
    with psycopg.connect(pg, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE customers (id bigint PRIMARY KEY, email text, email_normalized text)"
        )
        connection.execute(
            "INSERT INTO customers SELECT n, 'P' || n || '@Example.com'"
            " FROM generate_series(1, 500) n"
        )
    configure(shop, pg)

    def ask(sql):
        with psycopg.connect(pg, autocommit=True) as connection:
            found = connection.execute(sql)
            return found.fetchall() if found.description else []

    return ask


def configure(shop, url):
    text = (shop / "proctor.toml").read_text().partition("[env.pg]")[0]
    (shop / "proctor.toml").write_text(f"{text}\n[env.pg]\nstore = {json.dumps(url)}\n")


def test_a_plan_forecasts_the_log_and_dead_tuples(customers, proctor):
    ended = proctor("plan", "normalize_email", "--env", "pg")
    assert ended.code == 0, ended.err
    assert "500 eligible of 500" in ended.out
    assert "write-ahead log" in ended.out
    assert "dead tuples" in ended.out
    assert "lock_waiters" in ended.out


@pytest.mark.parametrize("command", ["plan", "dry-run", "run"])
def test_values_of_another_type_than_the_column_show_a_wrong_function(
    customers, shop, proctor, command
):
    """Whether the core or the store's encoder finds them: exit 2, the cause, nothing written."""
    answering(shop, '{"email_normalized": {"a": 1}}')
    ended = proctor(command, "normalize_email", "--env", "pg")
    assert ended.code == 2, ended.err
    assert "email_normalized: dict is not text; use json.dumps" in ended.err
    if command == "run":
        assert proctor("status", "--env", "pg", "--json").json["runs"][0]["state"] == "cancelled"
        assert customers("SELECT count(email_normalized) FROM customers") == [(0,)]


def test_a_row_of_another_type_is_foreseen_as_failed(customers, shop, proctor):
    """One of the sample: counted where the run would count it, in the same words."""
    answering(shop, '{"email_normalized": "a\\x00b" if row["id"] == 2 else "x"}')
    ended = proctor("dry-run", "normalize_email", "--env", "pg", "--json")
    assert ended.json["counts"] == {"read": 20, "written": 19, "failed": 1}
    assert "NUL" in ended.json["previews"][1]["reason"]


def test_what_only_the_server_refuses_pauses_the_run_with_the_cause(customers, shop, proctor):
    """A whole chunk that failed is no riddle."""
    customers("ALTER TABLE customers ALTER email_normalized TYPE integer USING 0")
    customers("UPDATE customers SET email_normalized = NULL")
    answering(shop, '{"email_normalized": "abc"}')
    ended = proctor("run", "normalize_email", "--env", "pg", "--json")
    assert (ended.code, ended.json["state"]) == (1, "paused")
    assert "500 of 500 rows failed" in ended.json["reason"]
    assert "invalid input syntax for type integer" in ended.json["reason"]


def answering(shop, answer):
    text = (shop / "backfills.py").read_text()
    old = '    email = row["email"]'
    assert old in text
    (shop / "backfills.py").write_text(text.replace(old, f"    return {answer}\n{old}"))


def test_insertions_leave_no_dead_tuples(customers, shop, proctor):
    """`into=` an empty table: no dead tuple, and nobody knows how large its rows will be."""
    customers("CREATE TABLE domains (customer bigint PRIMARY KEY, domain text)")
    (shop / "backfills.py").write_text(
        """
from proctor import backfill, table

@backfill(table("customers", key="id"), into=table("domains", key="customer"), fills="domain")
def domains(row):
    return {"domain": row["email"].partition("@")[2]}
"""
    )
    plan = proctor("plan", "domains", "-e", "pg")
    assert plan.code == 0, plan.err
    assert "dead tuples      0\n" in plan.out
    assert "0 B" not in plan.out
    customers("INSERT INTO domains SELECT id FROM customers")
    assert proctor("plan", "domains", "-e", "pg", "--json").json["dead_tuples"] == 500


def test_a_run_and_its_rollback(customers, proctor):
    """Run, verify, report with the safe next step, roll back."""
    ended = proctor("run", "normalize_email", "--env", "pg", "--json")
    assert ended.code == 0, ended.err
    assert customers("SELECT count(*) FROM customers WHERE email_normalized = lower(email)") == [
        (500,)
    ]
    assert any("NOT VALID" in step for step in ended.json["next_steps"])
    assert proctor("verify", ended.json["id"], "--env", "pg").code == 0
    assert proctor("rollback", ended.json["id"], "--env", "pg", "--yes").code == 0
    assert customers("SELECT count(email_normalized) FROM customers") == [(0,)]


def test_a_server_is_the_same_by_every_address(customers, shop, pg, pg_server, proctor):
    """A failover, a pooler, a socket: a plan holds and a run goes on, by whatever route."""
    bounded = (shop / "backfills.py").read_text()
    raising = bounded.replace("    email =", "    assert row['id'] < 100\n    email =")
    (shop / "backfills.py").write_text(raising)
    with (shop / "proctor.toml").open("a") as file:
        file.write("\n[run]\nchunk_rows = 50\n")
    planned = proctor("plan", "normalize_email", "--env", "pg", "--out", "plan.json")
    assert f"127.0.0.1:{pg_server.port}" in planned.out
    text = (shop / "proctor.toml").read_text()
    socket = f"postgresql://postgres@/{pg.rpartition('/')[2]}?host={pg_server.folder}"
    (shop / "proctor.toml").write_text(text.replace(pg, f"{socket}&port={pg_server.port}"))
    run = proctor("run", "normalize_email", "--env", "pg", "--plan", "plan.json", "--json").json
    assert run["state"] == "paused"
    (shop / "proctor.toml").write_text(text)
    ended = proctor("resume", run["id"], "--env", "pg", "--json")
    assert (ended.code, ended.json["id"]) == (1, run["id"]), ended.err


def backfill_of(shop, arguments):
    """The shop's backfill with other words in its first argument."""
    text = (shop / "backfills.py").read_text()
    plain = 'table("customers", key="id")'
    (shop / "backfills.py").write_text(text.replace(plain, arguments))


def test_the_safe_next_step_can_be_taken(customers, proctor):
    """Word by word as it is printed."""
    ended = proctor("run", "normalize_email", "--env", "pg", "--json")
    (step,) = (s for s in ended.json["next_steps"] if "NOT VALID" in s)
    customers(step)
    with pytest.raises(psycopg.errors.NotNullViolation):
        customers("INSERT INTO customers VALUES (501)")


def test_all_fields_are_made_mandatory_by_one_step(customers, shop, proctor):
    """One scan of the table proves all of them filled; ten fields are not ten long lines."""
    customers("ALTER TABLE customers ADD domain text")
    (shop / "backfills.py").write_text(
        """
from proctor import backfill, table

both = backfill(
    table("customers", key="id"), fills=("email_normalized", "domain"), name="both",
    sql={"email_normalized": "lower(email)", "domain": "split_part(email, '@', 2)"},
)
"""
    )
    ended = proctor("run", "both", "--env", "pg", "--json")
    (step,) = (s for s in ended.json["next_steps"] if "NOT VALID" in s)
    customers(step)
    for column in ("email_normalized", "domain"):
        with pytest.raises(psycopg.errors.NotNullViolation):
            customers(f"UPDATE customers SET {column} = NULL WHERE id = 1")


def test_no_constraint_is_proposed_that_rows_left_out_would_break(customers, shop, proctor):
    """Not eligible is not filled: what stands in the way is said instead."""
    backfill_of(shop, 'table("customers", key="id", where="id <= 10")')
    run = proctor("run", "normalize_email", "--env", "pg", "--json").json
    assert not [s for s in run["next_steps"] if "NOT VALID" in s]
    (said,) = (s for s in run["next_steps"] if "stand in the way" in s)
    assert "email_normalized is null in rows that this backfill leaves out" in said
    customers("DELETE FROM customers WHERE id > 10")
    told = proctor("report", run["id"], "--env", "pg", "--format", "json").json["next_steps"]
    (step,) = (s for s in told if "NOT VALID" in s)
    customers(step)


def test_a_run_on_a_big_table_begins_with_an_estimate_and_shows_it_as_one(
    customers, proctor, monkeypatch
):
    """It need not wait for a count; nobody takes the server's guess for one."""
    monkeypatch.setattr("proctor.engine.launch.COUNTED_AT_ONCE", 10)
    customers("ANALYZE customers")
    run = proctor("run", "normalize_email", "--env", "pg", "--json").json
    assert (run["expected_is_estimate"], run["buckets"]["written"]) == (True, 500)
    assert "~500" in proctor("status", "--env", "pg").out


def test_a_plan_by_estimates_holds_no_run_and_the_record_says_so(customers, proctor, monkeypatch):
    """P9: half of the rows are gone since, but neither number was a count."""
    monkeypatch.setattr("proctor.engine.plan.COUNTED", 10)
    customers("ANALYZE customers")
    proctor("plan", "normalize_email", "--env", "pg", "--out", "plan.json")
    customers("DELETE FROM customers WHERE id > 250")
    ended = proctor("run", "normalize_email", "--env", "pg", "--plan", "plan.json", "--json")
    assert (ended.code, ended.json["buckets"]["written"]) == (0, 250), ended.err
    report = proctor("report", ended.json["id"], "--env", "pg", "--format", "md").out
    assert "as many rows as in the plan was not judged" in report


def test_what_cannot_be_counted_is_inconclusive(customers, shop, proctor):
    """P8: a deploy that asks whether a backfill is done is not told so by a guess."""
    customers(
        "CREATE FUNCTION slow(id bigint) RETURNS boolean STABLE LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.02); RETURN true; END $$"
    )
    customers("ANALYZE customers")
    backfill_of(shop, 'table("customers", key="id", where="slow(id)")')
    with (shop / "proctor.toml").open("a") as toml:
        toml.write("\n[run]\nstatement_timeout_s = 1\n")
    ended = proctor("ensure", "normalize_email", "--env", "pg", "--json")
    assert (ended.code, ended.json["done"], ended.json["remaining"]) == (1, False, None)
    assert "inconclusive" in ended.json["reason"]
    planned = proctor("plan", "normalize_email", "--env", "pg", "--out", "plan.json")
    assert re.search(r"~[\d,]+ eligible of ~500", planned.out), planned.out + planned.err
    assert "estimated (~), not counted" in planned.out


@pytest.mark.parametrize(
    ("done", "says"),
    [
        ("id > 2", "no more than 2 eligible rows were found in time to be shown"),
        ("id > 0", "no eligible row was found in time to be shown: the function was not tried"),
    ],
)
def test_a_dry_run_says_as_a_plan_does_that_no_more_was_found_in_time(
    customers, shop, proctor, done, says
):
    """P8: few rows, or none, are not said to be all that there are."""
    customers(
        "CREATE FUNCTION open(id bigint, was text) RETURNS boolean STABLE LANGUAGE plpgsql AS "
        "$$ BEGIN IF id > 1500 THEN PERFORM pg_sleep(2); END IF; RETURN was IS NULL; END $$"
    )
    customers("INSERT INTO customers SELECT n, 'X' FROM generate_series(501, 2000) n")
    customers(f"UPDATE customers SET email_normalized = 'done' WHERE id <= 1500 AND {done}")
    customers("ANALYZE customers")
    backfill_of(shop, 'table("customers", key="id", where="open(id, email_normalized)")')
    with (shop / "proctor.toml").open("a") as toml:
        toml.write("\n[run]\nstatement_timeout_s = 1\n")
    for command in ("plan", "dry-run"):
        ended = proctor(command, "normalize_email", "--env", "pg")
        assert ended.code == 0, ended.err
        assert says in " ".join(ended.out.split())
        assert "no row is eligible" not in ended.out
    assert proctor("dry-run", "normalize_email", "--env", "pg", "--json").json["warnings"] == [says]


@pytest.mark.parametrize(
    "wrong", [{"user": "nobody", "password": "hunter2"}, {"port": "1"}, {"dbname": "nowhere"}]
)
def test_a_database_that_does_not_let_us_in(shop, pg, proctor, wrong):
    """Exit 2, in words, without the password."""
    known = {"password": "hunter2", "port": "5432", **conninfo_to_dict(pg)} | wrong
    url = (
        f"postgresql://{known['user']}:{known['password']}@{known['host']}:{known['port']}"
        f"/{known['dbname']}"
    )
    configure(shop, url)
    ended = proctor("run", "normalize_email", "--env", "pg", "--json")
    assert ended.code == 2, ended.err
    assert ended.json["error"]["kind"] == "Unreachable"
    assert ended.json["error"]["fix"]
    assert "hunter2" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("u:hunter2@127.0.0.1:abc", "the URL of the Postgres database cannot be read"),
        ("u:hun/ter2@127.0.0.1:1", "the URL of the Postgres database cannot be read"),
        ("u:12/ter2@127.0.0.1:1", "the host in the URL of Postgres is not known"),
        ("u:hun@ter2@127.0.0.1:1", "the host in the URL of Postgres is not known"),
    ],
)
def test_a_url_that_is_written_wrong_says_how_it_is_written(shop, proctor, place, what):
    """A password with a slash reads as a port: percent-encode it; none of it is shown."""
    configure(shop, f"postgresql://{place}/db")
    ended = proctor("run", "normalize_email", "--env", "pg", "--json")
    assert (ended.code, ended.json["error"]["what"]) == (2, what)
    assert "%2F" in ended.json["error"]["fix"]
    assert not [part for part in ("hun", "ter2") if part in ended.out + ended.err]


def test_a_missing_privilege_is_said_with_its_grant(customers, shop, pg, proctor):
    """Exit 2 and the GRANT; nothing is written."""
    customers("CREATE ROLE reader LOGIN PASSWORD 'right'")
    customers("GRANT SELECT ON customers TO reader")
    known = conninfo_to_dict(pg)
    configure(shop, f"postgresql://reader:right@{known['host']}:{known['port']}/{known['dbname']}")
    ended = proctor("run", "normalize_email", "--env", "pg", "--json")
    assert ended.code == 2, ended.err
    assert ended.json["error"]["kind"] == "Denied"
    assert "GRANT" in ended.json["error"]["fix"]
    assert customers("SELECT count(email_normalized) FROM customers") == [(0,)]


HOSTILE = "cust\"; DROP TABLE customers; --' \u202e%s :x $1 é\n"
"""As a name and as a value: quotes of both kinds, a statement, a placeholder, a turned line."""
FILL = "nor\"mal'; é"


def test_hostile_names_and_values_go_through_a_whole_run(customers, shop, pg, proctor):
    """Schema, table, key, fill and values: planned, run, verified, reported and undone."""
    table, fill = quoted(HOSTILE), quoted(FILL)
    customers(f"CREATE SCHEMA {table}")
    customers(f"CREATE TABLE {table}.{table} ({table} text PRIMARY KEY, email text, {fill} text)")
    values = [HOSTILE, "\\", "a\tb", "'", '"', "\U0001f600", "\x01\x1b[31m", "x" * 10_000]
    place = f"{table}.{table}".replace("%", "%%")
    with psycopg.connect(pg, autocommit=True) as connection:
        for value in values:
            connection.execute(f"INSERT INTO {place} VALUES (%s, %s)", [value, value])
    (shop / "backfills.py").write_text(
        "from proctor import backfill, table\n"
        f"@backfill(table({HOSTILE + '.' + HOSTILE!r}, key={HOSTILE!r}), fills={FILL!r}, "
        "version='1', name='odd')\n"
        "def odd(row):\n"
        f"    return {{{FILL!r}: None if row['email'] == 'a\\tb' else row['email'][::-1] + "
        "('\\0' if row['email'] == '\\\\' else '')}\n"
    )
    assert "\x1b" not in proctor("plan", "odd", "--env", "pg").out
    ended = proctor("run", "odd", "--env", "pg", "--json")
    assert ended.code == 1, ended.err  # one row with NUL, which Postgres cannot hold
    assert (ended.json["buckets"]["written"], ended.json["buckets"]["failed"]) == (6, 1)
    written = customers(f"SELECT email, {fill} FROM {table}.{table} WHERE {fill} IS NOT NULL")
    assert sorted(written) == sorted((v, v[::-1]) for v in values if v not in ("\\", "a\tb"))
    assert proctor("verify", ended.json["id"], "--env", "pg").code == 0
    report = proctor("report", ended.json["id"], "--env", "pg", "--format", "html").out
    assert "\x1b" not in report
    assert proctor("rollback", ended.json["id"], "--env", "pg", "--yes").code == 0
    assert customers(f"SELECT count({fill}), count(*) FROM {table}.{table}") == [(0, 8)]
    assert customers("SELECT count(*) FROM customers") == [(500,)]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def test_after_an_undo_script_everything_fits_together(customers, shop, pg, proctor):
    """The run's state is what Proctor did; what psql undid is said beside it."""
    run = proctor("run", "normalize_email", "-e", "pg", "--json").json["id"]
    assert "undone" not in proctor("status", run, "-e", "pg").out
    proctor("rollback", run, "-e", "pg", "--sql", "undo.sql")
    program = next(d / "psql" for d in servers.postgres_bindirs() if (d / "psql").exists())
    subprocess.run(
        [program, "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname", pg, "-f", "undo.sql"],
        check=True,
        capture_output=True,
    )
    assert customers("SELECT count(email_normalized) FROM customers") == [(0,)]
    seen = " ".join(proctor("status", run, "-e", "pg").out.split())
    assert re.search(r"undone (\d+) of \1 chunk", seen)
    verified = proctor("verify", run, "-e", "pg", "--json").json
    assert verified["verdict"] == "inconclusive"
    ended = proctor("rollback", run, "-e", "pg", "--yes")
    assert "undone before 500 rows by a script of SQL" in " ".join(ended.out.split())
