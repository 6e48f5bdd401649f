"""What is asked of providers and what it costs: questions, replies, prices, limits, holds."""

from __future__ import annotations

import hashlib
import json

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proctor.model.batch import BatchNote


class Kind(StrEnum):
    """What a provider is asked for."""

    CHAT = "chat"
    EMBED = "embed"
    HTTP = "http"


class Finish(StrEnum):
    """How a reply ended; only STOP is a whole answer."""

    STOP = "stop"
    LENGTH = "length"
    """Cut off at the output cap."""
    REFUSED = "refused"
    """The model said no."""
    FILTERED = "filtered"
    """The vendor's content filter took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question to one provider, whole: what is sent decides which answer is its own.

    `model` is the full name (`openai:gpt-5-mini`), `sent` JSON text of everything that shapes
    the reply: messages, parameters, the schema of the output; for an embedding one text.
    `most_input` and `most_output` are upper bounds in tokens; `most_output` is None where the
    kind has no output that is paid by the token.
    """

    kind: Kind
    provider: str
    model: str
    sent: str = field(repr=False)
    most_input: int
    most_output: int | None = None
    attempt: int = 0
    """How often it was answered before with nothing that can be used: each answer stays kept."""

    @property
    def key(self) -> str:
        """What identical questions share, whoever asks: 64 hexadecimal digits."""
        told = [self.kind, self.model, self.sent, *([self.attempt] if self.attempt else ())]
        own = json.dumps(told, ensure_ascii=True)
        return hashlib.sha256(own.encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a provider says that it counted."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Input tokens among the others that were cheaper, for the provider had them already."""

    @property
    def tokens(self) -> int:
        """What counts against a limit of tokens a minute."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the headers of a reply, good or bad, say of the provider's limits."""

    retry_after: timedelta | None = None
    requests_left: int | None = None
    tokens_left: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back of one call, raw: parsing it anew never pays again.

    `raw` is JSON text: `{"text": …}` of a chat, the vector of an embedding, the body of a service.
    """

    raw: str = field(repr=False)
    finish: Finish
    usage: Usage
    model: str = ""
    """The model that the provider says answered."""
    hints: Hints = field(default_factory=Hints)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply that is kept: durable before anybody uses it."""

    key: str
    kind: Kind
    provider: str
    model: str
    reply: Reply
    cost: Decimal
    run: str
    at: datetime
    backfill: str = ""
    """Whose function asked first; empty where that was not noted."""
    sensitive: bool = False
    """It was asked for rows with sensitive fields, which it may repeat: no face shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for a million tokens, and for a request, with where the numbers are from."""

    input_per_million: Decimal
    output_per_million: Decimal
    cached_per_million: Decimal | None = None
    per_request: Decimal = Decimal(0)
    source: str

    def of(self, usage: Usage) -> Decimal:
        """What a call has cost."""
        cached = self.cached_per_million
        dear, cheap = usage.input_tokens, Decimal(0)
        if cached is not None:
            cheap = usage.cached_tokens * cached
            # More of them than input: who counts so does not count them among it. And a price
            # below nothing would give a budget back what is spent.
            dear -= usage.cached_tokens if usage.cached_tokens <= usage.input_tokens else 0
        sums = dear * self.input_per_million + cheap + usage.output_tokens * self.output_per_million
        return self.per_request + sums / 1_000_000

    def most(self, ask: Ask) -> Decimal:
        """What a call can cost at most."""
        return self.of(Usage(input_tokens=ask.most_input, output_tokens=ask.most_output or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a provider may be asked, whoever asks: None where there is no bound."""

    rpm: int | None = None
    """Requests in any 60 seconds."""
    tpm: int | None = None
    """Tokens in any 60 seconds, input and output together."""
    daily: int | None = None
    """Requests from one reset to the next."""
    resets_at: str = "00:00 UTC"
    budget_usd: Decimal | None = None
    concurrency: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The most that a call can take of its provider's limits, reserved before it is made."""

    tokens: int = 0
    usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One call that asks to be let through."""

    provider: str
    key: str
    hold: Hold
    more: tuple[str, ...] = ()
    """Keys of the other questions that go in the same call."""
    run: str = ""
    """Whose bill it stands on."""
    batch: BatchNote | None = None
    """What is noted of a batch call: of all limits only money counts for it."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all its questions."""
        return (self.key, *self.more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neared:
    """Four fifths of a limit are used: said once, by whose call it was."""

    provider: str
    limit: str
    """`daily` or `budget_usd`, as in proctor.toml."""
    used: str
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The call may be made; `hold` is the number to settle it under."""

    number: int
    neared: Neared | None = None
    """Of the day's requests four fifths are made, with this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Not yet: ask again after this, for that reason."""

    seconds: float
    reason: str
    for_others: bool = False
    """What is missing is held for calls in flight: a place among them, or money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Some of the questions are asked by somebody else at this moment, or were until now.

    After so many seconds their answers may be there; nothing is held for the call.
    """

    keys: frozenset[str]
    seconds: float
    reason: str
    batched: bool = False
    """They are in a batch call: nobody may wait for it, so who wants them looks himself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Not before `until`; None where only a person can change it: the budget is used up."""

    reason: str
    until: datetime | None = None
    of_call: bool = False
    """This one call is larger than its limits let through at all: others may be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """The answers that are kept of one run."""

    run: str
    backfill: str
    answers: int
    size: int
    """Bytes of their replies, about."""
    oldest: datetime
    newest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a provider has been asked so far, for faces: of one run, or of all."""

    provider: str
    calls: int = 0
    tokens: int = 0
    usd: Decimal = Decimal(0)
    held_usd: Decimal = Decimal(0)
    today: int = 0
    minute: int = 0
    """Calls that were let through within the last 60 seconds."""
    minute_tokens: int = 0
    flying: int = 0
    """Calls in flight, as far as anybody knows."""
    waits: str = ""
    """Why a call would have to wait at this moment, with numbers; empty when it would not."""
    until: datetime | None = None
    """When the daily quota begins anew, where that is used up."""


def canonical(body: object) -> str:
    """JSON text that is the same for the same content."""
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
