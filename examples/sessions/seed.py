"""Make the application's database: 39 sessions with their responses, some of them scored before.

    python seed.py

And what readers do: four in five who complete a session get their profile, in the past weeks and
(so that hours of watching can be tried in seconds) in those to come. It replaces app.db: never
point it at sessions of real people.
"""

import random
import sqlite3

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

SESSIONS = 39
QUESTIONS = 12
FORGOTTEN = "s-011"
"""A session that was completed, and whose responses were lost."""
NEW = ("s-101", "s-102", "s-103", "s-104")
"""Completed since the plan was written: nobody has scored them."""
UNANSWERED = "s-105"
OLD = "s-000"
"""Of the year before: too old to be looked at."""
WEEKS = (10, 4)
"""Before and after now."""
HOURLY = 40
CONVERSION = 0.8
TABLES = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, completed_at TEXT NOT NULL);
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
CREATE TABLE visits (
    id INTEGER PRIMARY KEY, completed_at TEXT NOT NULL, profile_at TEXT,
    token TEXT NOT NULL, version_override TEXT
);
"""


def main():
    """All five tables, the same every time but for the day that it is."""
    dice, path = random.Random(39), Path(__file__).with_name("app.db")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(TABLES)
        for number in range(1, SESSIONS + 1):
            session = f"s-{number:03d}"
            complete(database, dice, session, now - timedelta(days=20), session != FORGOTTEN)
            if number % 4 == 0:  # scored by the release before, some with a profile
                old = (number, session, "v1.1", "manual", round(dice.random(), 3))
                database.execute("INSERT INTO fc_scores VALUES (?, ?, ?, ?, ?)", old)
            if number % 8 == 0:
                old = (number, session, number, "v1.1.0", "unknown")
                database.execute("INSERT INTO profiles VALUES (?, ?, ?, ?, ?)", old)
        for session in (*NEW, UNANSWERED):
            complete(database, dice, session, now - timedelta(days=2), session != UNANSWERED)
        complete(database, dice, OLD, datetime(2025, 6, 1, tzinfo=UTC), True)
        database.executemany("INSERT INTO visits VALUES (?, ?, ?, ?, NULL)", traffic(dice, now))
        database.execute("CREATE INDEX visits_completed ON visits (completed_at)")
    print(f"sessions: {SESSIONS}, of which {SESSIONS // 4} have been scored by the release before")
    print(f"visits: {HOURLY} an hour from {WEEKS[0]} weeks ago to {WEEKS[1]} weeks from now")


def complete(database, dice, session, when, answered):
    """A session, and its responses if there are any."""
    database.execute("INSERT INTO sessions VALUES (?, ?)", (session, told(when)))
    answers = [(session, question, dice.randint(1, 5)) for question in range(QUESTIONS)]
    if answered:
        database.executemany("INSERT INTO responses VALUES (?, ?, ?)", answers)


def traffic(dice, now):
    """Visits in the order of time."""
    begin = now - timedelta(weeks=WEEKS[0])
    many = sum(WEEKS) * 7 * 24 * HOURLY
    for number in range(many):
        when = begin + timedelta(hours=1) * (number / HOURLY)
        profile = told(when + timedelta(minutes=2)) if dice.random() < CONVERSION else None
        yield number + 1, told(when), profile, f"t-{dice.getrandbits(64):016x}"


def told(when):
    """A moment as the application writes it."""
    return when.strftime("%Y-%m-%d %H:%M:%S")


if __name__ == "__main__":
    main()
