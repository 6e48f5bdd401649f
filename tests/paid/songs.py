"""Songs to fill by a paid function, and the commands of whoever runs it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

from contextlib import closing

from proctor.testing.vendor import right_answer

KEY_ENV = "LOCAL_KEY"
MODEL = "gpt-5-mini"
CODE = '''
from typing import Literal
from pydantic import BaseModel
from proctor import backfill, table

class Song(BaseModel):
    emotions: str
    confidence: Literal["low", "medium", "high"]

@backfill(
    table("songs", key="id", columns=("id", "title")),
    fills=("emotions", "confidence"), version="1", concurrency={concurrency},
)
async def about(song, ctx):
    """What a song is about."""
    said = await ctx.llm(f"What does {{song['title']}} feel like?", output=Song)
    return {{"emotions": said.emotions, "confidence": said.confidence}}
'''
SCHEMA = {
    "type": "object",
    "properties": {
        "emotions": {"type": "string"},
        "confidence": {"type": "string", "enum": ["low", "medium", "high"]},
    },
}
PATIENCE = 60


def question(title):
    """What the function asks of a song."""
    return f"What does {title} feel like?"


def right(title):
    """What a song's row must hold in the end."""
    answer = right_answer(SCHEMA, question(title))
    return answer["emotions"], answer["confidence"]


def until(happened, what):
    """Ask again and again until it is so; the answer."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := happened():
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {PATIENCE} s")


class Ended:
    """What a command left behind."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.said = " ".join(f"{out} {err}".split())

    @property
    def json(self):
        """Stdout as exactly one document."""
        return json.loads(self.out)


class Songs:
    """The project."""

    def __init__(self, root, vendor, call, rows=40):
        self.root, self.vendor, self._call = root, vendor, call
        self.started = []
        self.heard = []
        self.sql("PRAGMA journal_mode = WAL")
        self.sql("CREATE TABLE songs (id INTEGER PRIMARY KEY, title, emotions, confidence)")
        self.add(f"song {number}" for number in range(rows))
        self.write(CODE.format(concurrency=16))
        self.configure()

    def sql(self, text, *values):
        """Whatever somebody else does to the table."""
        with closing(sqlite3.connect(self.root / "shop.db")) as db, db:
            return db.execute(text, values).fetchall()

    def sql_of(self, place, text, *values):
        """The same of the ledger: what its record says."""
        file = {"ledger": self.root / ".proctor" / "ledger.db"}[place]
        with closing(sqlite3.connect(file)) as db, db:
            return db.execute(text, values).fetchall()

    def add(self, titles):
        """More songs."""
        with closing(sqlite3.connect(self.root / "shop.db")) as db, db:
            db.executemany("INSERT INTO songs (title) VALUES (?)", [(t,) for t in titles])

    def write(self, code):
        """The module with the backfill."""
        (self.root / "backfills.py").write_text(code)

    def says(self, body, *, concurrency=16, more=""):
        """The same backfill with another body."""
        head, _, _ = CODE.format(concurrency=concurrency).partition("    said =")
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        self.write(f"{more}\n{head}{lines}\n")

    def configure(self, *, others="", **settings):
        """proctor.toml, with these settings of the provider instead of the usual; None for none."""
        told = {
            "model": f'"openai:{MODEL}"',
            "base_url": f'"{self.vendor.openai_url}"',
            "max_tokens": 200,
            "concurrency": 64,
            "key_env": f'"{KEY_ENV}"',
            "price": "{ input = 0.25, output = 2.0 }",
            **settings,
        }
        lines = "\n".join(f"{name} = {it}" for name, it in told.items() if it is not None)
        (self.root / "proctor.toml").write_text(
            'backfills = ["backfills"]\n[env.local]\nstore = "sqlite:///shop.db"\n'
            f"{others}\n[providers.writer]\n{lines}\n"
        )

    def proctor(self, *words):
        """A command in this process."""
        ended = Ended(*self._call(*words))
        self.heard += [ended.out, ended.err]
        return ended

    def run(self, *words):
        """`proctor run about`."""
        return self.proctor("run", "about", "--json", *words)

    def spawn(self, *words):
        """A command in a process of its own, the leader of its own group."""
        process = subprocess.Popen(
            [sys.executable, "-m", "proctor", *words],
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def ended(self, process, patience=PATIENCE):
        """The end of a process, waited for."""
        out, err = process.communicate(timeout=patience)
        self.heard += [out, err]
        return Ended(process.returncode, out, err)

    def end(self):
        """Leave no process behind."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def rows(self):
        """Title to what was filled in."""
        found = self.sql("SELECT title, emotions, confidence FROM songs ORDER BY id")
        return {title: (emotions, confidence) for title, emotions, confidence in found}

    def answered(self):
        """Titles of the rows that are filled."""
        return [title for title, (emotions, _) in self.rows().items() if emotions is not None]

    def wrong(self):
        """Rows that do not hold the right answer."""
        return {title: got for title, got in self.rows().items() if got != right(title)}

    @property
    def books(self):
        """What the vendor counted."""
        return self.vendor.books()[MODEL]
