"""`[flags.NAME]`: flags by name, their variables filled in when one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proctor.config.document import Place
from proctor.config.environ import fill, names_in
from proctor.config.flagdraft import KINDS, AnyFlagDraft, FlagRequestDraft
from proctor.config.secret import Secret, secrets_of_url
from proctor.errors import ConfigError
from proctor.model import AnyFlag


class Flags(Mapping[str, AnyFlag]):
    """Flags by name, resolved one by one: a variable that is missing harms only its own."""

    def __init__(
        self,
        drafts: Mapping[str, AnyFlagDraft],
        root: Path,
        fill: Callable[[str, Place], str],
        url: Callable[[str, Place], Secret],
    ) -> None:
        """`fill` puts the environment's values into a text that stands at a place of the file."""
        self._drafts, self._root, self._fill, self._url = drafts, root, fill, url

    def __getitem__(self, name: str) -> AnyFlag:
        """The flag; ConfigError if a variable of its section is not set."""
        place = _Section(("flags", name), self._root, self._fill, self._url)
        return self._drafts[name].settings(name, place)

    def __contains__(self, name: object) -> bool:
        """Needs no variable: a Mapping would resolve it to find out."""
        return name in self._drafts

    def __iter__(self) -> Iterator[str]:
        return iter(self._drafts)

    def __len__(self) -> int:
        return len(self._drafts)

    def kind(self, name: str) -> str:
        """Where it is kept, as the file says it."""
        return self._drafts[name].kind

    def __repr__(self) -> str:
        return f"<flags: {', '.join(self)}>"


@dataclass(frozen=True, slots=True)
class _Section:
    """One section of the file, as a draft asks it."""

    place: Place
    root: Path
    filled: Callable[[str, Place], str]
    address: Callable[[str, Place], Secret]

    def fill(self, text: str, *place: str | int) -> str:
        """The text with its variables filled in."""
        return self.filled(text, (*self.place, *place))

    def url(self, text: str, *place: str | int) -> str:
        """The same of a database's URL."""
        return self.address(text, (*self.place, *place)).reveal()


def keys_of(section: Any, inside: tuple[str, ...]) -> list[str]:
    """The keys that a section of flags, or a table in it, may have."""
    kind = section.get("kind") if isinstance(section, dict) else None
    model = FlagRequestDraft if inside else KINDS.get(kind or "", KINDS["sql"])
    return [field.alias or name for name, field in model.model_fields.items()]


def flag_secrets(drafts: Mapping[str, AnyFlagDraft], variables: Mapping[str, str]) -> set[str]:
    """Every secret that the sections can lead to."""
    secrets: set[str] = set()
    for draft in drafts.values():
        told = draft.model_dump(
            include={"url", "token", "client_token", "write", "read", "observe"}
        )
        for key, text in _texts(told):
            web = text.startswith("http") or draft.kind != "sql"
            if key != "url" or web:
                secrets |= {variables.get(name, "") for name in names_in(text)}
            if key != "url":
                continue
            try:
                secrets |= secrets_of_url(fill(text, variables, ""))
            except ConfigError:
                continue  # whatever asks for it will say so
    return secrets - {""}


def _texts(told: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(told, str):
        yield key, told
    elif isinstance(told, Mapping):
        for name, one in told.items():
            yield from _texts(one, str(name))
    elif isinstance(told, list | tuple):
        for one in told:
            yield from _texts(one, key)


__all__ = ["Flags", "flag_secrets", "keys_of"]
