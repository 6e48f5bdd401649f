"""Configuration in, wired objects out: which adapter for which URL, and with which settings."""

from __future__ import annotations

import contextlib
import getpass
import os

from collections.abc import AsyncIterator
from datetime import timedelta

from proctor.adapters.clock import SystemClock
from proctor.adapters.ledger import open_ledger
from proctor.app.facade import App
from proctor.authoring import load
from proctor.config import Config, Env
from proctor.core.windows import parse_window
from proctor.engine.events import Events
from proctor.engine.site import Settings, Site
from proctor.errors import ConfigError
from proctor.ports import Manners, Store


@contextlib.asynccontextmanager
async def open_app(
    config: Config, env: str = "local", *, who: str | None = None
) -> AsyncIterator[App]:
    """Wire one environment and give everything back at the end.

    Raises ConfigError for an unknown environment or URL, DefinitionError for a backfill that is
    wrong, Unreachable or Denied for a database that does not let us in.
    """
    environment = config.env(env)
    backfills = load(config.backfills, config.root)
    url = environment.store.reveal()
    dialect = dialect_of(url)
    async with contextlib.AsyncExitStack() as stack:
        ledger = await open_ledger(environment.ledger.reveal())
        stack.push_async_callback(ledger.aclose)
        store = await open_store(url, dialect, manners(environment))
        stack.push_async_callback(store.aclose)
        clock = SystemClock()
        name = who or os.environ.get("PROCTOR_USER") or getpass.getuser()
        site = Site(
            env=env,
            protected=environment.protected,
            root=config.root,
            store=store,
            events=Events(ledger=ledger, clock=clock, env=env, who=name),
            clock=clock,
            who=name,
            settings=settings(config, environment, dialect),
            dialect=dialect,
        )
        yield App(config=config, env=env, site=site, backfills=backfills)


def dialect_of(url: str) -> str:
    """The kind of store behind a URL; ConfigError when Proctor has no adapter for it."""
    scheme = url.partition(":")[0].partition("+")[0]
    kinds = {"sqlite": "sqlite", "postgres": "postgres", "postgresql": "postgres"}
    if scheme not in kinds:
        raise ConfigError(
            "there is no store for this URL",
            found=f"it begins with {scheme}:",
            fix="use sqlite:///file.db or postgresql://user@host/database",
        )
    return kinds[scheme]


async def open_store(url: str, dialect: str, manners: Manners) -> Store:
    """The adapter for a URL; its driver is imported only now."""
    if dialect == "sqlite":
        from proctor.adapters.stores.sqlite import open_sqlite

        return await open_sqlite(url, manners)
    from proctor.adapters.stores.postgres import open_postgres

    return await open_postgres(url, manners)


def manners(env: Env) -> Manners:
    """How stores behave, from `[run]`."""
    run = env.run
    return Manners(
        connections=max(run.workers or 0, 4),
        lock_timeout=timedelta(seconds=run.lock_timeout_s),
        statement_timeout=timedelta(seconds=run.statement_timeout_s),
    )


def settings(config: Config, env: Env, dialect: str) -> Settings:
    """How runs behave: the store's own nature first, proctor.toml over it."""
    run, throttle = env.run, env.throttle
    lite = dialect == "sqlite"
    return Settings(
        lease_for=timedelta(seconds=run.lease_s),
        lanes=run.workers or (1 if lite else 2),
        write_target=timedelta(milliseconds=50 if lite else 500),
        first_rows=run.chunk_rows or 500,
        pause=timedelta(seconds=run.pause_s),
        duty=throttle.duty or (0.5 if lite else 1.0),
        limits=throttle.limits,
        windows=tuple(parse_window(text) for text in (*config.blackout, *env.blackout)),
        usual_rate=60_000.0 if lite else 30_000.0,
    )
