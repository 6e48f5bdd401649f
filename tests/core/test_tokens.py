"""Tokens are estimated by bytes, and the estimate follows what providers count."""

from proctor.core.tokens import Gauge
from proctor.model import Ask, Kind, Usage


def ask(sent, *, most_output=100):
    """A question of so many bytes."""
    return Ask(
        kind=Kind.CHAT,
        provider="writer",
        model="openai:x",
        sent="x" * sent,
        most_input=sent + 64,
        most_output=most_output,
    )


def test_before_any_reply_the_whole_cap_is_held():
    """Nothing is known yet: input by bytes, with something to spare, and all of the output."""
    held = Gauge().tokens(ask(3_000))
    assert 1_100 + 100 <= held <= 1_200 + 100


def test_the_estimate_comes_close_to_what_is_counted_and_stays_above():
    """After some replies it is within a quarter of the truth."""
    gauge = Gauge()
    for _ in range(60):
        gauge.learn(ask(3_000), Usage(input_tokens=750, output_tokens=20))
    assert 770 <= gauge.tokens(ask(3_000)) <= 770 * 1.25


def test_no_estimate_passes_the_bounds():
    """Neither more input than there are bytes nor more output than the cap."""
    gauge = Gauge(bytes_per_token=0.5, output=10_000.0)
    assert gauge.tokens(ask(100)) == 164 + 100
    assert gauge.tokens(ask(0, most_output=None)) >= 1
