"""Batch calls by the vendors' own SDKs; questions and replies are those of direct calls."""

from __future__ import annotations

import abc
import contextlib
import functools
import json

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, Final

from proctor.adapters.providers.batchfaults import meant
from proctor.adapters.providers.cut import CutTransport, begin_cut
from proctor.adapters.providers.http import begin_trace, open_client
from proctor.adapters.providers.provider import VendorProvider
from proctor.adapters.providers.vendors import Models
from proctor.errors import ConfigError, ProctorError
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


class OpenAIBatches(VendorBatches):
    """`/v1/files` and `/v1/batches`."""

    @functools.cached_property
    def _api(self) -> Any:
        return self._models.openai_client(self._longest_s)

    async def prepare(self, entries: Sequence[Entry]) -> str:
        """A file of the questions, one on each line."""
        file = ("proctor.jsonl", b"\n".join(map(_line, entries)))
        async with self._judging():
            made = await self._api.files.create(file=file, purpose="batch")
        return str(made.id)

    async def begin(self, batch: BatchCall, entries: Sequence[Entry]) -> str:
        """A batch of that file, under our own name in its metadata."""
        del entries
        async with self._judging():
            made = await self._api.batches.create(
                input_file_id=batch.ticket,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"proctor": batch.name},
            )
        return str(made.id)

    async def find(self, batch: BatchCall) -> str | None:
        """By that name, or by the file; the newest are listed first."""
        oldest = (batch.at - EARLIER).timestamp()
        async with self._judging():
            async for one in self._api.batches.list(limit=100):
                named = (one.metadata or {}).get("proctor") == batch.name
                if named or one.input_file_id == batch.ticket:
                    return str(one.id)
                if one.created_at < oldest:
                    break
        return None

    async def look(self, batch: BatchCall) -> Progress:
        """By its status."""
        async with self._judging():
            one = await self._api.batches.retrieve(batch.id)
        if one.status == "failed":
            wrong = one.errors.data if one.errors and one.errors.data else []
            said = "; ".join(f"{w.code}: {w.message}" for w in wrong[:3]) or "no reason is told"
            full = any(w.code == "token_limit_exceeded" for w in wrong)
            return Progress(ended=True, failed=said, again=full)
        return Progress(ended=one.status in {"completed", "expired", "cancelled"})

    async def results(self, batch: BatchCall) -> Results:
        """Of both of its files; what stands in none of them was not worked on."""
        async with self._judging():
            one = await self._api.batches.retrieve(batch.id)
            files = [
                (await self._api.files.content(file)).content
                for file in (one.output_file_id, one.error_file_id)
                if file
            ]
        found: Results = {}
        for file in files:
            for line in file.splitlines():
                if line.strip():
                    told = json.loads(line)
                    found[told["custom_id"]] = await self._result(batch, told)
        return found

    async def cancel(self, batch: BatchCall) -> None:
        """What is worked on already may still be answered."""
        async with self._judging():
            await self._api.batches.cancel(batch.id)

    async def _result(self, batch: BatchCall, told: Any) -> Reply | Exception | None:
        answered = told.get("response")
        if answered:
            return await self._read(batch, answered["status_code"], answered["body"])
        error = told.get("error") or {}
        if error.get("code") in {"batch_expired", "batch_cancelled"}:
            return None
        return await self._read(batch, 500, {"error": error})


def _line(entry: Entry) -> bytes:
    """As OpenAI wants it; the body is put in as it is, byte by byte."""
    head = {"custom_id": entry.key, "method": "POST", "url": "/v1/chat/completions"}
    return f'{json.dumps(head)[:-1]}, "body": {entry.body}}}'.encode()


def batches_of(settings: ProviderSettings, key: str) -> VendorBatches:
    """The batch calls of a provider; ConfigError where its vendor has none."""
    made = _VENDORS.get(settings.vendor)
    if made is None:
        raise ConfigError(
            f"the provider {settings.name} cannot be asked in batch calls",
            found=f"model = '{settings.full_model}'",
            fix=f"take batch out of [providers.{settings.name}]; batch calls are known of: "
            f"{', '.join(_VENDORS)}",
        )
    return made(settings, key)


_VENDORS: Final[dict[str, type[VendorBatches]]] = {"openai": OpenAIBatches}

__all__ = ["VendorBatches", "batches_of"]
