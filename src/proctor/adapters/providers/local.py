"""Embedding models of this process: nothing is sent, paid or downloaded."""

from __future__ import annotations

import asyncio
import logging
import os

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from proctor.adapters.providers.asking import read
from proctor.errors import ConfigError, ProviderRefused
from proctor.model import Ask, Finish, Kind, Price, ProviderSettings, Reply, Usage, canonical

TOGETHER: Final = 64
"""Texts that are computed together; they take the memory of as many as the longest of them."""
LONG: Final = 4000
"""Characters from which on a text is computed alone."""
PACKAGED: Final = "wordllama"
"""The model that comes with its library, weights and all."""

Encode = Callable[[list[str]], Any]
"""Texts to a matrix of 32-bit floats, one row for each."""


class LocalProvider:
    """A `Provider` (see ports) whose model is loaded when it is first asked.

    It computes in one thread of its own: the loop goes on meanwhile.
    """

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"proctor-{settings.name}")
        self._encode: Encode | None = None

    async def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length one for each text, in their order; of a text of no word all zero."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._computed, list(texts))

    async def call(self, ask: Ask) -> Reply:
        """See `Provider.call`."""
        (reply,) = await self.call_many([ask])
        return reply

    @property
    def most_together(self) -> int:
        """Texts that `call_many` takes at once."""
        return TOGETHER

    async def call_many(self, asks: Sequence[Ask]) -> list[Reply]:
        """See `Provider.call_many`."""
        if any(ask.kind is not Kind.EMBED for ask in asks):
            raise ProviderRefused(
                f"the provider {self._settings.name} cannot chat",
                found=f"{self._settings.full_model} makes vectors only",
                fix="ask it with ctx.embed, and another provider with ctx.llm",
            )
        vectors = await self.encode([read(ask)["text"] for ask in asks])
        model = self._settings.full_model
        return [
            Reply(raw=canonical(vector), finish=Finish.STOP, usage=Usage(), model=model)
            for vector in vectors
        ]

    def price(self, model: str) -> Price | None:  # noqa: ARG002 - of a provider that has one
        """Nothing, which is known."""
        from proctor.adapters.providers.open import FREE

        return FREE

    async def aclose(self) -> None:
        """Let the thread go; what it computes is for nobody any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _computed(self, texts: list[str]) -> list[list[float]]:
        import numpy as np

        if self._encode is None:
            self._encode = load(self._settings)
        # Those of like length together: the shorter ones are filled up to the longest.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        if not texts:
            return []
        encode = self._encode
        made = [encode([texts[i] for i in group]) for group in _groups(order, texts)]
        found = np.concatenate(made)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = found / np.linalg.norm(found, axis=1, keepdims=True)
        vectors: list[list[float]] = np.nan_to_num(found)[np.argsort(order)].tolist()
        return vectors


def _groups(order: Sequence[int], texts: Sequence[str]) -> list[Sequence[int]]:
    short = [i for i in order if len(texts[i]) <= LONG]
    groups: list[Sequence[int]] = [
        short[at : at + TOGETHER] for at in range(0, len(short), TOGETHER)
    ]
    return [*groups, *([i] for i in order[len(short) :])]


def library_of(settings: ProviderSettings) -> str:
    """The module that its model needs. ConfigError where no such model is known."""
    if settings.folder:
        if not Path(settings.folder).is_dir():
            raise ConfigError(
                f"the local model of the provider {settings.name} is not there",
                found=f"no folder {settings.folder}",
                fix='a folder that model2vec has saved: model = "local:./models/NAME"',
            )
        return "model2vec"
    if settings.model != PACKAGED:
        raise ConfigError(
            f"the provider {settings.name} names a local model that is not known",
            found=f"{settings.full_model!r}",
            fix=f'model = "local:{PACKAGED}", which comes with its weights, or the folder of one'
            ' that model2vec has saved: "local:./models/NAME"',
        )
    return PACKAGED


def load(settings: ProviderSettings) -> Encode:
    """The model, from this machine alone. ConfigError where it cannot be what is asked of it."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # neither library may look for something newer
    return _of_folder(settings) if settings.folder else _packaged(settings)


def _packaged(settings: ProviderSettings) -> Encode:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    import wordllama  # type: ignore[import-untyped]

    # The library sets up everybody's logging when it is imported.
    root.setLevel(level)
    root.handlers[:] = handlers
    try:
        model = wordllama.WordLlama.load(
            # It looks for its own tokenizer under another name than it ships it.
            cache_dir=Path(wordllama.__file__).parent,
            trunc_dim=settings.dimensions,
            disable_download=True,
        )
    except ValueError as wrong:
        raise _dimensions(settings, str(wrong)) from None
    encode: Encode = model.embed
    return encode


def _of_folder(settings: ProviderSettings) -> Encode:
    from model2vec import StaticModel

    try:
        model = StaticModel.from_pretrained(
            settings.folder,
            dimensionality=settings.dimensions,
            max_length=None,  # it would cut without a word
            force_download=False,
        )
    except ValueError as wrong:
        raise _dimensions(settings, str(wrong)) from None
    except Exception as wrong:  # noqa: BLE001 - whatever files that are no model lead to
        raise ConfigError(
            f"the local model of the provider {settings.name} cannot be loaded",
            found=f"{settings.folder}: {type(wrong).__name__}",
            fix="a folder that model2vec has saved: StaticModel(…).save_pretrained(folder)",
        ) from None
    return lambda texts: model.encode(texts, use_multiprocessing=False)


def _dimensions(settings: ProviderSettings, found: str) -> ConfigError:
    return ConfigError(
        f"the local model of the provider {settings.name} cannot have these dimensions",
        found=f"dimensions = {settings.dimensions}: {found}" if settings.dimensions else found,
        fix=f"leave dimensions out of [providers.{settings.name}], or name fewer",
    )


__all__ = ["LocalProvider", "library_of", "load"]
