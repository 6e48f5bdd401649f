"""What `[providers.NAME]` may say, and what it becomes: settings, limits, a key from outside."""

from __future__ import annotations

import re

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeAlias, cast, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from proctor.config.document import Document, Place
from proctor.config.priced import BatchDraft, Count, Money, PriceDraft, Section, batch_said
from proctor.config.secret import Secret
from proctor.errors import ConfigError
from proctor.model import Limits, ProviderSettings, Vendor

KEYS: Final[Mapping[str, str]] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GEMINI_API_KEY",
}
"""Vendor to the environment variable that holds its key unless `key_env` names another."""
ONLY_OUTSIDE: Final = (
    "keys stand in the environment only, for files are shared and kept:"
    ' take it out of the file, export it, and name the variable: key_env = "NAME"'
)
LOCAL: Final = "local:"
"""How the models of this process are written."""
_OF_LOCAL: Final = frozenset({"model", "dimensions", "max_input"})
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODEL: Final = re.compile(rf"({'|'.join(get_args(Vendor))}):(\S+)")
_RESET: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d(?: (\S+))?")


def _variable(name: str) -> str:
    # AIzaSy… would pass for a name; no variable looks like that.
    mixed = all(re.search(kind, name) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    if not _VARIABLE.fullmatch(name) or (len(name) >= 20 and mixed):
        raise ValueError(ONLY_OUTSIDE)
    return name


def _model(text: str) -> str:
    if not _MODEL.fullmatch(text):
        vendors = ", ".join(f"{vendor}:…" for vendor in get_args(Vendor))
        raise ValueError(
            f"write vendor and model, as in 'openai:gpt-5-mini'; vendors: {vendors};"
            " with a base_url, openai is whoever speaks its API"
        )
    return text


def check_reset(text: str) -> str:
    """A time of day, with its zone; ValueError says how to write it."""
    found = _RESET.fullmatch(text)
    zone = (found[2] if found else None) or "UTC"
    if found is None or not _is_zone(zone):
        raise ValueError("write it like '00:00 America/Los_Angeles' or '00:00 UTC'")
    return text if found[2] else f"{text} UTC"


def _is_zone(name: str) -> bool:
    try:
        return name == "UTC" or bool(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        return False


def check_spelling(url: str) -> None:
    """ValueError for what no address can have: the HTTP library would tell it of every row."""
    if any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError("an address has no spaces: write %20")
    if "${" not in url:
        _ = urlsplit(url).port


def _address(url: str) -> str:
    check_spelling(url)
    parts = urlsplit(url)
    # With a variable in it, it is looked at again once that is known.
    if "${" not in url and (parts.scheme not in {"http", "https"} or not parts.netloc):
        raise ValueError("write an address like 'https://host/v1'")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"an address has no login, no ? and no #; {ONLY_OUTSIDE}")
    return url


Name: TypeAlias = Annotated[str, Field(min_length=1)]


class ProviderDraft(Section):
    """`[providers.NAME]`: whose model, under which limits. The key is never in it."""

    model: Annotated[str, AfterValidator(_model)]
    base_url: Annotated[str, AfterValidator(_address)] | None = None
    key_env: Annotated[str, AfterValidator(_variable)] | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    daily: Count | None = None
    resets_at: Annotated[str, AfterValidator(check_reset)] = "00:00 UTC"
    budget_usd: Annotated[Money, Field(gt=0)] | None = None
    concurrency: Annotated[int, Field(gt=0, le=1000)] = 8
    timeout_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 60.0
    max_tokens: Count = 1024
    price: PriceDraft | None = None
    fallback: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    dimensions: Count | None = None
    max_input: Count | None = None
    batch: Annotated[BatchDraft | None, BeforeValidator(batch_said)] = None

    @model_validator(mode="after")
    def _enough_tokens(self) -> Self:
        if self.tpm is not None and self.max_tokens > self.tpm:
            raise ValueError("max_tokens is more than tpm: no call could ever be let through")
        return self

    @model_validator(mode="after")
    def _nothing_to_limit(self) -> Self:
        more = sorted(self.model_fields_set - _OF_LOCAL)
        if self.model.startswith(LOCAL) and more:
            raise ValueError(
                f"{', '.join(more)}: a local model runs in this process, is not paid and knows no"
                f" limits; only {', '.join(sorted(_OF_LOCAL))} can be said of it"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSetup:
    """One provider, resolved: what to open it with, and its key; None where it has none."""

    settings: ProviderSettings
    key: Secret | None
    fallback: tuple[str, ...]
    """Names of other providers to ask where this one cannot answer, in order."""

    @property
    def limits(self) -> Limits:
        """What it may be asked, whoever asks."""
        return self.settings.limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What of a provider needs nothing of the environment, and so can always be looked at."""

    model: str
    """As it is written: `openai:gpt-5-mini`."""
    limits: Limits
    timeout_s: float
    key_env: str
    """The variable that holds its key; empty where it has none."""
    key_is_set: bool
    fallback: tuple[str, ...] = ()
    """Names of other providers to ask where this one cannot answer, in order."""
    dimensions: int | None = None
    """Of its vectors."""


class Setups(Mapping[str, ProviderSetup]):
    """Providers by name, resolved one by one: a key that is missing harms only its own."""

    def __init__(
        self,
        drafts: Mapping[str, ProviderDraft],
        variables: Mapping[str, str],
        document: Document,
        fill: Callable[[str, Place], str],
    ) -> None:
        """`fill` puts the environment's values into a text that stands at a place of the file."""
        self._drafts, self._variables = drafts, variables
        self._document, self._fill = document, fill

    def __getitem__(self, name: str) -> ProviderSetup:
        """The provider; ConfigError if its key or another variable is not set."""
        settings = self.settings(name)
        fallback = self._drafts[name].fallback
        return ProviderSetup(settings=settings, key=self._key(settings), fallback=fallback)

    def terms(self, name: str) -> Terms:
        """What may be said of it without its key or any other variable."""
        draft = self._drafts[name]
        variable = key_env(draft)
        return Terms(
            model=draft.model,
            limits=_limits(draft),
            timeout_s=draft.timeout_s,
            key_env=variable,
            key_is_set=bool(self._variables.get(variable, "").strip()),
            fallback=draft.fallback,
            dimensions=draft.dimensions,
        )

    def said(self, name: str) -> dict[str, Any]:
        """Whatever its section says and is used by default, as it is written; but where its key is.

        No variable is filled in: a key never gets into what is read here.
        """
        return self._drafts[name].model_dump(exclude={"key_env"}, exclude_none=True)

    def settings(self, name: str) -> ProviderSettings:
        """The provider but its key; ConfigError if a variable in its address is not set."""
        draft = self._drafts[name]
        place: Place = ("providers", name)
        vendor, _, model = draft.model.partition(":")
        return ProviderSettings(
            name=name,
            vendor=cast("Vendor", vendor),
            model=model,
            folder=_folder(model, self._document) if vendor == "local" else "",
            base_url=draft.base_url and self._filled(draft.base_url, (*place, "base_url")),
            key_env=key_env(draft),
            timeout_s=draft.timeout_s,
            max_tokens=draft.max_tokens,
            price=None if draft.price is None else draft.price.of(),
            limits=_limits(draft),
            dimensions=draft.dimensions,
            max_input=draft.max_input,
            batch=None if draft.batch is None else draft.batch.terms,
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._drafts)

    def __len__(self) -> int:
        return len(self._drafts)

    def __contains__(self, name: object) -> bool:
        """Needs no key: a Mapping would resolve it to find out."""
        return name in self._drafts

    @property
    def limits(self) -> dict[str, Limits]:
        """What each may be asked; this needs no key and no other variable."""
        return {name: _limits(draft) for name, draft in self._drafts.items()}

    @property
    def first(self) -> str | None:
        """The one that is nobody's fallback; None where there are several."""
        others = {other for draft in self._drafts.values() for other in draft.fallback}
        mains = [name for name in self._drafts if name not in others]
        return mains[0] if len(mains) == 1 else None

    @property
    def longest(self) -> float:
        """Seconds that a call to any of them may last; 0 where there is none."""
        return max((draft.timeout_s for draft in self._drafts.values()), default=0.0)

    def __repr__(self) -> str:
        return f"<providers: {', '.join(self)}>"

    def _filled(self, url: str, place: Place) -> str:
        filled = self._fill(url, place)
        try:
            return _address(filled)
        except ValueError as wrong:
            raise ConfigError(
                f"{self._document.where(place)} is wrong", found="a text", fix=str(wrong)
            ) from None

    def _key(self, settings: ProviderSettings) -> Secret | None:
        variable = settings.key_env
        if not variable:
            return None
        value = self._variables.get(variable, "").strip()
        if not value:
            where = self._document.where(("providers", settings.name))
            raise ConfigError(
                f"{where} needs the environment variable {variable}",
                found="it is empty" if variable in self._variables else "it is not set",
                fix=f"export {variable}=… before you call proctor",
            )
        return Secret(value)


def key_env(draft: ProviderDraft) -> str:
    """The variable with the key. A key of a vendor is never sent to another address unasked."""
    default = KEYS.get(draft.model.partition(":")[0], "") if draft.base_url is None else ""
    return draft.key_env or default


def _folder(model: str, document: Document) -> str:
    """Where a local model lies that is named by its path: from the file on, as it is written."""
    if not model.startswith((".", "~")) and len(Path(model).parts) < 2:
        return ""
    return str(document.path.parent.absolute() / at_home(model))


def at_home(path: str) -> Path:
    """A path with ~ as the home of whom it means; as it is where nobody knows that."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def check_fallbacks(drafts: Mapping[str, ProviderDraft], document: Document) -> None:
    """ConfigError where a fallback is no provider, or the provider itself."""
    for name, draft in drafts.items():
        for other in draft.fallback:
            if other not in drafts or other == name:
                known = ", ".join(one for one in drafts if one != name) or "no other"
                raise ConfigError(
                    f"{document.where(('providers', name, 'fallback'))} is wrong",
                    found=f"{other!r} is {'the same' if other == name else 'no'} provider",
                    fix=f"name others of this file: {known}",
                )


def _limits(draft: ProviderDraft) -> Limits:
    return Limits(
        rpm=draft.rpm,
        tpm=draft.tpm,
        daily=draft.daily,
        resets_at=draft.resets_at,
        budget_usd=draft.budget_usd,
        concurrency=draft.concurrency,
    )


__all__ = [
    "ONLY_OUTSIDE",
    "BatchDraft",
    "Count",
    "Money",
    "PriceDraft",
    "ProviderDraft",
    "ProviderSetup",
    "Section",
    "Setups",
    "Terms",
    "at_home",
    "check_fallbacks",
    "check_reset",
    "check_spelling",
    "key_env",
]
