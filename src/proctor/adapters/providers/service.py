"""From a service of proctor.toml to a provider; what it needs is an extra, imported here."""

from __future__ import annotations

import importlib.util

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from proctor.errors import ConfigError
from proctor.model import ServiceSettings

if TYPE_CHECKING:
    from proctor.adapters.providers.called import CalledService


def open_service(
    settings: ServiceSettings, secrets: Mapping[str, str], redact: Callable[[str], str] = str
) -> CalledService:
    """A service that is ready to be called; nothing is sent yet.

    secrets: the value of each variable that its templates name; redact: what takes their other
    spellings out of a text. Raises ConfigError where the extra is not installed, or a secret
    cannot stand in a header.
    """
    _check_library(settings, "httpx2")
    for name, secret in secrets.items():
        if not (secret.isascii() and secret.isprintable()):
            # The HTTP library would complain of it, and show it.
            raise ConfigError(
                f"the variable {name} of the provider {settings.name} cannot be sent",
                found="a line break, or a letter with an accent",
                fix=f"export {name} once more, without line breaks in it",
            )
    from proctor.adapters.providers.called import CalledService

    return CalledService(settings, secrets, redact=redact)


def picker_of(settings: ServiceSettings) -> Callable[[Any], Any] | None:
    """What takes the part at `json` out of a reply; None where all of it is wanted.

    A path that can name one place only gives what stands there, and LookupError where nothing
    does; any other path gives a list. Raises ConfigError for what is no path of RFC 9535.
    """
    if not settings.pick:
        return None
    _check_library(settings, "jsonpath_rfc9535")
    import jsonpath_rfc9535

    try:
        query = jsonpath_rfc9535.compile(settings.pick)
    except jsonpath_rfc9535.JSONPathError as error:
        raise ConfigError(
            f"json of [providers.{settings.name}] is no JSON path",
            found=f"{settings.pick}: {error}",
            fix="write it like $.items[0].isbn (RFC 9535)",
        ) from None
    one = query.singular_query()

    def pick(body: Any) -> Any:
        values = query.find(body).values()
        if not one:
            return values
        if not values:
            raise LookupError(settings.pick)
        return values[0]

    return pick


def _check_library(settings: ServiceSettings, module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ConfigError(
            f"the provider {settings.name} needs a library that is not installed",
            found=f"no module named {module}",
            fix="pip install 'proctor[http]'",
        )


__all__ = ["open_service", "picker_of"]
