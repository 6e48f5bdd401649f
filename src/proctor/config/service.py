"""What `[providers.NAME]` with a `url` may say: an HTTP service, its templates and limits."""

from __future__ import annotations

import math

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from proctor.config.document import Document, Place
from proctor.config.paid import (
    Count,
    Money,
    ProviderDraft,
    Section,
    check_reset,
    check_spelling,
)
from proctor.config.secret import Secret, looks_private
from proctor.errors import ConfigError
from proctor.model import SAFE, Limits, Price, ServiceSettings, address_of, names_in

MODEL, SERVICE = "<a model>", "<a service>"
"""Marks that pydantic puts into the place of a fault; no key looks like that."""
IDEMPOTENCY: Final = "Idempotency-Key"
_OWN: Final = frozenset({"provider", "output"})
_PRIVATE: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-auth"})


def _template(url: str) -> str:
    check_spelling(url)
    address, rest = address_of(url)
    bare = urlsplit(address)
    if not address.startswith("${") and (bare.scheme not in {"http", "https"} or not bare.netloc):
        raise ValueError("write an address like 'https://host/isbn?title={title}'")
    if [*names_in(address, "value")]:
        raise ValueError("only path and query have values of a row: the host is always the same")
    if "@" in address or "#" in url:
        raise ValueError('an address has no login and no #; a login is a header with "${NAME}"')
    # No secret in the file: it is shared and kept, and what it says is shown in plans.
    for pair in rest.partition("?")[2].split("&"):
        name, _, text = pair.partition("=")
        if _literal(name, text):
            raise ValueError(f"secrets stand in the environment only: write {name}=${{NAME}}")
    _free(url)
    return url


def _free(text: Any) -> Any:
    if taken := _OWN.intersection(names_in(text, "value")):
        raise ValueError(f"{{{min(taken)}}} is a word of ctx.http itself: choose another name")
    return text


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, text in headers.items():
        private = name.lower() in _PRIVATE or looks_private(name.replace("-", "_"))
        if private and "${" not in text:
            raise ValueError(f'secrets stand in the environment only: {name} = "… ${{NAME}}"')
        if not (text.isascii() and text.isprintable()):
            raise ValueError(
                "a header is a name of letters, and a text of one line without accents"
            )
        _header(name)
    return headers


def _header(name: str) -> str:
    if not (name.isascii() and name.replace("-", "").isalnum()):
        raise ValueError("a header is a name of letters, and a text of one line")
    return name


def _once(name: str) -> str:
    return name and _header(name)


def _literal(name: str, text: str) -> bool:
    """Whether a secret stands there as it is: what a body says is shown in plans, too."""
    return bool(text) and "{" not in text and looks_private(name)


def _body(body: Any) -> Any:
    if isinstance(body, Mapping):
        for key, part in body.items():
            if isinstance(part, str) and _literal(key, part):
                raise ValueError(f'secrets stand in the environment only: {key} = "${{NAME}}"')
        return {key: _body(part) for key, part in body.items()}
    if isinstance(body, list):
        return [_body(part) for part in body]
    if isinstance(body, float) and not math.isfinite(body):
        raise ValueError("JSON has no nan and no inf")
    if isinstance(body, date | time):
        raise ValueError("JSON has no dates: write it in quotes")  # noqa: TRY004 - pydantic's way
    pairs = [pair.partition("=") for pair in body.split("&")] if isinstance(body, str) else []
    for name, _, text in pairs:  # of a form
        if name.strip().isidentifier() and _literal(name.strip(), text):
            raise ValueError(f"secrets stand in the environment only: write {name}=${{NAME}}")
    return _free(body)


def _statuses(expect: tuple[int, ...]) -> tuple[int, ...]:
    for status in expect:
        if not 200 <= status < 500 or 300 <= status < 400 or status in {401, 407, 408, 429}:
            raise ValueError(f"{status} is never an answer: name 2xx, and 4xx such as 404")
    if expect and not any(status < 300 for status in expect):
        raise ValueError("name the 2xx that are answers, too: [200, 404]")
    return expect


class ServicePrice(Section):
    """`price = {…}` of a service: US dollars for a request; 0 has to be said."""

    request: Annotated[Money, Field(ge=0)]


class ServiceDraft(Section):
    """`[providers.NAME]` with a `url`: what is sent there, and under which limits."""

    url: Annotated[str, AfterValidator(_template)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict)
    body: Annotated[Any, AfterValidator(_body)] = None
    expect: Annotated[tuple[int, ...], Field(strict=False), AfterValidator(_statuses)] = ()
    pick: Annotated[str, Field(alias="json")] = ""
    idempotency_key: Annotated[str, AfterValidator(_once)] | None = None
    rpm: Count | None = None
    daily: Count | None = None
    resets_at: Annotated[str, AfterValidator(check_reset)] = "00:00 UTC"
    budget_usd: Annotated[Money, Field(gt=0)] | None = None
    concurrency: Annotated[int, Field(gt=0, le=1000)] = 8
    timeout_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 60.0
    price: ServicePrice | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.body is not None and self.method in SAFE:
            raise ValueError(f'a {self.method} has no body: write method = "POST"')
        named = ((name.lower(), text.lower()) for name, text in self.headers.items())
        kinds = [text for name, text in named if name == "content-type"]
        if isinstance(self.body, str) and any("json" in kind for kind in kinds):
            raise ValueError('write a body of JSON as a table: body = { title = "{title}" }')
        return self

    @property
    def secrets(self) -> frozenset[str]:
        """The variables that a call needs."""
        return frozenset(names_in((self.url, self.body, self.headers), "secret"))

    @property
    def idempotency(self) -> str:
        """The header that says which calls are the same; by default where a call changes things."""
        if self.idempotency_key is not None:
            return self.idempotency_key
        return "" if self.method in SAFE else IDEMPOTENCY


def _kind(told: Any) -> str:
    return SERVICE if isinstance(told, dict) and "url" in told else MODEL


AnyDraft: TypeAlias = Annotated[
    Annotated[ProviderDraft, Tag(MODEL)] | Annotated[ServiceDraft, Tag(SERVICE)],
    Discriminator(_kind),
]
"""A service is told from a model by its `url`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSetup:
    """One service, resolved: what is sent, and the secrets that go with it, by variable."""

    settings: ServiceSettings
    secrets: Mapping[str, Secret]


class Services(Mapping[str, ServiceSetup]):
    """Services by name, resolved one by one: a secret that is missing harms only its own."""

    def __init__(
        self,
        drafts: Mapping[str, ServiceDraft],
        variables: Mapping[str, str],
        document: Document,
        fill: Callable[[str, Place], str],
    ) -> None:
        """`fill` puts the environment's values into a text that stands at a place of the file."""
        self._drafts, self._variables = drafts, variables
        self._document, self._fill = document, fill

    def __getitem__(self, name: str) -> ServiceSetup:
        """The service; ConfigError if a variable that a call needs is not set."""
        settings = self.settings(name)
        place: Place = ("providers", name)
        secrets = {one: Secret(self._fill(f"${{{one}}}", place)) for one in settings.secrets}
        return ServiceSetup(settings=settings, secrets=secrets)

    def __contains__(self, name: object) -> bool:
        """Needs no secret: a Mapping would resolve it to find out."""
        return name in self._drafts

    def __iter__(self) -> Iterator[str]:
        return iter(self._drafts)

    def __len__(self) -> int:
        return len(self._drafts)

    @property
    def limits(self) -> dict[str, Limits]:
        """What each may be asked; this needs no variable."""
        return {name: _limits(draft) for name, draft in self._drafts.items()}

    @property
    def longest(self) -> float:
        """Seconds that a call to any of them may last; 0 where there is none."""
        return max((draft.timeout_s for draft in self._drafts.values()), default=0.0)

    def said(self, name: str) -> dict[str, Any]:
        """Whatever its section says and is used by default, as it is written."""
        draft = self._drafts[name]
        told = draft.model_dump(by_alias=True, exclude_none=True)
        return {**told, "idempotency_key": draft.idempotency}

    def model(self, name: str) -> str:
        """What answers, as faces show it: method and address, as they are written."""
        return f"{self._drafts[name].method} {self._drafts[name].url.partition('?')[0]}"

    def missing(self, name: str) -> tuple[str, ...]:
        """The variables that a call needs and that are not set."""
        needed = sorted(self._drafts[name].secrets)
        return tuple(one for one in needed if not self._variables.get(one))

    def needed(self, name: str) -> tuple[str, ...]:
        """The variables that a call needs."""
        return tuple(sorted(self._drafts[name].secrets))

    def settings(self, name: str) -> ServiceSettings:
        """The service but its secrets; ConfigError if its host is a variable that is not set."""
        draft = self._drafts[name]
        place: Place = ("providers", name, "url")
        at = self._fill(address_of(draft.url)[0], place)
        parts = urlsplit(at)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise ConfigError(
                f"{self._document.where(place)} is wrong",
                found="a text",
                fix="its variable must hold an address like https://host",
            )
        return ServiceSettings(
            name=name,
            url=draft.url,
            at=at,
            method=draft.method,
            headers=dict(draft.headers),
            body=draft.body,
            expect=draft.expect,
            pick=draft.pick,
            idempotency_key=draft.idempotency,
            timeout_s=draft.timeout_s,
            price=_price(draft.price),
            limits=_limits(draft),
        )

    def __repr__(self) -> str:
        return f"<services: {', '.join(self)}>"


def models_of(drafts: Mapping[str, ProviderDraft | ServiceDraft]) -> dict[str, ProviderDraft]:
    """Those of the sections that are models."""
    return {name: one for name, one in drafts.items() if isinstance(one, ProviderDraft)}


def services_of(drafts: Mapping[str, ProviderDraft | ServiceDraft]) -> dict[str, ServiceDraft]:
    """Those of the sections that are services."""
    return {name: one for name, one in drafts.items() if isinstance(one, ServiceDraft)}


def _price(draft: ServicePrice | None) -> Price | None:
    if draft is None:
        return None
    nothing = Decimal(0)
    return Price(
        input_per_million=nothing,
        output_per_million=nothing,
        per_request=draft.request,
        source="proctor.toml",
    )


def _limits(draft: ServiceDraft) -> Limits:
    return Limits(
        rpm=draft.rpm,
        daily=draft.daily,
        resets_at=draft.resets_at,
        budget_usd=draft.budget_usd,
        concurrency=draft.concurrency,
    )


__all__ = [
    "MODEL",
    "SERVICE",
    "AnyDraft",
    "ServiceDraft",
    "ServicePrice",
    "ServiceSetup",
    "Services",
    "models_of",
    "services_of",
]
