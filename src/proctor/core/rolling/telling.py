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
    return standing.held.why if standing.held is not None else ""


def still_open(standing: Standing) -> str:
    """The flags that this rollout has opened; empty where there is none."""
    flags = [
        f"flag {name} was last set to {told['percent']}%"
        for name, told in standing.flags.items()
        if "percent" in told and told["percent"] != told["before"]["percent"]
    ]
    return f"readers are still let in: {', '.join(flags)}" if flags else ""


__all__ = ["still_open", "where", "why"]
