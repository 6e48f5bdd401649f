"""The paid bench's table and question: songs with lyrics; a model says what they are about."""

import json
import random
import sqlite3

from contextlib import closing
from typing import Literal

from pydantic import BaseModel

WORDS = [
    "river",
    "night",
    "golden",
    "leaving",
    "summer",
    "winter",
    "shadow",
    "morning",
    "window",
    "dancing",
    "slowly",
    "heart",
    "thunder",
    "paper",
    "silver",
    "street",
    "lonely",
    "forever",
    "yesterday",
    "ocean",
    "engine",
    "burning",
    "quiet",
    "mirror",
    "garden",
    "falling",
    "distant",
    "letter",
    "radio",
    "highway",
    "whisper",
    "stranger",
    "blossom",
    "harbour",
    "copper",
    "tender",
]
MOST_OUTPUT = 200
TABLE = "CREATE TABLE songs (id INTEGER PRIMARY KEY, title, lyrics, mood, about, sure, vector)"


class Song(BaseModel):
    """What a model says of a song."""

    mood: str
    about: str
    sure: Literal["low", "medium", "high"]


def question(lyrics):
    """What every path asks."""
    return f"What is this song about, and what is its mood?\n\n{lyrics}"


def fill(path, count, *, words=(20, 80)):
    """A new SQLite file with so many songs, no two of them alike."""
    pick = random.Random(11)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(TABLE)
        db.executemany(
            "INSERT INTO songs (title, lyrics) VALUES (?, ?)",
            (
                (f"song {n}", f"Song {n}: {' '.join(pick.choices(WORDS, k=pick.randint(*words)))}")
                for n in range(count)
            ),
        )
        db.commit()


def read(path):
    """(id, lyrics) of every song, for the scripts beside Proctor."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT id, lyrics FROM songs ORDER BY id").fetchall()


def write(path, answers):
    """(id, mood, about, sure) of the songs that were answered, at the end and in one go."""
    with closing(sqlite3.connect(path)) as db, db:
        db.executemany("UPDATE songs SET mood = ?2, about = ?3, sure = ?4 WHERE id = ?1", answers)


def write_vectors(path, answers):
    """(id, vector) in the same way."""
    with closing(sqlite3.connect(path)) as db, db:
        told = ((id_, json.dumps(vector)) for id_, vector in answers)
        db.executemany("UPDATE songs SET vector = ?2 WHERE id = ?1", told)


def filled(path):
    """How many songs have what was asked for."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(
            "SELECT count(*) FROM songs WHERE mood IS NOT NULL OR vector IS NOT NULL"
        ).fetchone()[0]
