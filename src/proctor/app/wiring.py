"""Configuration in, wired objects out: which adapter for which URL, and with which settings."""

from __future__ import annotations

import contextlib
import getpass
import os

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from proctor.adapters.clock import AheadClock, SystemClock
from proctor.adapters.languages import detect
from proctor.adapters.ledger import open_ledger
from proctor.adapters.signals import Watched, http_question, python_question
from proctor.app.facade import App
from proctor.app.paying import Counter
from proctor.app.stamping import defined
from proctor.app.terms import terms_of
from proctor.authoring import Watch
from proctor.config import Config, Env, UserSignal
from proctor.core.keeping import Keep
from proctor.core.windows import parse_window
from proctor.engine.billing import tells, tells_batches
from proctor.engine.events import Events
from proctor.engine.site import Settings, Site, Source, Told
from proctor.errors import ConfigError
from proctor.ports import Clock, Manners, Store

if TYPE_CHECKING:
    from proctor.engine.notices import Notices


@contextlib.asynccontextmanager
async def open_app(
    config: Config,
    env: str = "local",
    *,
    who: str | None = None,
    clock: Clock | None = None,
    limits_ahead: timedelta | None = None,
    telling: bool = True,
) -> AsyncIterator[App]:
    """Wire one environment and give everything back at the end.

    clock: another time than the machine's, also for the limits of providers: for tests.
    limits_ahead: how far ahead of the machine's time these limits are counted.
    telling: whether `[notify]` is heeded; not by the many hands of one run.
    Raises ConfigError for an unknown environment or URL, DefinitionError for a backfill that is
    wrong, Unreachable or Denied for a database that does not let us in.
    """
    environment = config.env(env)
    backfills = defined(config)
    url = environment.store.reveal()
    dialect = dialect_of(url)
    wished = settings(config, environment, dialect)  # a slip in them is told before anything opens
    async with contextlib.AsyncExitStack() as stack:
        ledger = await open_ledger(environment.ledger.reveal(), redact=config.redact)
        stack.push_async_callback(ledger.aclose)
        store = await store_of(environment, url, dialect)
        stack.push_async_callback(store.aclose)
        name = who or os.environ.get("PROCTOR_USER") or getpass.getuser()
        given, clock = clock, clock or SystemClock()
        events = Events(ledger=ledger, clock=clock, env=env, who=name)
        notices = _listeners(config, env, events) if telling else None
        limits_clock = AheadClock(limits_ahead) if limits_ahead else given
        counter = _counter(config, environment, events, limits_clock)
        stack.push_async_callback(counter.aclose)
        site = Site(
            env=env,
            protected=environment.protected,
            root=config.root,
            store=store,
            events=events,
            clock=clock,
            who=name,
            settings=wished,
            redact=config.redact,
            dialect=dialect,
            signals=tuple(_configured(signal, store, clock) for signal in environment.signals),
            asking=counter.asking,
            sampling=counter.sampling,
            accounts=counter.accounts,
            providers=counter.seen,
            terms=lambda: terms_of(config),
            alerts=config.alerts,
            notices=notices,
            detect=detect,
            purse=counter.purse,
            keep=Keep(age=config.answers.age, most_bytes=config.answers.most_bytes),
            listen=lambda watches: tuple(_told(watch, store, clock) for watch in watches),
        )
        _heed(notices, stack)
        yield App(config=config, env=env, site=site, backfills=backfills)


def _listeners(config: Config, env: str, events: Events) -> Notices | None:
    """What tells places in the background; None where nobody wants to be told."""
    if not config.notify:
        return None
    from proctor.app.notifying import listeners

    return listeners(config, env, events)


def _heed(notices: Notices | None, stack: contextlib.AsyncExitStack) -> None:
    """Listen from now on, and send at the end what waits then."""
    if notices is not None:
        notices.start()
        stack.push_async_callback(notices.aclose)


def _counter(config: Config, env: Env, events: Events, limits_clock: Clock | None) -> Counter:
    """Where providers are asked, and told of in events."""
    return Counter(
        config=config,
        ledger=env.ledger.reveal(),
        clock=events.clock,
        limits_clock=limits_clock,
        tell=tells(events),
        tell_batch=tells_batches(events),
    )


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


async def store_of(env: Env, url: str, dialect: str) -> Store:
    """The store of an environment, with progress beside the data or, if it asks so, away."""
    if env.progress == "store":
        return await open_store(url, dialect, manners(env))
    from proctor.adapters.stores.away import open_away

    return await open_away(url, env.ledger.reveal(), manners(env), env=env.name)


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
        patient=run.when_quota_spent == "wait",
        undo_for=timedelta(days=run.retention_days),
        duty=throttle.duty or (0.5 if lite else 1.0),
        limits=throttle.limits,
        own_limits=tuple((s.name, s.limit) for s in env.signals),
        windows=tuple(parse_window(text) for text in (*config.blackout, *env.blackout)),
        usual_rate=60_000.0 if lite else 30_000.0,
    )


def _configured(signal: UserSignal, store: Store, clock: Clock) -> Told:
    """A throttle signal of proctor.toml."""

    def load() -> Source:
        if signal.sql is not None:
            ask = _asked(store, signal.sql)
        elif signal.http is not None:
            headers = {name: secret.reveal() for name, secret in signal.headers.items()}
            ask = http_question(
                signal.http.reveal(), pick=signal.pick, headers=headers, timeout=signal.timeout_s
            )
        else:
            ask = python_question(signal.python or "")
        return Watched(
            signal.name,
            ask,
            limit=signal.limit,
            clock=clock,
            unit=signal.unit,
            timeout=signal.timeout_s,
        )

    return Told(name=signal.name, limit=signal.limit, unit=signal.unit, load=load)


def _told(watch: Watch, store: Store, clock: Clock) -> Told:
    """A throttle signal of a backfill."""

    def load() -> Source:
        if watch.sql is not None:
            ask = _asked(store, watch.sql)
        elif watch.http is not None:
            ask = http_question(watch.http, pick=watch.json or "")
        else:
            ask = python_question(watch.python or "")
        return Watched(watch.name, ask, limit=watch.limit, clock=clock, unit=watch.unit)

    return Told(name=watch.name, limit=watch.limit, unit=watch.unit, load=load)


def _asked(store: Store, sql: str) -> Callable[[], Awaitable[float]]:
    return lambda: store.measure(sql)
