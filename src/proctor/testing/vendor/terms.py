"""What the vendor is told and what it tells: served models, scripted faults, tallies."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal


class Flaw(StrEnum):
    """What may go wrong with a call. `paid` says whether the call is counted and charged."""

    SERVER_ERROR = "server_error"
    """500, not charged."""
    UNAVAILABLE = "unavailable"
    """503, not charged."""
    OVERLOADED = "overloaded"
    """529, not charged."""
    OUT_OF_QUOTA = "out_of_quota"
    """The account has no money left, in the vendor's own words; not charged."""
    LIMITED = "limited"
    """429 although the limits leave room, as vendors do; not charged."""
    REDIRECT = "redirect"
    """307 to `to`."""
    RESET_EARLY = "reset_early"
    """The connection is reset before anything was done; not charged."""
    RESET_LATE = "reset_late"
    """The answer was made and charged, and the connection is reset instead of sending it."""
    SILENT = "silent"
    """Charged, and answered only after `seconds`."""
    MALFORMED = "malformed"
    """Charged; the reply's body is no JSON."""
    STRANGE = "strange"
    """Charged; the reply is JSON, and nothing of the vendor's shape is in it."""
    PORTAL = "portal"
    """Charged; a page of HTML comes back with 200, as of a proxy that wants a login."""
    HUGE = "huge"
    """Charged; the reply's body goes on for `megabytes`."""
    HUGE_PACKED = "huge_packed"
    """The same, compressed, so that few bytes travel."""
    CUT_OFF = "cut_off"
    """Charged; half of the answer, and finished by length."""
    REFUSAL = "refusal"
    """Charged; the model says no in the vendor's own way."""
    FILTERED = "filtered"
    """Charged; the content filter took the answer."""
    THINKING = "thinking"
    """Charged; reasoning in tags stands before the answer."""
    UNCLOSED = "unclosed"
    """Charged; a reasoning tag that is never closed stands before the answer."""
    WRONG_SHAPE = "wrong_shape"
    """Charged; valid JSON that is not what the schema asked for; a vector of another dimension."""
    ZERO = "zero"
    """Charged; an empty text, or a vector of zeros."""
    SAYS = "says"
    """Charged; the model says `says` in place of the answer, and that it is all."""
    NOT_A_NUMBER = "not_a_number"
    """Charged; a vector with NaN and Infinity in it."""
    NO_USAGE = "no_usage"
    """Charged; the reply does not say what it took."""

    EXPIRED = "expired"
    """Of a question in a batch call: not worked on in time, so not charged."""

    @property
    def paid(self) -> bool:
        """Whether the vendor has done the work before it goes wrong."""
        return self not in _UNPAID


_UNPAID = frozenset(
    {
        *(Flaw.SERVER_ERROR, Flaw.UNAVAILABLE, Flaw.OVERLOADED, Flaw.OUT_OF_QUOTA),
        *(Flaw.LIMITED, Flaw.REDIRECT, Flaw.RESET_EARLY, Flaw.EXPIRED),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One flaw, for the next `times` calls whose text holds `match`; -1 for all of them."""

    flaw: Flaw
    match: str = ""
    times: int = 1
    model: str = ""
    """Only calls of this model; all of them where it is empty."""
    seconds: float = 60.0
    megabytes: int = 100
    to: str = ""
    says: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the trip to a server in another process."""
        return asdict(self)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Fault:
        """The other end of `as_json`."""
        return cls(**{**told, "flaw": Flaw(told["flaw"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One model, with limits that hold for all keys together; None where there is no limit.

    `rpm` and `tpm` are kept over any `window_s` seconds, so that a test need not last a minute.
    Prices are US dollars for a million tokens. `daily` counts from one 00:00 UTC to the next.
    """

    name: str
    kind: Literal["chat", "embed", "service"] = "chat"
    rpm: int | None = None
    tpm: int | None = None
    daily: int | None = None
    window_s: float = 60.0
    latency_s: float = 0.0
    input_usd: Decimal = Decimal(0)
    output_usd: Decimal = Decimal(0)
    request_usd: Decimal = Decimal(0)
    dimensions: int = 256
    most_output: int = 4096
    """The output cap where a request names none."""
    most_texts: int = 2048
    """Texts in one embedding request."""
    most_input: int = 8192
    """Tokens in one text to embed, or in one prompt."""
    batch_s: float = 0.0
    """How long a batch call takes, by the vendor's own clock."""

    def as_json(self) -> dict[str, Any]:
        """For the trip to a server in another process."""
        return {
            **asdict(self),
            "input_usd": str(self.input_usd),
            "output_usd": str(self.output_usd),
            "request_usd": str(self.request_usd),
        }

    @classmethod
    def of(cls, told: dict[str, Any]) -> Served:
        """The other end of `as_json`."""
        money = {key: Decimal(told[key]) for key in ("input_usd", "output_usd", "request_usd")}
        return cls(**{**told, **money})


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the vendor counted of one model since it was started."""

    calls: int = 0
    """Requests that were let in and charged."""
    limited: int = 0
    """Requests answered 429 because of a limit."""
    refused: int = 0
    """Requests answered with another 4xx."""
    failed: int = 0
    """Requests that a scripted fault spoiled before they were charged."""
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = Decimal(0)
    most_in_window: int = 0
    """The most requests that were let in within any window."""
    most_tokens_in_window: int = 0
    most_at_once: int = 0
    at_once: int = 0
    batches: int = 0
    """Batch calls that were taken."""
    batched: int = 0
    """Questions that were answered in them: calls, too, at half the price."""
    batched_usd: Decimal = Decimal(0)
    by_day: dict[str, int] = field(default_factory=dict)
    """Day to requests let in."""
    asked: dict[str, int] = field(default_factory=dict)
    """SHA-256 of each text to how often it was answered and charged."""
    parts: dict[str, int] = field(default_factory=dict)
    """The same of each row of a text that lists rows under an index, and of other texts whole."""
    done: dict[str, int] = field(default_factory=dict)
    """What a service has done, by path and body: once for each idempotency key."""

    @property
    def paid_again(self) -> int:
        """Answers that were charged more than once for the same text."""
        return sum(count - 1 for count in self.asked.values())

    @property
    def parts_paid_again(self) -> int:
        """The same by rows, whatever other rows each was asked together with."""
        return sum(count - 1 for count in self.parts.values())

    def as_json(self) -> dict[str, Any]:
        """For the trip to a test in another process."""
        return {**asdict(self), "usd": str(self.usd), "batched_usd": str(self.batched_usd)}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Tally:
        """The other end of `as_json`."""
        money = {name: Decimal(told[name]) for name in ("usd", "batched_usd")}
        return cls(**{**told, **money})


__all__ = ["Fault", "Flaw", "Served", "Tally"]
