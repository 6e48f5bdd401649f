"""Tells people what happened, in the background: no run waits for it, and none can fail by it."""

from __future__ import annotations

import asyncio
import logging

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from proctor.core.notices import Notice, Rule, goes_to, message, severity_of, without_repeats
from proctor.engine.events import Events
from proctor.errors import ProctorError
from proctor.model import Event, PlaceSeen, Severity
from proctor.ports import Notifier

GATHER: Final = 2.0
"""Seconds that what happens together has to become one message."""
AGAIN: Final = 5.0
"""Seconds until a message that did not get through is sent once more."""
MOST_WAITING: Final = 1_000
"""Notices that wait at one place; of more only the number is kept."""
REMEMBERED: Final = 500
"""Messages in the ledger that are looked at for what was told already, by whichever process."""
CLOSE_WITHIN: Final = 15.0
"""Seconds that a command gives its last messages when it ends."""

log = logging.getLogger("proctor")


@dataclass(slots=True, kw_only=True)
class Place:
    """One place: what goes there, what waits, and when each thing was told last."""

    rule: Rule
    kind: str
    notifier: Notifier
    wrong: str = ""
    """Why nothing can be sent there at all."""
    fix: str = ""
    waiting: list[Notice] = field(default_factory=list)
    sending: list[Notice] = field(default_factory=list)
    left_out: int = 0
    told: dict[str, datetime] = field(default_factory=dict)
    something: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, notice: Notice) -> None:
        """Let it wait; of a flood only the number."""
        if len(self.waiting) >= MOST_WAITING:
            self.left_out += 1
        else:
            self.waiting.append(notice)
        self.something.set()

    def take(self) -> tuple[list[Notice], int]:
        """Everything that waits, and how many more there were."""
        found, more = self.waiting, self.left_out
        self.waiting, self.left_out = [], 0
        self.something.clear()
        return found, more

    def answers_to(self, name: str | None) -> bool:
        """Whether it is meant: of a place with several addresses each has a number behind it."""
        return name in (None, self.rule.place, self.rule.place.rpartition("/")[0])

    def looked_at(self) -> PlaceSeen:
        """With what the notifier knows without sending."""
        if not self.wrong and (fault := self.notifier.fault()) is not None:
            self.wrong, self.fix = f"{fault.what}: {fault.found}", fault.fix
        return self.seen

    @property
    def seen(self) -> PlaceSeen:
        """For people."""
        return PlaceSeen(
            name=self.rule.place,
            kind=self.kind,
            severity=self.rule.least,
            events=self.rule.events,
            wrong=self.wrong,
            fix=self.fix,
        )


@dataclass(slots=True, kw_only=True)
class Notices:
    """Hears events, decides who is told, and sends from tasks of its own."""

    events: Events
    places: Sequence[Place] = ()
    redact: Callable[[str], str] = str
    sent: int = 0
    failed: int = 0
    """Messages that did not get through."""
    backfills: dict[str, str] = field(default_factory=dict)
    """Whose a run is, as far as its own events said so."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Listen from now on; without places nothing is begun."""
        if self.places:
            self.events.hear.append(self.hear)
            self.tasks = [asyncio.create_task(self._serve(place)) for place in self.places]

    def hear(self, event: Event) -> None:
        """Take an event down for every place that wants it; at once, and without waiting."""
        severity = severity_of(event)
        if event.run and event.data.get("backfill"):
            self.backfills[event.run] = str(event.data["backfill"])
        if severity is None:
            return
        of = str(event.data.get("backfill") or self.backfills.get(event.run, ""))
        notice = Notice(event=event, severity=severity, backfill=of)
        for place in self.places:
            if goes_to(place.rule, notice):
                place.put(notice)

    async def aclose(self) -> None:
        """Send what waits, within a bound; what is left then is counted as not sent."""
        if not self.tasks:
            return
        self.closing.set()
        _, late = await asyncio.wait(self.tasks, timeout=CLOSE_WITHIN)
        for task in late:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = []
        for place in self.places:
            if left := [*place.sending, *place.take()[0]]:
                self._missed(place, left, "the command ended first")
        try:
            await self.events.flush()
        except Exception as error:  # noqa: BLE001 - the command is over, and what it did stands
            log.warning("notices are not on record", extra={"proctor": {"why": _why(error)}})

    def look(self, only: str | None = None) -> list[PlaceSeen]:
        """Every place, and whether anything could be sent there; nothing is sent."""
        return [place.looked_at() for place in self.places if place.answers_to(only)]

    async def try_out(self, only: str | None = None) -> list[tuple[PlaceSeen, str]]:
        """Send a test message to every place: empty, or why it did not get through.

        only: to the places of that name alone.
        """
        title = f"Proctor, {self.events.env}: a test"
        text = f"Notices get here. {self.events.who} asked for this one."
        return [
            (place.seen, place.wrong or await self._tell(place, title, text, place.rule.least))
            for place in self.places
            if place.answers_to(only)
        ]

    async def _serve(self, place: Place) -> None:
        """Send what comes, many as one, until nothing more can come."""
        await self._remember(place)
        while not (self.closing.is_set() and not place.waiting):
            await _first(place.something.wait(), self.closing.wait())
            if place.waiting:
                await self._pause(GATHER)
                await self._send(place)

    async def _send(self, place: Place) -> None:
        found, more = place.take()
        news = without_repeats(place.rule, found, place.told)
        if not news:
            return
        made, place.sending = message(news, left_out=more), news
        began = self.events.clock.monotonic()
        why = place.wrong or await self._tell(place, made.title, made.text, made.severity)
        if why and not place.wrong:
            await self._pause(AGAIN)
            why = await self._tell(place, made.title, made.text, made.severity)
        place.sending = []
        if why:
            self._missed(place, news, why)
            return
        self.sent += 1
        things = {notice.thing: notice.event.at for notice in news}
        place.told |= things
        self.events.emit(
            "notice.sent",
            place=place.rule.place,
            severity=made.severity.value,
            things=sorted(things),
            took_ms=round((self.events.clock.monotonic() - began) * 1000),
        )

    async def _tell(self, place: Place, title: str, text: str, severity: Severity) -> str:
        """One attempt; whatever a notifier does wrong is a reason."""
        try:
            title, text = self.redact(title), self.redact(text)
            return self.redact(await place.notifier.tell(title, text, severity=severity))
        except Exception as error:  # noqa: BLE001 - telling people may never harm what they are told of
            return self.redact(_why(error))

    def _missed(self, place: Place, notices: Sequence[Notice], why: str) -> None:
        self.failed += 1
        log.warning(
            "a notice was not sent",
            extra={"proctor": {"place": place.rule.place, "why": why, "failed": self.failed}},
        )
        self.events.emit("notice.missed", place=place.rule.place, why=why, notices=len(notices))

    async def _remember(self, place: Place) -> None:
        """What other processes told there lately: a schedule must not repeat itself each time."""
        try:
            found = await self.events.ledger.events(name="notice.sent", limit=REMEMBERED)
        except Exception as error:  # noqa: BLE001 - then something may be told twice
            log.warning("what was told is not known", extra={"proctor": {"why": _why(error)}})
            return
        for event in found:
            if event.data.get("place") == place.rule.place and event.env == self.events.env:
                place.told |= {str(thing): event.at for thing in event.data.get("things", ())}

    async def _pause(self, seconds: float) -> None:
        """Wait, but not at the end of a command."""
        await _first(self.closing.wait(), asyncio.sleep(seconds))


async def _first(*waits: object) -> None:
    """Until one of them is over."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, ProctorError) else type(error).__name__


__all__ = ["Notices", "Place"]
