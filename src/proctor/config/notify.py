"""What `[notify]` and `[alerts]` may say: where notices go, and which numbers raise an alert."""

from __future__ import annotations

import re

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from proctor.config.document import Document, Place
from proctor.config.environ import fill, names_in
from proctor.config.paid import Count, Section
from proctor.config.secret import LONG, MASK, Secret, secrets_of_url
from proctor.errors import ConfigError
from proctor.model import AlertRules, Severity, ShareAlert

ONE, MANY = "<a table>", "<tables>"
"""Marks that pydantic puts into the place of a fault; no key looks like that."""
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LENGTH: Final = re.compile(r"(\d{1,5})([smhdw])")
_PATTERN: Final = re.compile(r"!?[a-z*?][a-z_*?./\[\]]*")
_WORD: Final = re.compile(r"[^/:@?&=#,+]+")
_PLACES: Final = frozenset({"json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"})
"""Kinds of URL whose host is a machine."""


def _length(text: str) -> str:
    if not _LENGTH.fullmatch(text):
        raise ValueError('write a length of time like "90s", "15m", "1h" or "2d"')
    return text


def _pattern(text: str) -> str:
    if not _PATTERN.fullmatch(text):
        raise ValueError('write names of events, or patterns like "run.*" and "!run.throttled"')
    return text


def _url(text: str) -> str:
    if "://" not in text and not re.fullmatch(r"\$\{\w+\}", text.strip()):
        raise ValueError('write "${NAME}", or a URL as Apprise knows it: "mailto://…", "json://…"')
    return text


Length: TypeAlias = Annotated[str, AfterValidator(_length)]
Urls: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_url)], ...], Field(strict=False, min_length=1, repr=False)
]
Patterns: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_pattern)], ...], Field(strict=False, min_length=1)
]
Texts: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]


def _like_a_window(text: str) -> str:
    if not re.fullmatch(r"(?:.+ )?\d\d:\d\d-\d\d:\d\d(?: .+)?", text.strip()):
        raise ValueError("write it like 'mon-fri 22:00-07:00 Europe/Berlin'")
    return text


Windows: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_like_a_window)], ...], Field(strict=False)
]


class NotifyDraft(Section):
    """`[notify]` or `[[notify]]`: one place, and what is told there."""

    urls: Urls
    name: Annotated[str, Field(min_length=1)] | None = None
    severity: Literal["info", "warning", "critical"] = "warning"
    events: Patterns = ("*",)
    repeat_after: Length = "1h"
    silence: Windows = ()
    envs: Texts = ()
    """Environments whose runs are told of; all of them when left out."""


class ShareDraft(Section):
    """`[alerts.share.NAME]`: a share of what units record."""

    of: Annotated[str, Field(min_length=1)]
    among: Annotated[str, Field(min_length=1)]
    below: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
    min_samples: Count = 20

    @model_validator(mode="after")
    def _two_numbers(self) -> Self:
        if self.of == self.among:
            raise ValueError('of and among are two numbers, such as "resolved" and "generated"')
        return self


class AlertsDraft(Section):
    """`[alerts]`: from which numbers on a run raises an alert."""

    failed: Annotated[int, Field(ge=0)] | None = None
    stuck_after: Length | None = None
    coverage: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    share: dict[str, ShareDraft] = Field(default_factory=dict)

    @property
    def rules(self) -> AlertRules:
        """As the engine looks at them."""
        shares = (
            ShareAlert(name=name, of=s.of, among=s.among, below=s.below, min_samples=s.min_samples)
            for name, s in self.share.items()
        )
        return AlertRules(
            failed=self.failed,
            stuck_after=length(self.stuck_after) if self.stuck_after else None,
            coverage=self.coverage,
            shares=tuple(shares),
        )


def _how_many(told: Any) -> str:
    return ONE if isinstance(told, dict | NotifyDraft) else MANY


AnyNotify: TypeAlias = Annotated[
    Annotated[NotifyDraft, Tag(ONE)]
    | Annotated[tuple[NotifyDraft, ...], Field(strict=False), Tag(MANY)],
    Discriminator(_how_many),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyPlace:
    """One address for notices. `url` is None where its variable is not set; `fault` says so."""

    name: str
    url: Secret | None
    kind: str
    severity: Severity
    events: tuple[str, ...]
    repeat_after: timedelta
    silence: tuple[str, ...]
    envs: tuple[str, ...]
    fault: ConfigError | None = None


def length(text: str) -> timedelta:
    """A length of time that was checked already."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def drafts_of(told: NotifyDraft | tuple[NotifyDraft, ...]) -> tuple[NotifyDraft, ...]:
    """The places as they are written."""
    return (told,) if isinstance(told, NotifyDraft) else told


def places_of(
    told: NotifyDraft | tuple[NotifyDraft, ...],
    document: Document,
    fill_in: Callable[[str, Place], str],
) -> Iterator[NotifyPlace]:
    """Every address. A variable that is not set stops nobody: that place alone is not told."""
    for number, draft in enumerate(drafts_of(told)):
        place: Place = ("notify",) if isinstance(told, NotifyDraft) else ("notify", number)
        name = draft.name or f"place {number + 1}"
        for at, text in enumerate(draft.urls):
            url, fault = None, None
            try:
                filled = fill_in(text, (*place, "urls"))
                url = Secret(filled, f"{_kind(filled)}://{MASK}")
            except ConfigError as error:
                fault = error
            if url is not None and "://" not in url.reveal():
                fault, url = _no_url(document, (*place, "urls")), None
            yield NotifyPlace(
                name=name if len(draft.urls) == 1 else f"{name}/{at + 1}",
                url=url,
                kind=_kind(url.reveal()) if url else "",
                severity=Severity(draft.severity),
                events=draft.events,
                repeat_after=length(draft.repeat_after),
                silence=draft.silence,
                envs=draft.envs,
                fault=fault,
            )


def _no_url(document: Document, place: Place) -> ConfigError:
    return ConfigError(
        f"{document.where(place)} is not a URL",
        found="a text without ://",
        fix='its variable holds a URL as Apprise knows it: "slack://…", "mailto://…", "json://…"',
    )


def notify_secrets(
    told: NotifyDraft | tuple[NotifyDraft, ...], variables: Mapping[str, str]
) -> Iterator[str]:
    """What must not be seen of the addresses: each whole, and every part that may be a token."""
    for text in (url for draft in drafts_of(told) for url in draft.urls):
        try:
            filled = fill(text, variables, "")
        except ConfigError:
            continue  # whoever sends there will say so
        yield filled
        yield from secrets_of_url(filled)
        yield from (variables[name] for name in names_in(text))
        scheme, _, rest = filled.partition("://")
        login = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[0]
        yield from filter(None, [login.partition(":")[2]])
        # There the host is a machine, and no part of a secret.
        address = rest.partition("/")[2] if scheme in _PLACES else rest
        yield from (word for word in _WORD.findall(address) if _like_a_token(word))


def _like_a_token(word: str) -> bool:
    """Long, and neither a plain word nor the name of a machine."""
    odd = any(c.isdigit() or c.isupper() for c in word) or len(word) >= 3 * LONG
    return len(word) >= LONG and odd and "." not in word


def _kind(url: str) -> str:
    scheme = url.partition("://")[0]
    return scheme if re.fullmatch(r"[a-z][a-z0-9+]*", scheme) else ""


__all__ = [
    "MANY",
    "ONE",
    "AlertsDraft",
    "AnyNotify",
    "NotifyDraft",
    "NotifyPlace",
    "ShareDraft",
    "drafts_of",
    "notify_secrets",
    "places_of",
]
