"""The chain of hashes over the events: whoever changes one must change all that follow.

Each event's hash is SHA-256 over the hash before it and the event's own canonical JSON, and the
head of the chain is kept beside the events. So a changed, added, removed or reordered event is
found, and so are events cut off at the end. It does not stop somebody who may write to the
ledger and rebuilds the whole chain: against that, note the head elsewhere from time to time.
"""

from __future__ import annotations

import hashlib
import json

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Final

from proctor.adapters.ledger.record import Record
from proctor.model import Chain

START: Final = "0" * 64
"""What the first event's hash follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An event in its place: its number from 1 up without gaps, and its hash."""

    number: int
    record: Record
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of the chain."""

    number: int = 0
    hash: str = START


def append(head: Head, records: Iterable[Record]) -> tuple[list[Link], Head]:
    """Links for new records after the head, and the new head."""
    links = []
    for record in records:
        number = head.number + 1
        head = Head(number=number, hash=_hash(head.hash, number, record))
        links.append(Link(number=number, record=record, hash=head.hash))
    return links, head


def verify(links: Iterable[Link], kept: Head | None) -> Chain:
    """Walk all links in order of number and compare the end with the head that was kept."""
    at = Head()
    for link in links:
        if link.number != at.number + 1:
            return _broken(at, f"event {at.number + 1} is missing, the next is {link.number}")
        if link.hash != _hash(at.hash, link.number, link.record):
            return _broken(at, f"event {link.number} was changed, or one before it")
        at = Head(number=link.number, hash=link.hash)
    if kept is None:
        return _broken(at, "the head of the chain is missing")
    if kept != at:
        return _broken(at, f"the head says {kept.number} events, {at.number} are there")
    return Chain(events=at.number, head=at.hash)


def _broken(at: Head, why: str) -> Chain:
    return Chain(events=at.number, head=at.hash, broken_at=at.number + 1, why=why)


def _hash(before: str, number: int, record: Record) -> str:
    own = json.dumps([before, number, *astuple(record)], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(own.encode("ascii")).hexdigest()


__all__ = ["START", "Chain", "Head", "Link", "append", "verify"]
