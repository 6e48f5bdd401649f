"""What an approval covers of providers: all that proctor.toml says of them, and what they cost."""

from __future__ import annotations

import hashlib

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from proctor.config import Config, Services, Setups
from proctor.errors import ProctorError
from proctor.model import Price, address_of, canonical


def terms_of(config: Config) -> dict[str, str]:
    """Every setting of every provider by its key in the file: `providers.writer.model`.

    Variables stay as they are written, so that no key is in it; an address behind them counts
    by a fingerprint of its host. The price is the one that would be paid, wherever it is from.
    """
    found: dict[str, str] = {}
    for name in config.providers:
        said = config.providers.said(name)
        if "price" not in said:
            said["price"] = _listed(config.providers, name)
        base_url = said.get("base_url")
        if base_url and "${" in base_url:
            said["base_url"] = f"{base_url} ({_host(config.providers, name)})"
        found |= dict(_flat(f"providers.{name}", said))
    for name in config.services:
        said = {"price": "not known", **config.services.said(name)}
        if "${" in address_of(said["url"])[0]:
            said["url"] = f"{said['url']} ({_machine(config.services, name)})"
        if not isinstance(said.get("body", ""), str):
            # As it is sent: 1 is another question than "1", and ["a, b"] than ["a", "b"].
            said["body"] = canonical(said["body"])
        found |= dict(_flat(f"providers.{name}", said))
    return dict(sorted(found.items()))


def _flat(at: str, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in said.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{at}.{key}", value)
        elif value not in ((), "") or at.count(".") > 1:  # a header without a value is sent
            yield f"{at}.{key}", _text(value)


def _text(value: object) -> str:
    """A setting that is the same text however it was written: 1.50 and 1.5 are one budget."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(setups: Setups, name: str) -> Mapping[str, Any] | str:
    """The entry of the price list; its version alone voids nothing."""
    try:
        from proctor.adapters.providers import list_price

        price = list_price(setups.settings(name))
    except ProctorError:
        price = None  # a run would say why, before it asks anything
    return "not known" if price is None else _sums(price)


def _sums(price: Price) -> dict[str, Decimal]:
    cached = price.cached_per_million
    return {
        "input": price.input_per_million,
        "output": price.output_per_million,
        "request": price.per_request,
    } | ({} if cached is None else {"cached": cached})


def _host(setups: Setups, name: str) -> str:
    """Which machine a variable leads to, without telling it."""
    try:
        return _fingerprint(setups.settings(name).base_url or "")
    except ProctorError:
        return "not set"


def _machine(services: Services, name: str) -> str:
    """The same of a service."""
    try:
        return _fingerprint(services.settings(name).at)
    except ProctorError:
        return "not set"


def _fingerprint(url: str) -> str:
    address = urlsplit(url)
    origin = f"{address.scheme}://{address.netloc}".lower()
    return hashlib.sha256(origin.encode()).hexdigest()[:12]


__all__ = ["terms_of"]
