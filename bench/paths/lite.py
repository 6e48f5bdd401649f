"""One bare UPDATE on SQLite: in SQL alone, or calling the same Python function for every row."""

import json
import sqlite3
import sys
import time

import data

words = json.loads(sys.argv[1])


def main():
    connection = sqlite3.connect(words["url"].removeprefix("sqlite:///"), isolation_level=None)
    loads = json.loads
    connection.create_function(
        "normalize", 2, lambda s, o: json.dumps(data.transform(loads(s), o)), deterministic=True
    )
    call = "normalize(style, occasion)" if words["path"] == "function" else words["sql"]
    began = time.perf_counter()
    rows = connection.execute(f"UPDATE items SET normalized = {call}").rowcount
    seconds = time.perf_counter() - began
    connection.close()
    print(json.dumps({"rows": rows, "seconds": seconds}))


main()
