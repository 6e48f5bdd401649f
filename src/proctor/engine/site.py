"""One environment, wired: the collaborators and settings that every command is given."""

from __future__ import annotations

import os
import random
import secrets
import socket

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from proctor.authoring import Backfill, Watch
from proctor.core.checks import Detect
from proctor.core.keeping import Keep
from proctor.core.sizing import Sizing
from proctor.core.windows import Window
from proctor.engine.events import Events
from proctor.engine.pacing import Pacing
from proctor.errors import UsageError
from proctor.model import Account, AlertRules, Holder, ProviderSeen, Run, RunState, Signal
from proctor.ports import Asking, Clock, Purse, Store

if TYPE_CHECKING:  # loaded by who makes them
    from proctor.engine.notices import Notices
    from proctor.engine.sampling import Sampler

Source = Callable[[], Awaitable[Signal]]
"""Asks a throttle signal for its latest value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A throttle signal of the user's own, as it was told and before anybody asks it."""

    name: str
    limit: float
    unit: str
    load: Callable[[], Source]
    """Makes its source; ConfigError where there can be none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How runs behave in this environment; from proctor.toml.

    `limits` maps a signal's name to the number at which Proctor stops; a signal without an
    entry keeps the store's own limit.
    """

    lease_for: timedelta = timedelta(seconds=30)
    lanes: int = 2
    write_target: timedelta = timedelta(milliseconds=500)
    first_rows: int = 500
    most_rows: int = 8_000
    duty: float = 1.0
    pause: timedelta = timedelta(0)
    attempts: int = 3
    patient: bool = True
    """Whether a daily quota that is used up is waited for."""
    limits: Mapping[str, float] = field(default_factory=dict)
    own_limits: tuple[tuple[str, float], ...] = ()
    """The user's own signals with theirs, which are approved like the others."""
    windows: tuple[Window, ...] = ()
    undo_for: timedelta = timedelta(days=30)
    """For how long undo data is kept where the backfill is no longer there to say."""
    usual_rate: float = 20_000.0
    """Rows a second that this kind of store usually takes: for forecasts only."""


async def _nobody(_run: str, _of: Backfill, _stopped: Callable[[], int]) -> Asking | None:
    return None


async def _no_purse() -> Purse:
    raise UsageError("no answers are kept here")


async def _no_accounts(_runs: Sequence[str]) -> Mapping[str, Sequence[Account]]:
    return {}


async def _none_seen() -> Sequence[ProviderSeen]:
    return ()


def _no_terms() -> Mapping[str, str]:
    return {}


async def _no_sampler(_paying: bool) -> Sampler | None:  # noqa: FBT001 - as a Callable is typed
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a command acts, and with what."""

    env: str
    protected: bool
    root: Path
    store: Store
    events: Events
    clock: Clock
    who: str
    settings: Settings
    redact: Callable[[str], str] = str
    """Takes the secrets of the configuration out of a text."""
    dialect: str = ""
    """The kind of store, for the advice in reports: sqlite or postgres."""
    signals: tuple[Told, ...] = ()
    """Throttle signals that proctor.toml wants watched in every run."""
    asking: Callable[[str, Backfill, Callable[[], int]], Awaitable[Asking | None]] = _nobody
    """Opens what the functions of a run ask providers through, by the run and its stop word."""
    purse: Callable[[], Awaitable[Purse]] = _no_purse
    """Opens the answers that are kept; needs no provider."""
    keep: Keep = field(default_factory=Keep)
    sampling: Callable[[bool], Awaitable[Sampler | None]] = _no_sampler
    """The same for plans and dry runs, by whether they may pay."""
    accounts: Callable[[Sequence[str]], Awaitable[Mapping[str, Sequence[Account]]]] = _no_accounts
    """What runs have asked of providers, by run; of those that asked nothing there is nothing."""
    providers: Callable[[], Awaitable[Sequence[ProviderSeen]]] = _none_seen
    """Looks at the providers of proctor.toml without asking them."""
    terms: Callable[[], Mapping[str, str]] = _no_terms
    """What an approval of a run that may ask covers of them, as their keys in proctor.toml."""
    alerts: AlertRules = field(default_factory=AlertRules)
    """From which of its numbers on a run raises an alert."""
    notices: Notices | None = None
    """What tells people; None where this process is a run's hand, and another one speaks."""
    detect: Detect | None = None
    """Tells the language of a text, for checks."""
    listen: Callable[[Sequence[Watch]], tuple[Told, ...]] = lambda _watches: ()
    """The same of what a backfill wants watched."""

    @property
    def host(self) -> str:
        """This machine, as holders and workers are named."""
        return socket.gethostname()

    def pacing(self, watches: Sequence[Watch] = ()) -> Pacing:
        """A fresh throttle under this site's settings, with a backfill's own signals.

        Raises ConfigError where one of the user's signals can have no source.
        """
        settings = self.settings
        return Pacing(
            clock=self.clock,
            sizing=Sizing(
                rows=settings.first_rows, target=settings.write_target, cap=settings.most_rows
            ),
            duty=settings.duty,
            pause=settings.pause,
            windows=settings.windows,
            sources=tuple(told.load() for told in (*self.signals, *self.listen(watches))),
            limits=self.limited,
        )

    async def sampler(self, backfill: Backfill, *, paying: bool = False) -> Sampler | None:
        """What answers a backfill's questions outside of a run; None where it cannot ask any.

        Raises UsageError where there is nothing that could be paid.
        """
        asks = may_ask(backfill)
        found = await self.sampling(paying) if asks else None
        if found is not None:
            found.backfill = backfill.name
            found.sensitive = bool(backfill.spec.sensitive)
        if paying and found is None:
            raise UsageError(
                f"there is nothing to pay for {backfill.name}",
                found="proctor.toml names no provider" if asks else "its function asks nobody",
                fix="[providers.writer] in proctor.toml; or leave --paid-sample out"
                if asks
                else "leave --paid-sample out; only an async function with ctx can ask",
            )
        return found

    def limited(self, signals: Sequence[Signal]) -> list[Signal]:
        """The signals under the limits of proctor.toml."""
        limits = self.settings.limits
        return [replace(s, limit=limits.get(s.name, s.limit)) for s in signals]


def may_ask(backfill: Backfill) -> bool:
    """Whether a backfill's function has a way to ask providers."""
    return backfill.is_async and backfill.takes_ctx


def own(site: Site, run: Run) -> None:
    """UsageError unless a run is of this environment: its protection must not be walked round."""
    if run.env != site.env:
        raise UsageError(
            f"run {run.id} belongs to environment {run.env}",
            found=f"this is environment {site.env}, on the same database",
            fix=f"say --env {run.env}",
        )


def new_id(now: datetime) -> str:
    """A run's id: sorts by day, short enough to type, long enough not to meet another."""
    return f"{now:%y%m%d}-{secrets.token_hex(4)}"


def dice() -> float:
    """Jitter in [0, 1)."""
    return random.random()  # noqa: S311 - spreads retries; guards nothing


def holder(who: str) -> Holder:
    """This process, so that others can tell whether it lives."""
    return Holder(host=socket.gethostname(), pid=os.getpid(), started=birth(os.getpid()), user=who)


def is_dead(other: Holder) -> bool:
    """Whether the holder was a process of this very machine that is certainly gone."""
    mine = birth(os.getpid())
    if other.host != socket.gethostname() or not other.started or not mine:
        return False
    if other.started.rpartition(":")[0] != mine.rpartition(":")[0]:
        # Another boot of this machine, or another container: only the lease can tell.
        return False
    return birth(other.pid) != other.started


def as_it_is(run: Run) -> Run:
    """The run; interrupted also before its lease ends where its process is certainly gone."""
    worked_on = run.state in (RunState.RUNNING, RunState.PAUSING, RunState.CANCELLING)
    if worked_on and run.holder is not None and is_dead(run.holder):
        return replace(run, interrupted=True)
    return run


def birth(pid: int) -> str:
    """Boot, process namespace and start of a process; empty where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").readlink().name
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else f"{boot}:{space}:{fields[19]}"
