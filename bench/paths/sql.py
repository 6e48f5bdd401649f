"""L0, one bare UPDATE; L1, the same in committed chunks of 5,000 keys. No safety, no Python."""

import json
import sys
import threading
import time

import psycopg

import data

CHUNK = 5_000
words = json.loads(sys.argv[1])


def chunked(low, high):
    """L1 over one part of the keys, on a connection of its own."""
    with psycopg.connect(words["url"], autocommit=True) as connection:
        after = low
        while True:
            upto, count = connection.execute(
                "SELECT max(id), count(*) FROM (SELECT id FROM items WHERE id > %s AND id <= %s "
                "ORDER BY id LIMIT %s) x",
                (after, high, CHUNK),
            ).fetchone()
            if not count:
                return
            connection.execute(
                f"UPDATE items SET normalized = {data.EXPRESSION} WHERE id > %s AND id <= %s",
                (after, upto),
            )
            after = upto


def main():
    with psycopg.connect(words["url"], autocommit=True) as connection:
        rows, last = connection.execute("SELECT count(*), max(id) FROM items").fetchone()
        began = time.perf_counter()
        if words["path"] == "L0":
            connection.execute(f"UPDATE items SET normalized = {data.EXPRESSION}")
        else:
            parts = words.get("connections", 1)
            edges = [last * n // parts for n in range(parts + 1)]
            threads = [
                threading.Thread(target=chunked, args=edges[n : n + 2]) for n in range(parts)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        print(json.dumps({"rows": rows, "seconds": time.perf_counter() - began}))


main()
