"""A provider as it is named in proctor.toml: whose model, where, how patient, what it may cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from proctor.model.batch import BatchTerms
from proctor.model.paid import Limits, Price, Spending

Vendor: TypeAlias = Literal["openai", "anthropic", "google", "local"]
"""Whose wire shape is spoken; `openai` also with everybody who speaks it at a `base_url`.

`local` speaks with nobody: its models run in this process.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """All of a provider but its key, which never travels.

    `name` is its name in proctor.toml, `model` the vendor's name of the model. `key_env` is the
    environment variable that holds the key. `price` is the user's own; without it the price list
    is asked. `max_tokens` caps the output of a question that names no cap. `dimensions` are those
    of its vectors, `max_input` the tokens of the longest text that it embeds; None: not said.
    """

    name: str
    vendor: Vendor
    model: str
    base_url: str | None = None
    key_env: str = ""
    timeout_s: float = 60.0
    max_tokens: int = 1024
    price: Price | None = None
    limits: Limits = field(default_factory=Limits)
    dimensions: int | None = None
    max_input: int | None = None
    batch: BatchTerms | None = None
    """How its questions go into batch calls; None where each is asked by itself."""
    folder: str = ""
    """Where a local model lies that is named by its path, which `model` is as it was written."""

    @property
    def full_model(self) -> str:
        """As it is written in proctor.toml and kept with every answer: `openai:gpt-5-mini`."""
        return f"{self.vendor}:{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSeen:
    """A provider as far as it can be looked at without asking it."""

    name: str
    model: str
    limits: Limits
    key_env: str
    """The variable that holds its key; empty where it needs none."""
    key_is_set: bool
    price: Price | None
    spent: Spending
    service: bool = False
    """Whether it is an HTTP service, and `model` its method and address."""
    wrong: str = ""
    """Why it could not be looked at whole."""


__all__ = ["ProviderSeen", "ProviderSettings", "Vendor"]
