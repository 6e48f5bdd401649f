"""Batch calls by the vendors' own SDKs; questions and replies are those of direct calls."""

from __future__ import annotations

import functools
import io
import json

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from proctor.adapters.providers.batchcalls import EARLIER, VendorBatches
from proctor.errors import ConfigError, Overloaded
from proctor.model import BatchCall, Entry, Progress, ProviderSettings, Reply, Results

SKEW: Final = timedelta(minutes=2)
"""By how much a vendor's clock may be behind ours."""
_ANTHROPICS: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Kinds of errors to the status that a direct call would have got."""
_GOOGLES_ENDS: Final = frozenset(
    {
        "JOB_STATE_SUCCEEDED",
        "JOB_STATE_PARTIALLY_SUCCEEDED",
        "JOB_STATE_CANCELLED",
        "JOB_STATE_EXPIRED",
    }
)
_UNWORKED: Final = frozenset({499, 504})
_RPC: Final[Mapping[int, tuple[int, str]]] = {
    1: (499, "CANCELLED"),
    3: (400, "INVALID_ARGUMENT"),
    4: (504, "DEADLINE_EXCEEDED"),
    5: (404, "NOT_FOUND"),
    7: (403, "PERMISSION_DENIED"),
    8: (429, "RESOURCE_EXHAUSTED"),
    9: (400, "FAILED_PRECONDITION"),
    13: (500, "INTERNAL"),
    14: (503, "UNAVAILABLE"),
    16: (401, "UNAUTHENTICATED"),
}
"""Google's codes to the status and name that a direct call would have got."""


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


class AnthropicBatches(VendorBatches):
    """`/v1/messages/batches`: no file goes before, and it can be given no name of ours."""

    most_bytes = 250_000_000

    @functools.cached_property
    def _api(self) -> Any:
        return self._models.anthropic_client(self._longest_s).beta.messages.batches

    def _extra(self, headers: dict[str, str]) -> str:
        """Beta features, which a direct call names in a header."""
        return headers.get("anthropic-beta", "")

    async def prepare(self, entries: Sequence[Entry]) -> str:
        """Nothing."""
        del entries
        return ""

    async def begin(self, batch: BatchCall, entries: Sequence[Entry]) -> str:
        """Each question under its key, which is as long as a name there may be."""
        del batch
        told: dict[str, Any] = {"requests": [_request(entry) for entry in entries]}
        if entries[0].extra:
            told["betas"] = entries[0].extra.split(",")
        async with self._judging():
            made = await self._api.create(**told)
        return str(made.id)

    async def find(self, batch: BatchCall) -> str | None:
        """One of its time and size, by a name of a question: which it tells when it has ended."""
        async with self._judging():
            async for one in self._api.list(limit=100):
                if one.created_at < batch.at - SKEW:
                    break
                counts = one.request_counts.model_dump()
                if sum(map(int, counts.values())) != batch.note.questions:
                    continue
                if one.processing_status != "ended":
                    raise Overloaded(
                        f"the provider {self._settings.name} has a batch call that may be ours",
                        found=f"{one.id}: as many questions, and from the same time",
                        fix="it tells whose it is when it has ended",
                    )
                async for item in await self._api.results(one.id):
                    if item.custom_id in batch.keys:
                        return str(one.id)
                    break
        return None

    async def look(self, batch: BatchCall) -> Progress:
        """By its status."""
        async with self._judging():
            one = await self._api.retrieve(batch.id)
        return Progress(ended=one.processing_status == "ended")

    async def results(self, batch: BatchCall) -> Results:
        """One line for each question, also for those that were not worked on."""
        async with self._judging():
            items = [item async for item in await self._api.results(batch.id)]
        found: Results = {}
        for item in items:
            told = item.result
            if told.type == "succeeded":
                body = told.message.model_dump(mode="json", exclude_unset=True)
                found[item.custom_id] = await self._read(batch, 200, body)
            elif told.type == "errored":
                body = told.error.model_dump(mode="json", exclude_unset=True)
                status = _ANTHROPICS.get((body.get("error") or {}).get("type", ""), 500)
                found[item.custom_id] = await self._read(batch, status, body)
            else:
                found[item.custom_id] = None
        return found

    async def cancel(self, batch: BatchCall) -> None:
        """What is worked on already may still be answered."""
        async with self._judging():
            await self._api.cancel(batch.id)


class GoogleBatches(VendorBatches):
    """`:batchGenerateContent` of a file, and `batches`."""

    @functools.cached_property
    def _api(self) -> Any:
        return self._models.google_client().aio

    async def prepare(self, entries: Sequence[Entry]) -> str:
        """A file of the questions, one on each line."""
        lines = (f'{{"key": {json.dumps(e.key)}, "request": {e.body}}}' for e in entries)
        file = io.BytesIO("\n".join(lines).encode())
        told = {"mime_type": "application/jsonl", "display_name": "proctor"}
        async with self._judging():
            made = await self._api.files.upload(file=file, config=told)
        return str(made.name)

    async def begin(self, batch: BatchCall, entries: Sequence[Entry]) -> str:
        """A batch of that file, under a name of ours; its SDK must not do it twice."""
        del entries
        once = {"retry_options": {"attempts": 1}}
        async with self._judging():
            made = await self._api.batches.create(
                model=self._settings.model,
                src=batch.ticket,
                config={"display_name": batch.name, "http_options": once},
            )
        return str(made.name)

    async def find(self, batch: BatchCall) -> str | None:
        """By that name; the newest are listed first."""
        async with self._judging():
            async for one in await self._api.batches.list(config={"page_size": 100}):
                if one.display_name == batch.name:
                    return str(one.name)
                if one.create_time is not None and one.create_time < batch.at - EARLIER:
                    break
        return None

    async def look(self, batch: BatchCall) -> Progress:
        """By its state."""
        one = await self._job(batch)
        state = getattr(one.state, "name", "")
        if state == "JOB_STATE_FAILED":
            said = str(getattr(one.error, "message", "") or "no reason is told")
            return Progress(ended=True, failed=said)
        return Progress(ended=state in _GOOGLES_ENDS)

    async def results(self, batch: BatchCall) -> Results:
        """Of its file; one that was cancelled or ran out of time may have none."""
        one = await self._job(batch)
        if one.dest is None or not one.dest.file_name:
            return {}
        async with self._judging():
            file = await self._api.files.download(file=one.dest.file_name)
        found: Results = {}
        for line in file.splitlines():
            if line.strip():
                told = json.loads(line)
                found[told["key"]] = await self._result(batch, told)
        return found

    async def cancel(self, batch: BatchCall) -> None:
        """What is worked on already may still be answered."""
        async with self._judging():
            await self._api.batches.cancel(name=batch.id)

    async def _job(self, batch: BatchCall) -> Any:
        async with self._judging():
            return await self._api.batches.get(name=batch.id)

    async def _result(self, batch: BatchCall, told: Any) -> Reply | Exception | None:
        if "response" in told:
            return await self._read(batch, 200, told["response"])
        error = told.get("error") or {}
        status, name = _RPC.get(int(error.get("code") or 0), (500, "INTERNAL"))
        if status in _UNWORKED:
            return None
        body = {"error": {**error, "code": status, "status": name}}
        return await self._read(batch, status, body)


def _request(entry: Entry) -> dict[str, Any]:
    """As Anthropic wants it; nobody streams a batch call."""
    body = json.loads(entry.body)
    body.pop("stream", None)
    return {"custom_id": entry.key, "params": body}


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


_VENDORS: Final[dict[str, type[VendorBatches]]] = {
    "openai": OpenAIBatches,
    "anthropic": AnthropicBatches,
    "google": GoogleBatches,
}

__all__ = ["VendorBatches", "batches_of"]
