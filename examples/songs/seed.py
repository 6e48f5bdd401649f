"""Make the songs: 1,000 with placeholders among them, the same every time; some are done already.

    python seed.py postgresql://user@host/database

It drops its tables first: never point it at songs that somebody hears.
"""

import random
import sys

import psycopg

SONGS = 1_000
MOODS = ["Golden", "Broken", "Midnight", "Electric", "Paper", "Crimson", "Silent", "Neon", "Salt"]
THINGS = ["Rivers", "Motel", "Telephone", "Horses", "Summer", "Letters", "Skyline", "Harbour"]
TAILS = ["", "", " (Live)", " Pt. II", " in Blue", " for Nina", " at Dawn", " (Remastered)"]
ARTISTS = ["The Low Tide", "Maren Ostfeld", "Kōen", "Os Vizinhos", "Dél-Buda", "Night Bus Choir"]
TABLES = """
DROP TABLE IF EXISTS song_aboutness, songs, flags, flag_changes;
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE songs (
    id bigint PRIMARY KEY, title text NOT NULL, artist text NOT NULL,
    placeholder boolean NOT NULL DEFAULT false
);
CREATE TABLE song_aboutness (
    song_id bigint PRIMARY KEY REFERENCES songs,
    emotions_text text, moments_text text, emotions_confidence text, moments_confidence text,
    emotions_embedding vector(256), moments_embedding vector(256),
    provider text, model text, version integer, generated_at timestamptz
);
CREATE TABLE flags (key text PRIMARY KEY, percent integer NOT NULL, version integer NOT NULL);
INSERT INTO flags VALUES ('ABOUTNESS_V2_ENABLED', 0, 1);
CREATE TABLE flag_changes (
    flag text, percent_before integer, percent_after integer, reason text, once text, at text
);
"""


def songs():
    """Every song; ids have gaps, as they have after years of deletes."""
    dice, number = random.Random(114_336), 0
    for _ in range(SONGS):
        number += dice.choice((1, 1, 1, 2, 7))
        title = f"{dice.choice(MOODS)} {dice.choice(THINGS)}{dice.choice(TAILS)} No. {number}"
        yield number, title, dice.choice(ARTISTS), number % 41 == 0


def stands(number):
    """A song that somebody has described already: by this version, or by the one before."""
    version = 2 if number % 53 == 0 else 1
    ones = "[" + ",".join(["0.0625"] * 256) + "]"
    text = f"It is song {number}."
    return (number, text, text, "low", "low", ones, ones, "hand", "none", version)


def main(url):
    """All tables, made anew."""
    made = list(songs())
    with psycopg.connect(url) as database, database.cursor() as cursor:
        cursor.execute(TABLES)
        with cursor.copy("COPY songs FROM STDIN") as copy:
            for row in made:
                copy.write_row(row)
        done = [n for n, *_, placeholder in made if not placeholder and n % 53 in (0, 1)]
        cursor.executemany(
            f"INSERT INTO song_aboutness VALUES ({', '.join(['%s'] * 10)}, '2026-01-02T03:04:05Z')",
            map(stands, done),
        )
    real = sum(not placeholder for *_, placeholder in made)
    ready = sum(stands(number)[-1] == 2 for number in done)
    print(
        f"songs: {SONGS:,}, of which {SONGS - real:,} are placeholders; of the other {real:,} "
        f"{ready:,} are described by this version already, {len(done) - ready:,} by the one before"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
