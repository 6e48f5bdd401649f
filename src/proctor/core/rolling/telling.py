"""Where a rollout stands, in words: also that it is stepping back, which its state does not say."""

from __future__ import annotations

from proctor.core.rolling.standing import Standing, stumble
from proctor.model import RolloutState


def where(state: RolloutState, standing: Standing) -> str:
    """A word or two; its state keeps what it was in when it began to step back."""
    if standing.ended is None and standing.held is None and standing.stepping_back is not None:
        return "stepping back"
    if standing.ended is None and standing.stepping_back is None and standing.rejected is not None:
        return "rejected"
    return state.value.replace("_", " ")


def why(standing: Standing) -> str:
    """Why it is so; empty where it goes on as it should."""
    if standing.ended is not None:
        return standing.why
    begun, word = standing.stepping_back, standing.rejected
    if begun is not None and standing.held is None:
        stuck = stumble(standing.stumbled) if standing.stumbled else ""
        return "; ".join(one for one in (begun.data["why"], stuck or still_open(standing)) if one)
    if begun is None and word is not None:
        said = f"by {word.who}: {word.data['reason']}; nothing is taken back yet"
        return "; ".join(one for one in (said, still_open(standing)) if one)
    return standing.why_held


def still_open(standing: Standing) -> str:
    """At how many percent the flags stand that this rollout has opened; empty where none is."""
    said = []
    for name, told in standing.flags.items():
        before, percent = told["before"]["percent"], told.get("percent")
        if percent is not None and "was" in told:
            was = told["was"]["percent"]
            said.append(
                f"flag {name} was at {was}% and being set to {percent}%: nobody knows which"
            )
        elif percent not in (None, before):
            said.append(f"readers are still let in: flag {name} was last set to {percent}%")
    return "; ".join(said)


__all__ = ["still_open", "where", "why"]
