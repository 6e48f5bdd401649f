"""How many tokens a question will take: by its bytes, calibrated by what providers counted."""

from __future__ import annotations

from dataclasses import dataclass

from proctor.model import Ask, Usage

WEIGHT = 0.1
"""How much one reply's count moves the estimate."""
SPARE = 1.15
"""Above the mean: most calls give back a little, few take more than they held."""


@dataclass(slots=True)
class Gauge:
    """One provider's bytes a token, tokens and time of a reply, as far as replies have told.

    It estimates what counts against a rate; money is always held by the upper bounds.
    """

    bytes_per_token: float = 3.0
    """A little under the four of English text: too many tokens held are given back."""
    output: float | None = None
    seconds: float | None = None
    """The usual time of a call, without the wait for its turn."""

    def tokens(self, ask: Ask) -> int:
        """Tokens to hold for a question, input and output together."""
        sent = len(ask.sent.encode())
        cap = ask.most_output or 0
        out = cap if self.output is None else min(cap, self.output * SPARE)
        return max(1, round(min(ask.most_input, sent / self.bytes_per_token * SPARE) + out))

    def learn(self, ask: Ask, usage: Usage) -> None:
        """Take in what a provider counted for a question."""
        if usage.input_tokens > 0:
            seen = len(ask.sent.encode()) / usage.input_tokens
            self.bytes_per_token += WEIGHT * (seen - self.bytes_per_token)
        if ask.most_output is not None:
            mean = self.output
            count = usage.output_tokens
            self.output = float(count) if mean is None else mean + WEIGHT * (count - mean)

    def timed(self, seconds: float) -> None:
        """Take in how long a call took."""
        usual = self.seconds
        self.seconds = seconds if usual is None else usual + WEIGHT * (seconds - usual)
