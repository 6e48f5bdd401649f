"""From settings to a provider; the vendors' libraries are extras, imported here."""

from __future__ import annotations

import importlib
import importlib.util

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from proctor.errors import ConfigError, ProviderRefused
from proctor.model import Price, ProviderSettings

if TYPE_CHECKING:
    from proctor.adapters.providers.batchcalls import VendorBatches
    from proctor.adapters.providers.local import LocalProvider
    from proctor.adapters.providers.provider import VendorProvider

_NEEDS: Final = {
    "openai": ("pydantic_ai", "genai_prices", "openai", "tiktoken"),
    "anthropic": ("pydantic_ai", "genai_prices", "anthropic"),
    "google": ("pydantic_ai", "genai_prices", "google.genai"),
    "local": (),
}
FREE: Final = Price(
    input_per_million=Decimal(0),
    output_per_million=Decimal(0),
    source="it runs in this process",
)


def open_provider(settings: ProviderSettings, key: str | None) -> VendorProvider | LocalProvider:
    """A provider that is ready to be asked; nothing is sent yet.

    key: from the environment variable `settings.key_env`; only servers at a `base_url` may do
    without. Raises ConfigError where the extra is not installed, ProviderRefused without a key.
    """
    _check_libraries(settings)
    if settings.vendor == "local":
        return open_local(settings)
    if not key and settings.base_url is None:
        raise ProviderRefused(
            f"the provider {settings.name} has no key",
            found=f"the environment variable {settings.key_env} is not set",
            fix=f"export {settings.key_env}=… before you call proctor",
        )
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        # The HTTP library would complain of it, and show it.
        raise ProviderRefused(
            f"the key of the provider {settings.name} has characters that no key has",
            found="a line break, a space or a letter with an accent",
            fix=f"export {settings.key_env or 'it'} once more, without quotes or line breaks in it",
        )
    from proctor.adapters.providers.provider import VendorProvider

    # It takes seconds: by the first call they would count as its time, in forecasts and limits.
    importlib.import_module(f"pydantic_ai.models.{settings.vendor}")
    return VendorProvider(settings, key or "")


def open_batches(settings: ProviderSettings, key: str | None) -> VendorBatches:
    """The batch calls of a provider; nothing is sent yet. Raises as `open_provider` does."""
    open_provider(settings, key)
    from proctor.adapters.providers.batches import batches_of

    return batches_of(settings, key or "")


def open_local(settings: ProviderSettings) -> LocalProvider:
    """A model of this process; it is loaded when it is first asked. Raises as `open_provider`."""
    from proctor.adapters.providers.local import LocalProvider, library_of

    module = library_of(settings)
    if not _there(module):
        raise ConfigError(
            f"the provider {settings.name} needs the library of its local model",
            found=f"no module named {module}",
            fix="pip install 'proctor[local]'",
        )
    return LocalProvider(settings)


def list_price(settings: ProviderSettings) -> Price | None:
    """What its model costs, without asking anybody; None where that is not known.

    Raises ConfigError where the extra is not installed.
    """
    _check_libraries(settings)
    if settings.vendor == "local":
        open_local(settings)
        return FREE
    from proctor.adapters.providers.prices import price_of

    return price_of(settings, settings.model)


def list_batch_price(settings: ProviderSettings) -> Price | None:
    """The same of its batch calls."""
    _check_libraries(settings)
    from proctor.adapters.providers.prices import batch_price_of

    return batch_price_of(settings)


def _check_libraries(settings: ProviderSettings) -> None:
    for module in _NEEDS[settings.vendor]:
        if not _there(module):
            raise ConfigError(
                f"the provider {settings.name} needs the libraries of {settings.vendor}",
                found=f"no module named {module}",
                fix="pip install 'proctor[ai]'",
            )


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False  # the package around it is missing


__all__ = ["list_batch_price", "list_price", "open_batches", "open_local", "open_provider"]
