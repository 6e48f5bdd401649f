"""The models of pydantic-ai for each vendor: their own retries off, on our HTTP client."""

from __future__ import annotations

import re

from collections.abc import Mapping
from typing import Any, Final

import httpx2

from pydantic_ai.embeddings import EmbeddingModel
from pydantic_ai.models import Model
from pydantic_ai.profiles import ModelProfile

from proctor.errors import ProviderRefused
from proctor.model import ProviderSettings

MOST_TEXTS: Final[Mapping[str, int]] = {"openai": 2048, "google": 100}
"""Texts in one embedding request, at most, as the vendors write."""

# gpt-5, openai/o3 through a gateway; not gpt-oss, which others serve.
_OPENAIS: Final = re.compile(r"(?:^|/)(?:gpt-(?!oss)|chatgpt|o\d)")


class Models:
    """The chat and the embedding side of one provider, made when they are first asked for."""

    def __init__(self, settings: ProviderSettings, key: str, client: httpx2.AsyncClient) -> None:
        """Nothing is opened or sent yet."""
        self._settings, self._key, self._client = settings, key, client
        self._chat: Model | None = None
        self._embedding: EmbeddingModel | None = None

    @property
    def chat(self) -> Model:
        """For messages."""
        if self._chat is None:
            self._chat = getattr(self, f"_{self._settings.vendor}_chat")()
        return self._chat

    @property
    def embedding(self) -> EmbeddingModel:
        """For vectors. ProviderRefused where the vendor has none."""
        if self._embedding is None:
            if self._settings.vendor not in MOST_TEXTS:
                raise ProviderRefused(
                    f"the provider {self._settings.name} cannot embed",
                    found=f"{self._settings.vendor} has no embedding models",
                    fix="name a provider of openai, google or a base_url that speaks as OpenAI",
                )
            self._embedding = getattr(self, f"_{self._settings.vendor}_embedding")()
        return self._embedding

    def openai_client(self, timeout_s: float | None = None) -> Any:
        """OpenAI's own client."""
        from proctor.adapters.providers.plain import PlainOpenAI

        settings = self._settings
        return PlainOpenAI(
            # Servers on one's own machine want no key; the library insists on one.
            api_key=self._key or "none",
            base_url=settings.base_url or "https://api.openai.com/v1",
            organization=None,
            max_retries=0,
            timeout=timeout_s or settings.timeout_s,
            http_client=self._client,
        )

    def _openai(self) -> Any:
        from pydantic_ai.providers.openai import OpenAIProvider
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

        settings, client = self._settings, self.openai_client()
        if settings.base_url is None:
            return OpenAIProvider(openai_client=client)
        return OpenAICompatibleProvider(settings.name, openai_client=client)

    def _openai_chat(self) -> Model:
        from pydantic_ai.models.openai import OpenAIChatModel

        settings = self._settings
        others = settings.base_url is not None and not _OPENAIS.search(settings.model)
        profile = _as_others_want if others else _as_it_came
        return OpenAIChatModel(settings.model, provider=self._openai(), profile=profile)

    def _openai_embedding(self) -> EmbeddingModel:
        from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel

        return OpenAIEmbeddingModel(self._settings.model, provider=self._openai())

    def anthropic_client(self, timeout_s: float | None = None) -> Any:
        """Anthropic's own client."""
        from anthropic import AsyncAnthropic

        return AsyncAnthropic(
            api_key=self._key,
            base_url=self._settings.base_url or "https://api.anthropic.com",
            max_retries=0,
            timeout=timeout_s or self._settings.timeout_s,
            http_client=self._client,
        )

    def _anthropic_chat(self) -> Model:
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        provider = AnthropicProvider(anthropic_client=self.anthropic_client())
        return AnthropicModel(self._settings.model, provider=provider)

    def google_client(self) -> Any:
        """Google's own client."""
        return self._google().client

    def _google(self) -> Any:
        from pydantic_ai.providers.google import GoogleProvider

        base_url = self._settings.base_url or "https://generativelanguage.googleapis.com"
        return GoogleProvider(api_key=self._key, base_url=base_url, http_client=self._client)

    def _google_chat(self) -> Model:
        from pydantic_ai.models.google import GoogleModel

        return GoogleModel(self._settings.model, provider=self._google())

    def _google_embedding(self) -> EmbeddingModel:
        from pydantic_ai.embeddings.google import GoogleEmbeddingModel

        return GoogleEmbeddingModel(self._settings.model, provider=self._google())


def _as_it_came(profile: ModelProfile) -> ModelProfile:
    """The model's profile, but reasoning tags in a text stay in it.

    The library takes them out, an unclosed one too: what the model leaked would be data then,
    and no check could see it.
    """
    return {**profile, "thinking_tags": ("\0", "\0")}


def _as_others_want(profile: ModelProfile) -> ModelProfile:
    """The same at another address: the output cap under its old name, which all servers know.

    One that ignored it would overrun the reservation. Only OpenAI's own models refuse that name.
    """
    own: Any = {**_as_it_came(profile), "openai_chat_supports_max_completion_tokens": False}
    return own  # type: ignore[no-any-return] # a TypedDict of OpenAI's own keys too


__all__ = ["MOST_TEXTS", "Models"]
