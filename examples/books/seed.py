"""Make the tables: a few works that a person entered stand there already.

    python seed.py books.db

It drops both tables first: never point it at works that somebody reads.
"""

import sqlite3
import sys

TABLES = """
DROP TABLE IF EXISTS enrichment_queue;
DROP TABLE IF EXISTS works;
CREATE TABLE works (
    slug TEXT PRIMARY KEY, title TEXT NOT NULL, author TEXT NOT NULL,
    year INTEGER, month INTEGER, named_by TEXT, isbn TEXT,
    resolution TEXT CHECK (resolution IN ('resolved', 'unknown', 'later')), shelf TEXT
);
CREATE TABLE enrichment_queue (
    slug TEXT PRIMARY KEY REFERENCES works, isbn TEXT NOT NULL, queued_at TEXT NOT NULL
);
"""
ENTERED = [
    ("Paper Rivers", "Ines Okafor", 2021, 12),
    ("The Salt Harbour", "Tomas Lindqvist", 2020, 6),
    ("A Hand Copied Atlas", "the archive", 1987, 5),
]


def main(file):
    """Both tables, made anew."""
    with sqlite3.connect(file) as database:
        database.executescript(TABLES)
        for title, author, year, month in ENTERED:
            slug = f"{title} by {author}".lower().replace(" ", "-")
            database.execute(
                "INSERT INTO works (slug, title, author, year, month, named_by, isbn, resolution, "
                "shelf) VALUES (?, ?, ?, ?, ?, 'hand', NULL, NULL, 'A 7')",
                (slug, title, author, year, month),
            )
    database.close()
    print(f"works: {len(ENTERED)} that were entered by hand; enrichment_queue: empty")


if __name__ == "__main__":
    main(*sys.argv[1:])
