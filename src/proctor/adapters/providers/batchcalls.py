"""What batch calls of all vendors share: a question as a direct call sends it, errors of ours."""

from __future__ import annotations

import abc
import contextlib
import json

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, Final

from proctor.adapters.providers.batchfaults import meant
from proctor.adapters.providers.cut import CutTransport, begin_cut
from proctor.adapters.providers.http import begin_trace, open_client
from proctor.adapters.providers.provider import VendorProvider
from proctor.adapters.providers.vendors import Models
from proctor.errors import ProctorError
from proctor.model import (
    Ask,
    BatchCall,
    Entry,
    Kind,
    Progress,
    ProviderSettings,
    Reply,
    Results,
    canonical,
)

LONGEST_S: Final = 300.0
"""Seconds that a file may take on its way, at least: it is longer than a question."""
MOST_BYTES: Final = 2_000_000_000
"""The longest file of results that is read."""
EARLIER: Final = timedelta(days=1)
"""How much older than ours a batch must be for no older one to be looked at: clocks differ."""


class VendorBatches(abc.ABC):
    """A `BatchProvider` (see ports) but for the vendor's own words."""

    most_requests = 50_000
    most_bytes = 200_000_000

    def __init__(self, settings: ProviderSettings, key: str) -> None:
        """Nothing is sent before the first call."""
        self._settings, self._key = settings, key
        self._cut = VendorProvider(settings, key, transport=CutTransport())
        self._longest_s = max(settings.timeout_s, LONGEST_S)
        self._client = open_client(settings.name, self._longest_s, MOST_BYTES)
        self._models = Models(settings, key, self._client)

    async def entry(self, ask: Ask) -> Entry:
        """What a direct call would send."""
        cut = begin_cut()
        try:
            await self._cut.call(ask)
        except ProctorError:
            if cut.sent is None:
                raise
        assert cut.sent is not None  # noqa: S101 - the call ends at the cut, or before it
        return Entry(key=ask.key, body=cut.sent.decode(), extra=self._extra(cut.headers))

    @abc.abstractmethod
    async def prepare(self, entries: Sequence[Entry]) -> str:
        """Hand over what costs nothing yet."""

    @abc.abstractmethod
    async def begin(self, batch: BatchCall, entries: Sequence[Entry]) -> str:
        """Let the vendor work on it."""

    @abc.abstractmethod
    async def find(self, batch: BatchCall) -> str | None:
        """The vendor's name for one that was begun without our hearing of it."""

    @abc.abstractmethod
    async def look(self, batch: BatchCall) -> Progress:
        """How far it is."""

    @abc.abstractmethod
    async def results(self, batch: BatchCall) -> Results:
        """What came of each question."""

    @abc.abstractmethod
    async def cancel(self, batch: BatchCall) -> None:
        """Let no further question of it be begun."""

    async def aclose(self) -> None:
        """Give connections back."""
        await self._client.aclose()
        await self._cut.aclose()

    def _extra(self, headers: dict[str, str]) -> str:
        """What of a direct call's headers must be said of a batch call, too."""
        del headers
        return ""

    async def _read(self, batch: BatchCall, status: int, body: Any) -> Reply | Exception:
        """What one question came to, read as the reply to a direct call."""
        begin_cut(status, json.dumps(body).encode())
        stub = {"messages": [{"role": "user", "content": "."}], "max_tokens": 1}
        ask = Ask(
            kind=Kind.CHAT,
            provider=batch.provider,
            model=self._settings.full_model,
            sent=canonical(stub),
            # Where the reply does not say what it took, it took the most.
            most_input=batch.note.most_input,
            most_output=batch.note.most_output,
        )
        try:
            return await self._cut.call(ask)
        except ProctorError as error:
            return error

    @contextlib.asynccontextmanager
    async def _judging(self) -> AsyncIterator[None]:
        """Raise ours instead of the library's errors."""
        trace = begin_trace()
        try:
            yield
        except Exception as fault:  # noqa: BLE001 - libraries raise whatever a strange body leads to
            # From None: the library's own error holds the request, and with it the key.
            raise meant(self._settings, fault, trace, self._key) from None


__all__ = ["EARLIER", "VendorBatches"]
