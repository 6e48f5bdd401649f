"""What proctor.toml may say: every key with its type, unit and bounds."""

from __future__ import annotations

import re

from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from proctor.config.notify import AlertsDraft, AnyNotify, NotifyDraft, ShareDraft
from proctor.config.paid import BatchDraft, PriceDraft, ProviderDraft
from proctor.config.service import AnyDraft, ServiceDraft, ServicePrice

_WINDOW: Final = re.compile(r"(?:.+ )?\d\d:\d\d-\d\d:\d\d(?: .+)?")


def _like_a_window(text: str) -> str:
    # Days and zones are read by core/windows; here only what a line number helps to mend.
    if not _WINDOW.fullmatch(text.strip()):
        raise ValueError("write it like 'mon-fri 09:00-17:00 Europe/Berlin'")
    return text


Texts: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]
Windows: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_like_a_window)], ...], Field(strict=False)
]
Above: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share: TypeAlias = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Url: TypeAlias = Annotated[str, Field(min_length=1)]
Count: TypeAlias = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """One table of the file: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    def over(self, other: Self) -> Self:
        """These settings where they were written, the other's elsewhere."""
        return other.model_copy(update={k: getattr(self, k) for k in self.model_fields_set})


class SignalDraft(Section):
    """`[[throttle.signal]]`: a number of the user's own, and where Proctor would stop."""

    name: Annotated[str, Field(min_length=1)]
    limit: Above
    unit: str = ""
    timeout_s: Above = 2.0
    sql: str | None = None
    http: str | None = None
    pick: Annotated[str, Field(alias="json")] = ""
    headers: dict[str, str] = {}
    python: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.sql, self.http, self.python)) != 1:
            raise ValueError("give exactly one of sql, http and python")
        if self.http is None and (self.pick or self.headers):
            raise ValueError("json and headers belong to http")
        if self.python is not None and not re.fullmatch(r"[\w.]+:[\w.]+", self.python):
            raise ValueError("write python as 'module:function'")
        return self


class Throttle(Section):
    """`[throttle]`: the numbers at which Proctor stops; what is left out keeps the store's own."""

    replication_lag_s: Above | None = None
    active_connections_share: Share | None = None
    lock_waiters: Above | None = None
    wal_bytes_per_s: Above | None = None
    commit_latency_ms: Above | None = None
    busy_share: Share | None = None
    duty: Share | None = None
    """The largest share of time that write transactions may take."""
    signal: tuple[SignalDraft, ...] = Field(default=(), strict=False, repr=False)

    @property
    def limits(self) -> dict[str, float]:
        """Signal to limit, for the signals that the file names: in the stores' words and units."""
        said = self.model_dump(exclude={"duty", "signal"}, exclude_none=True)
        return {_SIGNALS[key][0]: limit * _SIGNALS[key][1] for key, limit in said.items()}


# People write whole milliseconds and bytes; stores count in seconds and megabytes.
_SIGNALS: Final[dict[str, tuple[str, float]]] = {
    "replication_lag_s": ("replication_lag", 1.0),
    "active_connections_share": ("active_connections", 1.0),
    "lock_waiters": ("lock_waiters", 1.0),
    "wal_bytes_per_s": ("wal_rate", 1e-6),
    "commit_latency_ms": ("commit_latency", 1e-3),
    "busy_share": ("busy", 1.0),
}


class RunDefaults(Section):
    """`[run]`: how runs behave unless a command says otherwise."""

    chunk_rows: Count | None = None
    """Keys in the first chunk; after that the measured write time decides."""
    workers: Annotated[int, Field(gt=0, le=64)] | None = None
    pause_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """A rest after every chunk, until `tune` says otherwise."""
    lease_s: Annotated[float, Field(ge=5, le=3600)] = 30.0
    lock_timeout_s: Above = 5.0
    statement_timeout_s: Above = 30.0
    retention_days: Above = 30.0
    """For how long before- and after-images are kept."""
    when_quota_spent: Literal["wait", "pause"] = "wait"
    """Whether a run waits for a provider's daily quota to begin anew, or leaves."""
    reports: str = ".proctor/reports"
    log_file: str | None = None


class AnswersDraft(Section):
    """`[answers]`: for how long paid answers are kept, and how much of them."""

    keep_for: Annotated[str, Field(pattern=r"^\d{1,5}[hdw]$")] | None = None
    most_mb: Above | None = None

    @property
    def age(self) -> timedelta | None:
        """`keep_for` as a length of time."""
        units = {"h": "hours", "d": "days", "w": "weeks"}
        text = self.keep_for
        return None if text is None else timedelta(**{units[text[-1]]: int(text[:-1])})

    @property
    def most_bytes(self) -> int | None:
        """`most_mb` in bytes."""
        return None if self.most_mb is None else int(self.most_mb * 1_000_000)


class Window(Section):
    """`[window]`: when nothing may be written."""

    blackout: Windows = ()


class EnvDraft(Section):
    """`[env.NAME]`: one place where backfills run; its own sections go over the global ones."""

    store: Url = Field(repr=False)
    ledger: Url | None = Field(default=None, repr=False)
    protected: bool = False
    progress: Literal["store", "ledger"] = "store"
    throttle: Throttle = Throttle()
    window: Window = Window()
    run: RunDefaults = RunDefaults()


class Draft(Section):
    """The whole file, before variables are filled in."""

    backfills: Texts
    rollouts: Texts = ()
    """Modules that define rollouts, where those of `backfills` do not."""
    ledger: Url = Field(default="sqlite:///.proctor/ledger.db", repr=False)
    env: dict[str, EnvDraft] = Field(default_factory=dict, repr=False)
    throttle: Throttle = Throttle()
    window: Window = Window()
    run: RunDefaults = RunDefaults()
    answers: AnswersDraft = AnswersDraft()
    notify: AnyNotify = Field(default=(), repr=False)
    alerts: AlertsDraft = AlertsDraft()
    providers: dict[Annotated[str, Field(pattern=r"^[A-Za-z][\w-]*$")], AnyDraft] = Field(
        default_factory=dict, repr=False
    )
    flags: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Of which kind they are says `flagdraft.Flagged`, where there are any."""


_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "throttle": Throttle,
    "signal": SignalDraft,
    "window": Window,
    "run": RunDefaults,
    "answers": AnswersDraft,
    "notify": NotifyDraft,
    "alerts": AlertsDraft,
    "share": ShareDraft,
    "price": PriceDraft,
    "batch": BatchDraft,
}


def known_keys(table: tuple[str | int, ...], *, service: bool = False) -> list[str]:
    """The keys that a table of the file may have, as they are written.

    service: whether a provider is one, and no model.
    """
    model: type[BaseModel] = Draft
    names = [part for part in table if isinstance(part, str)]
    if names[:1] == ["env"]:
        model, names = EnvDraft, names[2:]
    elif names[:1] == ["providers"]:
        if service:
            last = ServicePrice if names[2:] == ["price"] else ServiceDraft
            return [field.alias or name for name, field in last.model_fields.items()]
        model, names = ProviderDraft, names[2:]
    elif names[:2] == ["alerts", "share"]:
        names = names[:2]  # behind it stands a name of the user's own
    for name in names:
        model = _SECTIONS.get(name, model)
    return [field.alias or name for name, field in model.model_fields.items()]


__all__ = [
    "AnswersDraft",
    "Draft",
    "EnvDraft",
    "RunDefaults",
    "Section",
    "SignalDraft",
    "Throttle",
    "known_keys",
]
