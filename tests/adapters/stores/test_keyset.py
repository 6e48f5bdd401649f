"""Keyset predicates meet every row once, in any mix of directions."""

import random
import sqlite3

from contextlib import closing

import pytest

from proctor.adapters.stores.keyset import behind, order_by, up_to

MIXES = [((False,)), ((True,)), (False, False), (True, True), (False, True), (True, False, True)]


@pytest.mark.parametrize("mix", MIXES, ids=str)
def test_pages_cover_every_row_once_in_scan_order(mix):
    """Cutting by any key gives what comes before it and what comes behind it, and no row twice."""
    names = "abc"[: len(mix)]
    parts = [(f'"{n}"', down) for n, down in zip(names, mix, strict=True)]
    dice = random.Random(7)
    rows = {tuple(dice.randrange(4) for _ in mix) for _ in range(40)}
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"CREATE TABLE t ({', '.join(names)})")
        db.executemany(f"INSERT INTO t VALUES ({', '.join('?' for _ in mix)})", sorted(rows))
        scan = db.execute(f"SELECT * FROM t ORDER BY {order_by(parts)}").fetchall()
        back = db.execute(f"SELECT * FROM t ORDER BY {order_by(parts, backwards=True)}").fetchall()
        assert back == scan[::-1]
        for at, key in enumerate(scan):
            values = {f"k{i}": v for i, v in enumerate(key)}

            def where(predicate, values=values):
                sql = f"SELECT * FROM t WHERE {predicate} ORDER BY {order_by(parts)}"
                return db.execute(sql, values).fetchall()

            assert where(behind(parts, ":k{}".format)) == scan[at + 1 :]
            assert where(behind(parts, ":k{}".format, inclusive=True)) == scan[at:]
            assert where(up_to(parts, ":k{}".format)) == scan[: at + 1]
            assert where(up_to(parts, ":k{}".format, inclusive=False)) == scan[:at]


@pytest.mark.parametrize("mix", [(False, False), (False, True)], ids=str)
def test_an_index_serves_the_predicate(mix):
    """The database searches the index for the cursor; it never scans from the beginning."""
    parts = [(n, down) for n, down in zip("ab", mix, strict=True)]
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE t (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID")
        sql = f"EXPLAIN QUERY PLAN SELECT * FROM t WHERE {behind(parts, ':k{}'.format)}"
        plan = db.execute(sql, {"k0": 1, "k1": 1}).fetchall()
        assert all("SEARCH" in line[3] for line in plan)
