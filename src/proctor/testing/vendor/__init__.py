"""A vendor on this machine: three wire shapes and plain services, honest limits, faults, books.

with serve_vendor(Served(name="gpt-5-mini", rpm=60)) as vendor:
    ...  # ask vendor.openai_url, vendor.anthropic_url or vendor.google_url with vendor.key
    assert vendor.books()["gpt-5-mini"].usd <= Decimal("1.00")

What it answers is computed from the request alone, so that a row's right answer is known:
`right_answer` for chat, `right_vector` for embeddings and `right_reply` for services.
"""

from proctor.testing.vendor.answers import right_answer, right_text, right_vector, tokens_of
from proctor.testing.vendor.server import VendorServer, serve_vendor
from proctor.testing.vendor.service import right_reply
from proctor.testing.vendor.terms import Fault, Flaw, Served, Tally

__all__ = [
    "Fault",
    "Flaw",
    "Served",
    "Tally",
    "VendorServer",
    "right_answer",
    "right_reply",
    "right_text",
    "right_vector",
    "serve_vendor",
    "tokens_of",
]
