"""What a price and a batch call are in proctor.toml: tables of their own inside a provider's."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from proctor.model import BatchTerms, Price


def _money(value: object) -> object:
    # A bool is an int to Python; a float is taken as it is written, not as it is stored.
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("NaN")
        # Beyond that no sum is exact, and one as it is written would fill pages.
        if amount.is_finite() and amount.adjusted() < 12 and int(amount.as_tuple().exponent) > -18:
            return amount
    raise ValueError("write US dollars as a number or in quotes: 1.50 or '1.50'")


Money: TypeAlias = Annotated[Decimal, BeforeValidator(_money)]
Count: TypeAlias = Annotated[int, Field(gt=0, le=10**12)]


class Section(BaseModel):
    """One table of a provider: nothing unknown, nothing converted, no value shown."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class PriceDraft(Section):
    """`price = {…}`: US dollars for a million tokens, and for a request besides."""

    input: Annotated[Money, Field(ge=0)]
    output: Annotated[Money, Field(ge=0)] = Decimal(0)
    cached: Annotated[Money, Field(ge=0)] | None = None
    request: Annotated[Money, Field(ge=0)] = Decimal(0)

    def of(self) -> Price:
        """As it is reckoned with."""
        return Price(
            input_per_million=self.input,
            output_per_million=self.output,
            cached_per_million=self.cached,
            per_request=self.request,
            source="proctor.toml",
        )


class BatchDraft(Section):
    """`batch = {…}`: how questions go into batch calls."""

    requests: Annotated[int, Field(gt=0, le=50_000)] = 1000
    megabytes: Annotated[float, Field(gt=0, le=200, allow_inf_nan=False)] = 50.0
    gather_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 2.0
    poll_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 30.0
    at_least: Annotated[int, Field(gt=0, le=50_000)] = 10
    direct_after_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    price: PriceDraft | None = None

    @property
    def terms(self) -> BatchTerms:
        """What the engine goes by."""
        return BatchTerms(
            requests=self.requests,
            megabytes=self.megabytes,
            gather_s=self.gather_s,
            poll_s=self.poll_s,
            at_least=self.at_least,
            direct_after_s=self.direct_after_s,
            price=None if self.price is None else self.price.of(),
        )


def batch_said(said: object) -> object:
    """`batch = true` is all of its defaults."""
    return {True: {}, False: None}[said] if isinstance(said, bool) else said


__all__ = ["BatchDraft", "Count", "Money", "PriceDraft", "Section", "batch_said"]
