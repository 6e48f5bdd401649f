"""What `[flags.NAME]` may say, kind by kind, and the settings that it becomes."""

from __future__ import annotations

import re

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, Self, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from proctor.config.environ import names_in
from proctor.config.paid import Section
from proctor.config.schema import Draft
from proctor.config.secret import looks_private
from proctor.model import (
    AnyFlag,
    EnvFileFlag,
    FlagdFlag,
    FlagRequest,
    HttpFlag,
    ShellFlag,
    SqlFlag,
    UnleashFlag,
    VendorFlag,
)

_PRIVATE: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-auth"})
_NAME: Final = re.compile(r"[A-Za-z_][\w.]*")
_ADDRESSES: Final[Mapping[str, str]] = {
    "launchdarkly": "https://app.launchdarkly.com",
    "growthbook": "https://api.growthbook.io/api",
    "configcat": "https://api.configcat.com",
    "railway": "https://backboard.railway.com",
    "vercel": "https://api.vercel.com",
}


def _hidden(text: str) -> str:
    if not names_in(text):
        raise ValueError('keys stand in the environment only: write "${NAME}"')
    return text


def _web(url: str) -> str:
    if not url.startswith(("http://", "https://", "${")) or any(c.isspace() for c in url):
        raise ValueError("write an address like 'https://flags.example'")
    return url


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, text in headers.items():
        private = name.lower() in _PRIVATE or looks_private(name.replace("-", "_"))
        if private and not names_in(text):
            raise ValueError(f"{name} looks like a key: write ${{NAME}} in it")
    return headers


def _identifier(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("write the name of a table or a column, as in 'app.flags'")
    return name


def _json_file(path: str) -> str:
    if not path.endswith(".json"):
        raise ValueError("name a file of JSON: one of YAML would lose its comments")
    return path


Text: TypeAlias = Annotated[str, Field(min_length=1)]
Token: TypeAlias = Annotated[str, AfterValidator(_hidden)]
Web: TypeAlias = Annotated[str, AfterValidator(_web)]
Name: TypeAlias = Annotated[str, AfterValidator(_identifier)]
Words: TypeAlias = Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]


class At(Protocol):
    """What a draft needs to become settings."""

    @property
    def root(self) -> Path:
        """Where relative paths start."""

    def fill(self, text: str, *place: str | int) -> str:
        """The text with its variables filled in; ConfigError names the place."""

    def url(self, text: str, *place: str | int) -> str:
        """The same of a database's URL; a relative SQLite file starts at the root."""


class FlagDraft(Section):
    """What every kind may say."""

    flag: Text | None = None
    verify_s: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 10.0
    timeout_s: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 30.0

    def settled(self, name: str) -> dict[str, Any]:
        """What every kind has."""
        own = {"verify_s": self.verify_s, "timeout_s": self.timeout_s}
        return {"name": name, "flag": self.flag or name, **own}


class SqlFlagDraft(FlagDraft):
    """`kind = "sql"`."""

    kind: Literal["sql"]
    url: Text = Field(repr=False)
    table: Name = "flags"
    key_column: Name = "key"
    percent_column: Name = "percent"
    version_column: Name = "version"
    audit_table: Name | None = None
    cohort_table: Name | None = None
    subjects: Text | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.cohort_table is None) != (self.subjects is None):
            raise ValueError(
                "cohort_table and subjects belong together: a table (flag, subject),"
                " and a SELECT of the readers who may be in it"
            )
        return self

    def settings(self, name: str, at: At) -> AnyFlag:
        """As it is used."""
        return SqlFlag(
            **self.settled(name),
            url=at.url(self.url, "url"),
            table=self.table,
            key_column=self.key_column,
            percent_column=self.percent_column,
            version_column=self.version_column,
            audit_table=self.audit_table or "",
            cohort_table=self.cohort_table or "",
            subjects=self.subjects or "",
        )


class EnvFileFlagDraft(FlagDraft):
    """`kind = "env_file"`."""

    kind: Literal["env_file"]
    path: Text
    on: Text = "true"
    off: str = "false"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.on == self.off or any(c in v for v in (self.on, self.off) for c in "\"'\r\n #"):
            raise ValueError("on and off are two different words, without quotes and spaces")
        return self

    def settings(self, name: str, at: At) -> AnyFlag:
        """As it is used."""
        path = at.root / at.fill(self.path, "path")
        return EnvFileFlag(**self.settled(name), path=path, on=self.on, off=self.off)


class FlagdFlagDraft(FlagDraft):
    """`kind = "flagd"`."""

    kind: Literal["flagd"]
    path: Annotated[str, AfterValidator(_json_file)]
    only_filled: Text | None = None

    def settings(self, name: str, at: At) -> AnyFlag:
        """As it is used."""
        path, only = at.root / at.fill(self.path, "path"), self.only_filled or ""
        return FlagdFlag(**self.settled(name), path=path, only_filled=only)


class UnleashFlagDraft(FlagDraft):
    """`kind = "unleash"`."""

    kind: Literal["unleash"]
    url: Web = Field(repr=False)
    token: Token = Field(repr=False)
    environment: Text
    client_token: Token | None = Field(default=None, repr=False)
    project: Text = "default"
    stickiness: Text = "userId"
    only_filled: Text | None = None

    def settings(self, name: str, at: At) -> AnyFlag:
        """As it is used."""
        client = at.fill(self.client_token, "client_token") if self.client_token else ""
        return UnleashFlag(
            **self.settled(name),
            url=at.fill(self.url, "url"),
            token=at.fill(self.token, "token"),
            environment=self.environment,
            client_token=client,
            project=self.project,
            stickiness=self.stickiness,
            only_filled=self.only_filled or "",
        )


class ShellFlagDraft(FlagDraft):
    """`kind = "shell"`."""

    kind: Literal["shell"]
    write: Words = Field(repr=False)
    read: Words = Field(repr=False)
    observe: Words | None = Field(default=None, repr=False)
    percent: bool = True
    needs_redeploy: bool = False

    def settings(self, name: str, at: At) -> AnyFlag:
        """As it is used."""

        def words(key: str, told: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(at.fill(word, key, number) for number, word in enumerate(told))

        return ShellFlag(
            **self.settled(name),
            write=words("write", self.write),
            read=words("read", self.read),
            observe=words("observe", self.observe or ()),
            cwd=at.root,
            percent=self.percent,
            needs_redeploy=self.needs_redeploy,
        )


class FlagRequestDraft(Section):
    """`write = {…}` and `read = {…}` of `kind = "http"`."""

    url: Web = Field(repr=False)
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(
        default_factory=dict, repr=False
    )
    body: Any = Field(default=None, repr=False)
    pick: str = Field(default="", alias="json")

    def settings(self, at: At, key: str, method: str) -> FlagRequest:
        """As it is used."""
        return FlagRequest(
            method=self.method or method,
            url=at.fill(self.url, key, "url"),
            headers={n: at.fill(t, key, "headers", n) for n, t in self.headers.items()},
            body=_filled(self.body, at, (key, "body")),
            pick=self.pick,
        )


class HttpFlagDraft(FlagDraft):
    """`kind = "http"`."""

    kind: Literal["http"]
    write: FlagRequestDraft = Field(repr=False)
    read: FlagRequestDraft = Field(repr=False)
    percent: bool = True
    needs_redeploy: bool = False

    def settings(self, name: str, at: At) -> AnyFlag:
        """As it is used."""
        return HttpFlag(
            **self.settled(name),
            write=self.write.settings(at, "write", "POST"),
            read=self.read.settings(at, "read", "GET"),
            percent=self.percent,
            needs_redeploy=self.needs_redeploy,
        )


class VendorFlagDraft(FlagDraft):
    """A vendor's own kind; `url` is there for whoever runs it himself."""

    token: Token = Field(repr=False)
    url: Web | None = Field(default=None, repr=False)

    def settings(self, name: str, at: At) -> AnyFlag:
        """As it is used."""
        own = set(type(self).model_fields) - set(VendorFlagDraft.model_fields) - {"kind"}
        said = {key: getattr(self, key) for key in sorted(own)}
        vendor = type(self).model_fields["kind"].annotation
        (kind,) = vendor.__args__  # type: ignore[union-attr] # a Literal of one
        return VendorFlag(
            **self.settled(name),
            vendor=kind,
            url=at.fill(self.url, "url") if self.url else _ADDRESSES[kind],
            token=at.fill(self.token, "token"),
            of={key: at.fill(text, key) for key, text in said.items() if text is not None},
        )


class LaunchDarklyDraft(VendorFlagDraft):
    """`kind = "launchdarkly"`."""

    kind: Literal["launchdarkly"]
    project: Text
    environment: Text


class GrowthBookDraft(VendorFlagDraft):
    """`kind = "growthbook"`."""

    kind: Literal["growthbook"]
    environment: Text


class ConfigCatDraft(VendorFlagDraft):
    """`kind = "configcat"`; the token is user:password in Base64, as its API takes it."""

    kind: Literal["configcat"]
    environment: Text
    setting: Text


class RailwayDraft(VendorFlagDraft):
    """`kind = "railway"`."""

    kind: Literal["railway"]
    project: Text
    environment: Text
    service: Text
    on: Text = "true"
    off: Text = "false"


class VercelDraft(VendorFlagDraft):
    """`kind = "vercel"`: an item of an Edge Config."""

    kind: Literal["vercel"]
    edge_config: Text
    team: Text | None = None


KINDS: Final[Mapping[str, type[FlagDraft]]] = {
    "sql": SqlFlagDraft,
    "env_file": EnvFileFlagDraft,
    "flagd": FlagdFlagDraft,
    "unleash": UnleashFlagDraft,
    "shell": ShellFlagDraft,
    "http": HttpFlagDraft,
    "launchdarkly": LaunchDarklyDraft,
    "growthbook": GrowthBookDraft,
    "configcat": ConfigCatDraft,
    "railway": RailwayDraft,
    "vercel": VercelDraft,
}


def _filled(told: Any, at: At, place: tuple[str | int, ...]) -> Any:
    """A body with its variables filled in."""
    if isinstance(told, str):
        return at.fill(told, *place)
    if isinstance(told, list):
        return [_filled(one, at, (*place, number)) for number, one in enumerate(told)]
    if isinstance(told, dict):
        return {key: _filled(one, at, (*place, key)) for key, one in told.items()}
    return told


def _kind(told: Any) -> str:
    kind = told.get("kind") if isinstance(told, dict) else None
    return f"<{kind}>" if isinstance(kind, str) else "<none>"


AnyFlagDraft: TypeAlias = Annotated[
    Annotated[SqlFlagDraft, Tag("<sql>")]
    | Annotated[EnvFileFlagDraft, Tag("<env_file>")]
    | Annotated[FlagdFlagDraft, Tag("<flagd>")]
    | Annotated[UnleashFlagDraft, Tag("<unleash>")]
    | Annotated[ShellFlagDraft, Tag("<shell>")]
    | Annotated[HttpFlagDraft, Tag("<http>")]
    | Annotated[LaunchDarklyDraft, Tag("<launchdarkly>")]
    | Annotated[GrowthBookDraft, Tag("<growthbook>")]
    | Annotated[ConfigCatDraft, Tag("<configcat>")]
    | Annotated[RailwayDraft, Tag("<railway>")]
    | Annotated[VercelDraft, Tag("<vercel>")],
    Discriminator(_kind),
]
"""Told from each other by `kind`; pydantic puts the tag into the place of a fault."""


class Flagged(Draft):
    """The whole file, where it has flags: most have none, and need not wait for their kinds."""

    flags: dict[Annotated[str, Field(pattern=r"^[A-Za-z][\w-]*$")], AnyFlagDraft] = Field(
        default_factory=dict, repr=False
    )


__all__ = ["KINDS", "AnyFlagDraft", "At", "FlagDraft", "FlagRequestDraft", "Flagged"]
