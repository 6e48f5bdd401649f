"""Two HTTP functions in order for each session (scenario *sessions*): 20 a minute, once each."""

import asyncio
import json
import os
import signal

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from paid.conftest import KEY
from paid.songs import Songs, until
from proctor.adapters.ledger import MemoryPurse
from proctor.adapters.providers.service import open_service
from proctor.authoring import Context, Unanswered
from proctor.engine.answers import Answers
from proctor.engine.asker import Asker
from proctor.engine.desk import Desk
from proctor.model import Limits, Price, ServiceSettings
from proctor.testing.clock import FakeClock
from proctor.testing.vendor import Served, serve_vendor
from proctor.ui.cli import main

NAMES = ("score_fc", "score_prism")
SESSIONS = 39
FREE = Price(input_per_million=Decimal(0), output_per_million=Decimal(0), source="a test")
CODE = """
from proctor import backfill, table

@backfill(
    table("songs", key="id", columns=("id",)), fills="emotions", version="v1.2", concurrency=8
)
async def score(session, ctx):
    await ctx.http(provider="score_fc", session=session["id"])
    await ctx.http(provider="score_prism", session=session["id"])
    return {"emotions": "scored"}
"""


@pytest.fixture
def vendor():
    with serve_vendor(*(Served(name=n, kind="service") for n in NAMES), key=KEY) as server:
        yield server


async def score(session, ctx):
    """What the scenario's backfill does for one session."""
    await ctx.http(provider="score_fc", session=session)
    await ctx.http(provider="score_prism", session=session)


@dataclass
class Watched:
    """A service whose calls are written down, so that time passes only where nobody calls."""

    inner: Any
    name: str
    log: list = field(default_factory=list)
    flying: list = field(default_factory=list)

    async def call(self, ask):
        self.log.append((self.name, json.loads(ask.sent)["values"]["session"]))
        self.flying.append(ask)
        try:
            return await self.inner.call(ask)
        finally:
            self.flying.remove(ask)

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.fixture
async def scored(vendor):
    """Scores all sessions with 20 calls a minute of each; how it ended, the order, the seconds."""
    clock, log, flying, desks = FakeClock(auto=False), [], [], {}
    for name in NAMES:
        vendor.limit(name, rpm=20)
        settings = ServiceSettings(
            name=name,
            url=f"{vendor.service_url(name)}/{{session}}",
            at=vendor.url,
            method="POST",
            headers={"Authorization": "Bearer ${KEY}"},
            idempotency_key="Idempotency-Key",
            price=FREE,
        )
        service = Watched(open_service(settings, {"KEY": KEY}), name, log, flying)
        desks[name] = Desk(name=name, provider=service, model=settings.model, service=settings)
    limits = dict.fromkeys(NAMES, Limits(rpm=20, concurrency=4))
    purse = MemoryPurse(limits, clock=clock)
    answers = Answers(purse, desks, clock, lambda: 0.0, services=frozenset(NAMES))
    asker = Asker(answers=answers, run="r")

    async def run(sessions):
        now = datetime(2026, 1, 1, tzinfo=UTC)
        asked = asyncio.gather(
            *(score(s, Context(params=None, now=now, key=(s,), asking=asker)) for s in sessions),
            return_exceptions=True,
        )
        while not asked.done():
            await clock.advance(0)
            if flying or not clock._sleepers:
                await asyncio.sleep(0.001)
                continue
            vendor.advance(1)
            await clock.advance(1)
        return await asked, log, clock.elapsed

    yield run
    for desk in desks.values():
        await desk.provider.aclose()


async def test_twenty_a_minute_is_kept_by_each_services_own_count(scored, vendor):
    """P6: no call is refused, no minute has more, and no more time is lost than the rate asks."""
    ended, log, seconds = await scored(range(SESSIONS))
    assert ended == [None] * SESSIONS
    for name in NAMES:
        books = vendor.books()[name]
        assert (books.calls, books.limited) == (SESSIONS, 0)
        assert books.most_in_window <= 20
        assert set(books.done.values()) == {1}
    assert 100 < seconds < 130
    for session in range(SESSIONS):
        assert log.index(("score_fc", session)) < log.index(("score_prism", session))


async def test_the_second_is_not_called_where_the_first_fails(scored, vendor):
    """The others go on."""
    ended, log, _ = await scored(["a", "unknown", "b"])
    assert [type(end) for end in ended] == [type(None), Unanswered, type(None)]
    assert ("score_prism", "unknown") not in log
    assert vendor.books()["score_prism"].calls == 2


class Sessions(Songs):
    """The sessions as a table, and the commands of whoever runs it."""

    def configure(self):
        sections = "".join(
            f'\n[providers.{name}]\nurl = "{self.vendor.service_url(name)}/{{session}}"\n'
            'method = "POST"\nprice = { request = 0 }\nconcurrency = 64\n'
            'headers = { Authorization = "Bearer ${LOCAL_KEY}" }\n'
            for name in NAMES
        )
        head = 'backfills = ["backfills"]\n[env.local]\nstore = "sqlite:///shop.db"\n'
        (self.root / "proctor.toml").write_text(head + sections)


@pytest.fixture
def sessions(tmp_path, monkeypatch, capsys, vendor):
    """Thirty-nine sessions without scores, and this process inside the project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_KEY", KEY)

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    project = Sessions(tmp_path, vendor, call, rows=SESSIONS)
    project.write(CODE)
    yield project
    project.end()


def test_a_killed_run_scores_every_session_once(sessions, vendor):
    """P5: calls made again are those in flight at the kill, and the services know them."""
    for name in NAMES:
        vendor.limit(name, latency_s=0.05)
    process = sessions.spawn("run", "score", "--json")
    until(lambda: vendor.books()["score_prism"].calls > 5, "some scores")
    os.killpg(process.pid, signal.SIGKILL)
    sessions.ended(process)
    ended = sessions.proctor("run", "score", "--json")
    assert ended.code == 0, ended.said
    assert sessions.sql("SELECT count(*) FROM songs WHERE emotions = 'scored'") == [(SESSIONS,)]
    for name in NAMES:
        books = vendor.books()[name]
        assert list(books.done.values()) == [1] * SESSIONS
        assert books.calls <= SESSIONS + 8
    sessions.sql("UPDATE songs SET emotions = NULL")
    calls = sum(books.calls for books in vendor.books().values())
    assert sessions.proctor("run", "score").code == 0
    assert sum(books.calls for books in vendor.books().values()) == calls, "done is found done"
