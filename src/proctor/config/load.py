"""Find proctor.toml, check it, and resolve one environment when somebody asks for it."""

from __future__ import annotations

import os

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ValidationError

from proctor.config.document import Document, Place, read
from proctor.config.environ import fill, names_in
from proctor.config.notify import NotifyPlace, notify_secrets, places_of
from proctor.config.paid import Setups, at_home, check_fallbacks, key_env
from proctor.config.schema import AnswersDraft, Draft, EnvDraft, RunDefaults, SignalDraft, Throttle
from proctor.config.secret import LONG, Redactor, Secret, looks_private, mask_url, secrets_of_url
from proctor.config.service import Services, models_of, services_of
from proctor.errors import ConfigError
from proctor.model import AlertRules

if TYPE_CHECKING:
    from proctor.config.flag import Flags

FILE: Final = "proctor.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSignal:
    """A throttle signal of the user's own: exactly one of `sql`, `http` and `python` is given.

    `pick` is the path to the number in the JSON that `http` answers, its parts with dots.
    """

    name: str
    limit: float
    unit: str
    timeout_s: float
    sql: str | None = None
    http: Secret | None = None
    headers: Mapping[str, Secret] = field(default_factory=dict)
    pick: str = ""
    python: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """One environment, resolved: its URLs are filled in, its own sections lie over the global.

    `blackout` holds only this environment's own windows; `Config.blackout` holds for all.
    """

    name: str
    store: Secret
    ledger: Secret
    protected: bool
    progress: Literal["store", "ledger"]
    blackout: tuple[str, ...]
    throttle: Throttle
    run: RunDefaults
    reports: Path
    log_file: Path | None
    signals: tuple[UserSignal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What proctor.toml says. Variables are looked up only for the environment that is asked for.

    root: the folder of the file; relative paths start there. `redact` takes every secret that
    the file or the process's environment holds out of a text.
    """

    path: Path
    root: Path
    backfills: tuple[str, ...]
    rollouts: tuple[str, ...]
    blackout: tuple[str, ...]
    throttle: Throttle
    run: RunDefaults
    redact: Redactor
    _document: Document = field(repr=False)
    _draft: Draft = field(repr=False)
    _variables: Mapping[str, str] = field(repr=False)

    @property
    def ledger(self) -> Secret:
        """The URL of the ledger; ConfigError if it needs a variable that is not set."""
        return self._url(self._draft.ledger, ("ledger",))

    @property
    def envs(self) -> Mapping[str, Env]:
        """Every environment by name; each is resolved when it is taken out."""
        return _Envs(self)

    @property
    def answers(self) -> AnswersDraft:
        """How long paid answers are kept, and how much of them."""
        return self._draft.answers

    @property
    def notify(self) -> tuple[NotifyPlace, ...]:
        """Where notices go; a place whose variable is not set says so, and harms nobody."""
        return tuple(places_of(self._draft.notify, self._document, self._fill))

    @property
    def alerts(self) -> AlertRules:
        """From which numbers on a run raises an alert."""
        return self._draft.alerts.rules

    @property
    def providers(self) -> Setups:
        """Every provider of paid answers by name; each is resolved when it is taken out."""
        drafts = models_of(self._draft.providers)
        return Setups(drafts, self._variables, self._document, self._fill)

    @property
    def services(self) -> Services:
        """The HTTP services among them, which have a section of their own kind."""
        drafts = services_of(self._draft.providers)
        return Services(drafts, self._variables, self._document, self._fill)

    @property
    def flags(self) -> Flags:
        """Every feature flag by name; each is resolved when it is taken out."""
        from proctor.config.flag import Flags

        return Flags(self._draft.flags, self.root, self._fill, self._url)

    def env(self, name: str) -> Env:
        """One environment; ConfigError if it is unknown or needs a variable that is not set."""
        drafts = self._draft.env
        if name not in drafts:
            known = ", ".join(drafts) or "none"
            raise ConfigError(
                f"{self.path} has no environment {name!r}",
                found=f"it has: {known}",
                fix=f"add [env.{name}] with a store, or choose another with --env",
            )
        return self._resolved(name, drafts[name])

    def _resolved(self, name: str, draft: EnvDraft) -> Env:
        place: Place = ("env", name)
        throttle, run = draft.throttle.over(self.throttle), draft.run.over(self.run)
        return Env(
            name=name,
            store=self._url(draft.store, (*place, "store")),
            ledger=self._url(draft.ledger, (*place, "ledger")) if draft.ledger else self.ledger,
            protected=draft.protected,
            progress=draft.progress,
            blackout=draft.window.blackout,
            throttle=throttle,
            run=run,
            reports=self._file(run.reports, self._where("run", "reports", name)),
            log_file=self._file(run.log_file, self._where("run", "log_file", name))
            if run.log_file
            else None,
            signals=(
                *self._signals(self.throttle.signal, ("throttle", "signal")),
                *self._signals(draft.throttle.signal, (*place, "throttle", "signal")),
            ),
        )

    def _signals(self, drafts: tuple[SignalDraft, ...], place: Place) -> Iterator[UserSignal]:
        for number, draft in enumerate(drafts):
            here = (*place, number)
            yield UserSignal(
                name=draft.name,
                limit=draft.limit,
                unit=draft.unit,
                timeout_s=draft.timeout_s,
                sql=draft.sql,
                http=self._url(draft.http, (*here, "http")) if draft.http else None,
                headers={
                    name: Secret(self._fill(text, (*here, "headers", name)))
                    for name, text in draft.headers.items()
                },
                pick=draft.pick,
                python=draft.python,
            )

    def _url(self, text: str, place: Place) -> Secret:
        """A URL with its variables filled in; a relative SQLite file starts at the root."""
        url = self._fill(text, place)
        if "://" not in url:
            raise ConfigError(
                f"{self._document.where(place)} is not a URL",
                found="a text without ://",
                fix="write sqlite:///file.db or postgresql://user:${PASSWORD}@host/database",
            )
        scheme, _, rest = url.partition("://")
        file, mark, query = rest.removeprefix("/").partition("?")
        relative = rest.startswith("/") and not file.startswith(("/", "file:"))
        if scheme.startswith("sqlite") and relative and file and file != ":memory:":
            url = f"{scheme}:///{self.root / file}{mark}{query}"
        # A variable may be any part of a web address; of a store's only the login is private.
        return Secret(url, mask_url(text if scheme.startswith("http") else url))

    def _fill(self, text: str, place: Place) -> str:
        return fill(text, self._variables, self._document.where(place))

    def _file(self, text: str, place: Place) -> Path:
        return self.root / at_home(self._fill(text, place))

    def _where(self, section: str, key: str, env: str) -> Place:
        own: Place = ("env", env, section, key)
        return own if own in self._document.lines else (section, key)


class _Envs(Mapping[str, Env]):
    """Environments by name, resolved one by one: a missing variable harms only its own."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __getitem__(self, name: str) -> Env:
        if name not in self._config._draft.env:  # noqa: SLF001 - two halves of one thing
            raise KeyError(name)
        return self._config.env(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._config._draft.env)  # noqa: SLF001 - two halves of one thing

    def __len__(self) -> int:
        return len(self._config._draft.env)  # noqa: SLF001 - two halves of one thing

    def __repr__(self) -> str:
        return f"<environments: {', '.join(self)}>"


def load(path: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Config:
    """Read proctor.toml: the file or folder given, or the nearest at or above this folder.

    environ: what `${NAME}` is read from; the process's environment by default.
    Raises ConfigError with file, line and key for whatever is wrong.
    """
    variables = dict(os.environ if environ is None else environ)
    file = _find(Path.cwd()) if path is None else path.absolute()
    file = file / FILE if file.is_dir() else file
    document = read(file)
    try:
        draft = _model(document).model_validate(document.data)
    except ValidationError as fault:
        from proctor.config.faults import explain

        # From None: the cause would show the values of the file.
        raise explain(document, fault) from None
    check_fallbacks(models_of(draft.providers), document)
    return Config(
        path=file,
        root=file.parent,
        backfills=draft.backfills,
        rollouts=draft.rollouts,
        blackout=draft.window.blackout,
        throttle=draft.throttle,
        run=draft.run,
        redact=Redactor(_secrets(draft, variables)),
        _document=document,
        _draft=draft,
        _variables=variables,
    )


def _model(document: Document) -> type[Draft]:
    """What the file may say: the kinds of flags are loaded where there are flags."""
    if "flags" not in document.data:
        return Draft
    from proctor.config.flagdraft import Flagged

    return Flagged


def _find(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    raise ConfigError(
        f"there is no {FILE} in this folder or above it",
        found=str(start),
        fix="go to your project, make one with `proctor init`, or name it with --config",
    )


def _secrets(draft: Draft, variables: Mapping[str, str]) -> set[str]:
    """Every secret that this file can lead to, and what the environment seems to hold besides."""
    envs = draft.env.values()
    signals = [*draft.throttle.signal, *(s for env in envs for s in env.throttle.signal)]
    headers = [text for s in signals for text in s.headers.values()]
    urls = [draft.ledger, *(env.store for env in envs), *(env.ledger or "" for env in envs)]
    urls += [s.http or "" for s in signals]
    models, services = models_of(draft.providers).values(), services_of(draft.providers).values()
    urls += [provider.base_url or "" for provider in models]
    headers += [text for service in services for text in service.headers.values() if "${" in text]
    secrets: set[str] = set()
    if draft.flags:
        from proctor.config.flag import flag_secrets

        secrets |= flag_secrets(draft.flags, variables)
    for text, whole in [*((url, False) for url in urls), *((text, True) for text in headers)]:
        try:
            filled = fill(text, variables, "")
        except ConfigError:
            continue  # whatever asks for it will say so
        secrets |= {filled} if whole else secrets_of_url(filled)
        # `https://host/${TOKEN}`: a variable in a web address is secret wherever it stands.
        if whole or filled.startswith("http"):
            secrets |= {variables[name] for name in names_in(text)}
    # A key is a secret also where its variable's name does not say so, or it is short.
    keys = (variables.get(key_env(provider), "") for provider in models)
    secrets |= {key.strip() for key in keys} - {""}
    for service in services:
        secrets |= {variables.get(one, "") for one in service.secrets} - {""}
    secrets |= {*notify_secrets(draft.notify, variables)}
    for name, value in variables.items():
        if looks_private(name) and len(value) >= LONG:
            secrets.add(value)
        if "://" in value:
            secrets |= secrets_of_url(value) - {value}
    return secrets


__all__ = ["Config", "Env", "UserSignal", "load"]
