"""Questions for the tests' vendor, in the neutral form in which providers are asked."""

from dataclasses import replace
from decimal import Decimal

from proctor.model import Ask, Kind, Price, canonical

CHAT = {"openai": "gpt-5-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-2.5-flash"}
EMBED = {"openai": "text-embedding-3-small", "google": "gemini-embedding-001"}
VENDORS = list(CHAT)
PRICE = Price(input_per_million=Decimal(1), output_per_million=Decimal(5), source="test")


def chat(text, vendor="openai", **said):
    """A question of one message to a vendor's chat model."""
    sent = {"system": None, "messages": [{"role": "user", "content": text}], "schema": None}
    sent |= {"schema_name": "song", "max_tokens": 500, "temperature": None} | said
    model = f"{vendor}:{CHAT[vendor]}"
    return Ask(
        kind=Kind.CHAT,
        provider="writer",
        model=model,
        sent=canonical(sent),
        most_input=400,
        most_output=sent["max_tokens"],
    )


def embed(text, vendor="openai", dimensions=None):
    """One text for a vendor's embedding model."""
    return Ask(
        kind=Kind.EMBED,
        provider="writer",
        model=f"{vendor}:{EMBED[vendor]}",
        sent=canonical({"text": text, "dimensions": dimensions}),
        most_input=100,
    )


def of_model(ask, model):
    """The same question for another model."""
    return replace(ask, model=model)
