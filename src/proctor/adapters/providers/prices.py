"""What a model costs: the user's own price, else the price list that is installed, offline."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from proctor.model import Price, ProviderSettings

HALF_PRICED: Final = frozenset({"openai", "anthropic", "google"})
"""Vendors who publish that a batch call costs half."""


def price_of(settings: ProviderSettings, model: str) -> Price | None:
    """The standard price of a model for direct calls; None where it is not known for sure.

    The list is never asked for prices of batches: of some embedding models it tells the standard
    price then, and says nothing. Where a price depends on the input's length or on the hour, the
    dearest is taken: it is there to hold a budget. A price of nothing is no price: the list has
    zeros for previews that will cost something, and only the user can say that a model is free.
    """
    if settings.price is not None:
        return settings.price
    found = _listed(settings, model)
    if found is None:
        return None
    dearest: dict[str, Decimal | None] = {}
    for kind in ("input_mtok", "output_mtok", "cache_read_mtok"):
        dearest[kind] = _dearest(found, kind)
    entry, output = dearest["input_mtok"], dearest["output_mtok"]
    if output is None and "embed" in model:
        output = Decimal(0)  # there is no output
    if not entry or output is None:
        return None
    return Price(
        input_per_million=entry,
        output_per_million=output,
        cached_per_million=dearest["cache_read_mtok"],
        source=_source(),
    )


def batch_price_of(settings: ProviderSettings) -> Price | None:
    """The price of the model's batch calls; None where nobody has published it.

    The vendors write: half of the price of direct calls. Whoever serves at another address may
    not, so there the user says it. Input that was cached is half price or less already: of its
    own price nothing is taken off.
    """
    if settings.batch is not None and settings.batch.price is not None:
        return settings.batch.price
    if settings.base_url is not None or settings.vendor not in HALF_PRICED:
        return None
    full = price_of(settings, settings.model)
    if full is None:
        return None
    half, cached = full.input_per_million / 2, full.cached_per_million
    return Price(
        input_per_million=half,
        output_per_million=full.output_per_million / 2,
        cached_per_million=None if cached is None else min(half, cached),
        per_request=full.per_request,
        source=f"half of: {full.source}",
    )


def _listed(settings: ProviderSettings, model: str) -> list[Any] | None:
    """The prices of the model in the list: several where they depend on the time."""
    from genai_prices.data_snapshot import get_snapshot

    # At another address another price is asked, unless the list knows the address itself.
    at = None if settings.base_url is None else settings.base_url
    vendor = settings.vendor if at is None else None
    try:
        _, info = get_snapshot().find_provider_model(model, None, vendor, at)
    except LookupError:
        return None
    prices: Any = info.prices
    return [entry.prices for entry in prices] if isinstance(prices, list) else [prices]


def _dearest(prices: list[Any], kind: str) -> Decimal | None:
    told: list[Decimal] = []
    for price in prices:
        one = getattr(price, kind, None)
        if one is None:
            continue
        tiers = getattr(one, "tiers", None)
        told += [one] if tiers is None else [one.base, *(tier.price for tier in tiers)]
    return max(told) if told else None


def _source() -> str:
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


__all__ = ["batch_price_of", "price_of"]
