"""What a rollout asks of the outside world: its log, flags, measurements, and people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from proctor.errors import ConfigError

if TYPE_CHECKING:  # nothing here needs them at run time
    from proctor.model import (
        Figures,
        FlagPowers,
        FlagState,
        Holder,
        LogEntry,
        Rollout,
        RolloutState,
        Severity,
    )
    from proctor.model import SourceOfFigures as Source


class RolloutLog(Protocol):
    """Where rollouts stand: an append-only log for each, in the ledger."""

    async def begin(self, rollout: Rollout, entries: Sequence[LogEntry], /) -> Rollout:
        """Start one. RunActive where one of its name and environment has not ended."""

    async def rollouts(self, env: str, /) -> list[Rollout]:
        """Those of an environment, newest first."""

    async def rollout(self, rollout: str, /) -> Rollout:
        """One by its id or an unambiguous beginning of it; UsageError if there is none."""

    async def entries(self, rollout: str, /, *, after: int = 0) -> list[LogEntry]:
        """What happened in it, in order, behind the entry of that number."""

    async def take(
        self, rollout: str, holder: Holder, /, *, lease_for: timedelta, dead: bool
    ) -> Rollout:
        """Drive it from now on, under a new epoch; RunActive where its process lives.

        dead: the caller knows that the process which holds it is gone.
        """

    async def add(
        self,
        rollout: Rollout,
        entries: Sequence[LogEntry],
        /,
        *,
        state: RolloutState | None = None,
        driving: bool = True,
    ) -> Rollout:
        """Append behind entry `rollout.number`, all or none; the row as it stands then.

        Raises Fenced where something was appended since it was read, or where it is driven
        (`driving`) under another epoch than `rollout.epoch`: read it again.
        """

    async def now(self) -> datetime:
        """The time by which drivers are taken for alive or gone: one for all who share the log."""

    async def beat(self, rollout: Rollout, /) -> None:
        """Say that its process lives; Fenced where it is another's by now."""

    async def release(self, rollout: Rollout, /) -> None:
        """Give it up: whoever comes next need not wait for a lease to run out."""

    async def aclose(self) -> None:
        """Give connections back."""


class Meter(Protocol):
    """Gets the figures of a metric from outside."""

    async def measure(
        self, source: Source, /, *, since: datetime, until: datetime, within: timedelta
    ) -> Figures:
        """Numbers by name, finite. Raises Unmeasured where there is no usable answer."""


class Flag(Protocol):
    """Writes a feature flag; reading it as an application does is `observe`."""

    @property
    def powers(self) -> FlagPowers:
        """What its tool can do."""

    async def read(self) -> FlagState:
        """As it is kept now. Raises FlagFault."""

    async def set(self, percent: int, /, *, expect: FlagState, reason: str, once: str) -> FlagState:
        """Let that part of the readers in; the state that was written.

        once: the same for every try at one step, for tools that know such keys. What an earlier
        try has written is found, not written again. Raises FlagFault, and FlagMoved where it is
        neither as `expect` nor as that try left it.
        """

    async def restore(self, state: FlagState, /, *, reason: str, once: str) -> FlagState:
        """Put it back as it was read once, whatever it is now. Raises FlagFault."""

    async def readers(self, most: int, /) -> list[str]:
        """Whom to ask about: made-up readers, or real ones where only those can be let in."""

    async def observe(self, subjects: Sequence[str], /) -> list[bool]:
        """Whether each of these readers sees the new data, asked as applications ask.

        Raises FlagFault where nobody can ask it so; `powers.observable` says it before.
        """

    async def aclose(self) -> None:
        """Give connections back."""


class Hand(Protocol):
    """A worker in a process of its own."""

    @property
    def pid(self) -> int:
        """Its process."""

    def ended(self) -> int | None:
        """Its exit code, None while it works; negative is the signal that ended it."""

    def said(self) -> str:
        """The last lines that it wrote."""

    def ask_to_stop(self) -> None:
        """Let it finish the chunk in hand and leave."""


class Crew(Protocol):
    """Starts workers that outlive us: whoever drives a rollout next finds them at work."""

    def start(self, words: Sequence[str], /, *, log: str) -> Hand:
        """Start `proctor` with these words; what it says is appended to a log of that name."""


class Notifier(Protocol):
    """Tells people, at one place."""

    def fault(self) -> ConfigError | None:
        """Why nothing can ever be sent there, found out without sending; None if nothing is."""

    async def tell(self, title: str, text: str, /, *, severity: Severity) -> str:
        """Send it, in limited time. Empty, or why it was not sent; raises nothing."""


__all__ = ["Crew", "Flag", "Hand", "Meter", "Notifier", "RolloutLog"]
