"""The backfills of a configuration, their stamps with the models that make their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proctor.authoring import Backfill, load
from proctor.config import Config
from proctor.errors import ConfigError


def defined(config: Config) -> Mapping[str, Backfill]:
    """Every backfill by name. Raises DefinitionError, or ConfigError for `made_by=` of nobody."""
    found = load(config.backfills, config.root)
    return {name: _stamped(backfill, config) for name, backfill in found.items()}


def _stamped(backfill: Backfill, config: Config) -> Backfill:
    """The backfill in the version that its stamp will hold: another model is another version."""
    if not backfill.made_by:
        return backfill
    version = " ".join([backfill.version, *(_model(backfill, n, config) for n in backfill.made_by)])
    return replace(backfill, version=version, spec=replace(backfill.spec, version=version))


def _model(backfill: Backfill, name: str, config: Config) -> str:
    """A provider's model as stamps name it: vectors of other dimensions are of another one."""
    if name not in config.providers:
        raise ConfigError(
            f"{backfill.name} is made by a provider that proctor.toml does not name",
            found=f"made_by={name!r}; there are {', '.join(config.providers) or 'none'}",
            fix=f'[providers.{name}] model = "…", or made_by= one of those',
        )
    terms = config.providers.terms(name)
    return terms.model if terms.dimensions is None else f"{terms.model}/{terms.dimensions}"


__all__ = ["defined"]
