"""Make the application's database: 39 sessions with their responses, some of them scored before.

    python seed.py

It replaces app.db: never point it at sessions of real people.
"""

import random
import sqlite3

from contextlib import closing
from pathlib import Path

SESSIONS = 39
QUESTIONS = 12
FORGOTTEN = "s-011"
"""A session that was completed, and whose responses were lost."""
TABLES = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, completed INTEGER NOT NULL);
CREATE TABLE responses (
    session_id TEXT NOT NULL REFERENCES sessions, question INTEGER NOT NULL,
    answer INTEGER NOT NULL, PRIMARY KEY (session_id, question)
);
CREATE TABLE fc_scores (
    id INTEGER PRIMARY KEY, session_id TEXT NOT NULL UNIQUE REFERENCES sessions,
    version TEXT NOT NULL, fc_kind TEXT NOT NULL, score REAL NOT NULL
);
CREATE TABLE profiles (
    id INTEGER PRIMARY KEY, session_id TEXT NOT NULL UNIQUE REFERENCES sessions,
    score_id INTEGER NOT NULL REFERENCES fc_scores, results_version TEXT NOT NULL,
    type TEXT NOT NULL
);
"""


def main():
    """All four tables, the same every time."""
    dice, path = random.Random(39), Path(__file__).with_name("app.db")
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(TABLES)
        for number in range(1, SESSIONS + 1):
            session = f"s-{number:03d}"
            database.execute("INSERT INTO sessions VALUES (?, 1)", (session,))
            answers = [(session, question, dice.randint(1, 5)) for question in range(QUESTIONS)]
            if session != FORGOTTEN:
                database.executemany("INSERT INTO responses VALUES (?, ?, ?)", answers)
            if number % 4 == 0:  # scored by the release before, some with a profile
                old = (number, session, "v1.1", "manual", round(dice.random(), 3))
                database.execute("INSERT INTO fc_scores VALUES (?, ?, ?, ?, ?)", old)
            if number % 8 == 0:
                old = (number, session, number, "v1.1.0", "unknown")
                database.execute("INSERT INTO profiles VALUES (?, ?, ?, ?, ?)", old)
    print(f"sessions: {SESSIONS}, of which {SESSIONS // 4} have been scored by the release before")


if __name__ == "__main__":
    main()
