"""Parts of a run: keys as they are typed, ranges, and what is said of a part that is empty."""

import sqlite3

from contextlib import closing

HOSTILE_KEYS = ["a,b", '5"', "'q'", "''x", "p;q", " x ", "", "007", "two\nlines", "C:\\dir"]


def test_keys_of_failures_can_be_typed_back(shop, proctor):
    """Each as it is printed, for --keys and for --from and --to; and all of them at once."""
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE names (name TEXT PRIMARY KEY, low TEXT)")
        connection.executemany("INSERT INTO names (name) VALUES (?)", [(k,) for k in HOSTILE_KEYS])
    with (shop / "backfills.py").open("a") as file:
        file.write(
            '\n\n@backfill(table("names", key="name"), fills="low", version="1")\n'
            "def names(row):\n"
            '    """Fail."""\n'
            '    return Refuse("no")\n'
        )
    run = proctor("run", "names", "--json").json["id"]
    listed = [line for line in proctor("failures", run).out.splitlines() if "refused" in line]
    printed = [line.rpartition("  refused")[0].strip() for line in listed if line.endswith("no")]
    printed = [key for key in printed if key]
    assert len(printed) == len(HOSTILE_KEYS)
    for key in printed:
        for typed in (["--keys", key], ["--from", key, "--to", key]):
            assert proctor("plan", "names", *typed, "--json").json["survey"]["eligible"] == 1
    every = proctor("plan", "names", "--keys", ",".join(printed), "--json").json
    assert every["survey"]["eligible"] == len(HOSTILE_KEYS)


def test_bounds_the_wrong_way_round_are_refused(shop, proctor):
    """By the order of the key, for every command that takes a range; nothing is written."""
    run = proctor("run", "normalize_email", "--limit", "20", "--json").json["id"]
    for command in (
        ("plan", "normalize_email"),
        ("dry-run", "normalize_email"),
        ("run", "normalize_email"),
        ("rollback", run, "--yes"),
    ):
        ended = proctor(*command, "--from", "10", "--to", "5")
        assert ended.code == 2
        assert "the wrong way round" in ended.err
        assert "write --from 5 --to 10" in ended.err
    assert len(proctor("status", "--json").json["runs"]) == 1


def test_bounds_are_judged_in_the_order_of_the_key(shop, proctor):
    """A descending key begins at its largest; text is ordered by the store's collation."""
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE names (name TEXT COLLATE NOCASE PRIMARY KEY, low TEXT)")
        connection.executemany("INSERT INTO names (name) VALUES (?)", [("a",), ("B",), ("c",)])
    with (shop / "backfills.py").open("a") as file:
        file.write(
            '\n\n@backfill(table("names", key="name"), fills="low", version="1")\n'
            'def names(row):\n    """Lower."""\n    return {"low": row["name"].lower()}\n'
            '\n\n@backfill(table("customers", key="-id"), fills="email_normalized", version="1")\n'
            'def downwards(row):\n    """Lower."""\n    return {"email_normalized": "x"}\n'
        )
    assert proctor("plan", "names", "--from", "a", "--to", "C").code == 0
    assert proctor("plan", "names", "--from", "B", "--to", "a").code == 2
    assert proctor("plan", "names", "--from", "x", "--to", "y").code == 0
    assert proctor("plan", "downwards", "--from", "10", "--to", "5").code == 0
    ended = proctor("plan", "downwards", "--from", "5", "--to", "10")
    assert ended.code == 2
    assert "id descending" in ended.err


def test_keys_that_are_not_there_are_counted(shop, proctor):
    """In the plan, in the closing lines and in JSON: apart from those that need nothing."""
    words = ("normalize_email", "--keys", "1,2,77777,88888,1")
    assert proctor("run", "normalize_email", "--keys", "2").code == 0
    said = "2 not found, 1 not eligible, of 4 keys given"
    counts = {"given": 4, "not_found": 2, "not_eligible": 1}
    assert said in proctor("plan", *words).out
    assert proctor("plan", *words, "--json").json["missed"] == counts
    ended = proctor("run", *words, "--json").json
    assert ended["keys_missed"] == counts
    assert ended["buckets"]["written"] == 1
    assert proctor("report", ended["id"], "--json").json["keys_missed"] == counts
    assert "2 not found, 2 not eligible, of 4 keys given" in proctor("run", *words).out


def test_a_run_over_nothing_says_so(shop, proctor):
    """Plainly, and it is no failure."""
    ended = proctor("run", "normalize_email", "--from", "2000")
    assert ended.code == 0
    assert "no row was eligible; nothing was written" in ended.out
    said = " ".join(ended.out.split())
    assert "1,000 eligible rows were not read by this run, which covered a part of them" in said


def test_exit_code_1_says_what_it_is_about(shop, proctor):
    """A run can succeed, since every row was settled, and still not be clean."""
    with closing(sqlite3.connect(shop / "shop.db")) as connection, connection:
        connection.execute("UPDATE customers SET email = x'40' WHERE id = 5")
    ended = proctor("run", "normalize_email", "--limit", "10")
    assert ended.code == 1
    assert "1 of 10 rows failed (10.0%); the error budget is" in ended.out
    again = proctor("run", "normalize_email", "--keys", "5,11", "--json")
    assert again.json["exit_code"] == again.code == 1
    assert "1 of 2 rows failed (50.0%)" in again.json["exit_reason"]


def test_a_run_undone_in_part_is_still_what_it_was(shop, proctor):
    """It succeeded, says how many rows are undone, and the rest can be undone later."""
    run = proctor("run", "normalize_email", "--json").json["id"]
    assert proctor("rollback", run, "--to", "10", "--yes").code == 0
    assert proctor("rollback", run, "--from", "11", "--to", "30", "--yes").code == 0
    (seen,) = proctor("status", run, "--json").json["runs"]
    assert seen["state"] == "succeeded"
    assert seen["reason"] == "rolled back in part: 30 of the 986 rows written were restored"
    assert "30 eligible rows were rolled back, or never read" in proctor("report", run).out
    assert proctor("rollback", run, "--yes", "--json").json["undone"]["restored"] == 986
    assert proctor("status", run, "--json").json["runs"][0]["state"] == "rolled_back"
