"""Providers, and the purse that every worker and process shares: limits, money and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeAlias

from proctor.model import (
    Answer,
    Ask,
    BatchCall,
    BatchState,
    Bill,
    Elsewhere,
    Ending,
    Entry,
    Granted,
    Hints,
    Link,
    Neared,
    Place,
    Price,
    Progress,
    Reply,
    Results,
    Spending,
    Spent,
    Stock,
    Wait,
    Want,
)

TooLong: TypeAlias = Literal["fail", "cut", "average"]
"""What becomes of a text that is longer than its embedding model takes."""


class Provider(Protocol):
    """One vendor's model or service behind one name of proctor.toml; its own retries are off."""

    async def call(self, ask: Ask) -> Reply:
        """Ask once. A reply that was cut off, refused or filtered is a reply, and is paid.

        Raises Limited (429, with what its headers say), Overloaded (5xx, time-outs, a connection
        that broke), OutOfQuota (a hard quota: no retry helps) and ProviderRefused (wrong key,
        unknown model, a request that can never be answered).
        """

    @property
    def most_together(self) -> int:
        """Texts that `call_many` takes at once."""

    async def call_many(self, asks: Sequence[Ask]) -> list[Reply]:
        """Embed texts in one request; a reply for each, in order. Raises as `call` does."""

    def price(self, model: str) -> Price | None:
        """What the model costs; None where that is not known."""

    async def aclose(self) -> None:
        """Give connections back."""


class BatchProvider(Protocol):
    """The batch calls of one vendor: told once, looked at until they end, fetched as a whole.

    All raise as `Provider.call` does.
    """

    most_requests: int
    most_bytes: int

    async def entry(self, ask: Ask) -> Entry:
        """A question exactly as a direct call would send it; nothing is sent."""

    async def prepare(self, entries: Sequence[Entry]) -> str:
        """Hand over what costs nothing yet, such as a file: the vendor's name for that, or ""."""

    async def begin(self, batch: BatchCall, entries: Sequence[Entry]) -> str:
        """Let the vendor work on it; the vendor's name for it."""

    async def find(self, batch: BatchCall) -> str | None:
        """The vendor's name for one that was begun without our hearing of it; None without one."""

    async def look(self, batch: BatchCall) -> Progress:
        """How far it is."""

    async def results(self, batch: BatchCall) -> Results:
        """What came of each question of one that has ended; one that is missing was not begun."""

    async def cancel(self, batch: BatchCall) -> None:
        """Let no further question of it be begun."""

    async def aclose(self) -> None:
        """Give connections back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a call that was let through ended.

    `answers` are kept in the same transaction; none where nothing usable came. `tokens` and `cost`
    are what it took, as far as anybody knows; `cost` is the whole hold where the provider may
    have counted the call and nobody can say. `limited` says that the provider asked for less:
    its rates are cut until successes raise them again.
    """

    hold: int
    tokens: int
    cost: Decimal
    answers: tuple[Answer, ...] = ()
    limited: bool = False
    hints: Hints | None = None
    replies: tuple[Reply, ...] = ()
    """What came back, also what is not worth keeping: its tokens are paid."""
    ended: Ending = Ending.ANSWERED
    """What it counts as on the bill of its run."""


class Asking(Protocol):
    """What an author's function asks through: every question is kept, limited and paid once."""

    @property
    def only_kept(self) -> bool:
        """Whether nothing may be asked: kept replies are read anew, and no other is wanted."""

    def place(self, provider: str | None, contract: str, row: object = None) -> Place | None:
        """The place of the function's next question under that contract.

        row: the one of the given rows that it is for; without it, all of them. None where that
        cannot be told.
        """

    async def earlier(
        self, provider: str | None, body: Mapping[str, Any], place: Place | None
    ) -> Sequence[Reply]:
        """Replies that the same rows got at that place in an earlier run, the newest first.

        None, unless they are to be read anew and this very question has no answer of its own.
        Unanswered says why there is none where nothing may be asked.
        """

    async def chat(
        self, provider: str | None, body: Mapping[str, Any], place: Place | None = None
    ) -> Reply:
        """Ask a language model; `body` as in `Ask.sent` of a chat, perhaps without a cap.

        Raises ProviderRefused and OutOfQuota, which end or hold the run.
        """

    async def another(
        self,
        provider: str | None,
        body: Mapping[str, Any],
        attempt: int,
        place: Place | None = None,
    ) -> Reply | None:
        """The reply to the same question, asked for the `attempt`-th time after the first.

        For whoever cannot use the one before. None where nobody asked so often, and this run
        may not: it was not told to try those rows again, or has itself asked the one before.
        """

    async def chat_rows(
        self,
        provider: str | None,
        alone: Mapping[str, Any],
        sent: Sequence[Any],
        bodies: Sequence[Mapping[str, Any]],
        *,
        fits: Callable[[Reply], bool],
        places: Sequence[Place | None],
    ) -> Sequence[Reply | None]:
        """The replies to several rows, which go in one call as far as they are not kept.

        alone: what their questions share; sent: each row's own part; bodies: their questions,
        as each would be asked alone; places: theirs. A part that does not fit is not kept. None
        where a row has no part: it is to be asked alone.
        """

    async def others(self, provider: str | None) -> Sequence[str]:
        """The providers to ask where this one cannot answer, in order."""

    def note(self, what: str, provider: str | None) -> None:
        """Count something that came of a question, for the run's report."""

    async def embed(
        self, provider: str | None, texts: Sequence[str], too_long: TooLong = "fail"
    ) -> list[list[float]]:
        """One vector for each text, in their order."""

    async def http(self, provider: str | None, values: Mapping[str, Any]) -> Any:
        """What a service answers: the part that its section wants; None where there is nothing.

        Raises DefinitionError where the values are not those that it wants.
        """

    def waits(self) -> str:
        """Why all questions wait at this moment, with numbers; empty while some go on."""


Word: TypeAlias = Granted | Wait | Spent | Elsewhere


class Purse(Protocol):
    """Limits, money and answers in the ledger: all who share it share them, also after a crash."""

    async def answers(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        """Those of the answers that are kept."""

    async def reserve(self, wants: Sequence[Want]) -> list[Word]:
        """Ask for calls to be let through, in order; one word for each.

        What is granted is held, durably, before this returns, and counts as spent until it is
        settled: also when whoever asked is dead by then. When it raises, none was let through.
        Nothing is granted for a question that is in flight for somebody who may live, or that
        is answered: its word is Elsewhere.
        """

    async def settle(
        self, settlements: Sequence[Settlement], more: Sequence[Bill] = ()
    ) -> Sequence[Neared]:
        """Keep answers, give back what was held too much, and bill it, in one transaction.

        The first answer to a key stands, and a hold is settled once: again changes nothing.
        `more` is what else stands on bills from now on, such as answers for nothing. Returns the
        budgets of which four fifths are spent from now on.
        """

    async def batches(
        self, provider: str | None = None, *, runs: Sequence[str] | None = None
    ) -> Sequence[BatchCall]:
        """Batch calls that are not settled, oldest first: of a provider, or of runs, if named."""

    async def move_batch(
        self,
        number: int,
        then: BatchState,
        now: BatchState,
        *,
        called: str = "",
        ticket: str = "",
    ) -> bool:
        """Take down how far a batch call is; False where it was not as far as `then`."""

    async def bills(self, runs: Sequence[str]) -> Sequence[Bill]:
        """What those runs have asked, by run and provider, with what they hold."""

    async def link(self, links: Sequence[Link]) -> None:
        """Keep what ties answers to rows; an answer that is tied again is so as of now."""

    async def linked(self, askers: Sequence[str]) -> Sequence[Link]:
        """What ties answers to these askers, the newest first."""

    async def kept(
        self, *, after: str = "", run: str = "", backfill: str = "", most: int = 500
    ) -> Sequence[Answer]:
        """Answers in order of their keys, those after a key; of a run or a backfill if named."""

    async def stock(self) -> Sequence[Stock]:
        """How many answers are kept, and how much they take, by run, the newest last."""

    async def forget(self, run: str, before: datetime | None = None) -> int:
        """Forget the answers of a run, those from before a moment if it is given; how many.

        What tied them to rows goes along.
        """

    async def spending(self) -> Sequence[Spending]:
        """What each provider was asked so far and what is held."""

    async def aclose(self) -> None:
        """Give connections back."""


__all__ = ["Asking", "BatchProvider", "Provider", "Purse", "Settlement", "TooLong", "Word"]
