"""One provider behind the seam: a question goes out once; a reply or one of four errors returns."""

from __future__ import annotations

import asyncio

from collections.abc import Sequence

import httpx2

from pydantic_ai.direct import model_request

from proctor.adapters.providers import asking
from proctor.adapters.providers.faults import judged
from proctor.adapters.providers.http import MOST_BYTES, begin_trace, hints_of, open_client
from proctor.adapters.providers.prices import price_of
from proctor.adapters.providers.vendors import MOST_TEXTS, Models
from proctor.errors import Overloaded
from proctor.model import Ask, Kind, Price, ProviderSettings, Reply


class VendorProvider:
    """A `Provider` (see ports): chat and embeddings of one model, through pydantic-ai."""

    def __init__(
        self,
        settings: ProviderSettings,
        key: str,
        *,
        most_bytes: int = MOST_BYTES,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Nothing is sent before the first call."""
        self._settings, self._key = settings, key
        self._client = open_client(
            settings.name, settings.timeout_s, most_bytes, transport=transport
        )
        self._models = Models(settings, key, self._client)

    @property
    def most_together(self) -> int:
        """How many texts `call_many` takes at once."""
        return MOST_TEXTS.get(self._settings.vendor, 1)

    async def call(self, ask: Ask) -> Reply:
        """Ask once: see `Provider.call`."""
        self._check(ask)
        if ask.kind is Kind.EMBED:
            (reply,) = await self.call_many([ask])
            return reply
        sent, model = asking.read(ask), self._models.chat
        messages, contract = asking.messages_of(sent), asking.parameters_of(sent, model)
        told = asking.settings_of(sent, self._settings.max_tokens)
        # A cap that got lost would make the reservation too small.
        trace = begin_trace(("cap", "temperature") if "temperature" in told else ("cap",))
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                response = await model_request(
                    model, messages, model_settings=told, model_request_parameters=contract
                )
        except Exception as fault:  # noqa: BLE001 - libraries raise whatever a strange body leads to
            # From None: the library's own error holds the request, and with it headers and prompt.
            raise judged(self._settings, fault, trace, self._key) from None
        if response.finish_reason in {"error", None} and not response.text:
            raise Overloaded(
                f"the provider {self._settings.name} sent a reply without an answer",
                found=str((response.provider_details or {}).get("finish_reason", "nothing in it")),
            )
        return asking.reply_of(ask, response, hints_of(trace.headers))

    async def call_many(self, asks: Sequence[Ask]) -> list[Reply]:
        """Embed several texts in one request: a reply for each, in order. Raises as `call` does.

        At most `most_together` of them, of one model and with the same dimensions.
        """
        for ask in asks:
            self._check(ask)
        sent = [asking.read(ask) for ask in asks]
        (size,) = {one.get("dimensions") for one in sent}
        told = {} if size is None else {"dimensions": size}
        if self._settings.model == "gemini-embedding-2":
            told["google_task"] = "raw"  # what is sent is what was asked, without a prefix
        model, trace = self._models.embedding, begin_trace()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                result = await model.embed(
                    [one["text"] for one in sent],
                    input_type="document",
                    settings=told,  # type: ignore[arg-type] # of Google's settings too
                )
        except Exception as fault:  # noqa: BLE001 - as above
            raise judged(self._settings, fault, trace, self._key) from None
        if len(result.embeddings) != len(asks):
            raise Overloaded(
                f"the provider {self._settings.name} did not answer every text",
                found=f"{len(result.embeddings)} vectors for {len(asks)} texts",
            )
        return asking.replies_of(asks, result, hints_of(trace.headers))

    def price(self, model: str) -> Price | None:
        """What the model costs, by its full or its bare name; None where that is not known."""
        return price_of(self._settings, model.removeprefix(f"{self._settings.vendor}:"))

    async def aclose(self) -> None:
        """Give connections back."""
        await self._client.aclose()

    def _check(self, ask: Ask) -> None:
        # An answer kept under another model's name would be given for that model's question.
        if ask.model != self._settings.full_model:
            raise ValueError(
                f"{self._settings.name} is {self._settings.full_model}, not {ask.model}"
            )


__all__ = ["VendorProvider"]
