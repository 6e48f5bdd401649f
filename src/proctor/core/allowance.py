"""What one provider may still be asked: the state of its limits, and every decision on it.

The state is a value that is kept as text in the ledger; whoever asks locks it, decides here and
keeps the new one. So limits hold across all who share the ledger, and after a crash.
"""

from __future__ import annotations

import math

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from proctor.core.allowed import EXACT, QUARTERS, ZERO, Quarter, State, Taken
from proctor.core.resets import next_reset
from proctor.model import Hints, Hold, Limits, Spending, Spent, Wait

HOLD_FOR: Final = timedelta(minutes=10)
"""After this a call that nobody settled is taken for dead: it is not in flight any more."""
BATCH_FOR: Final = timedelta(days=30)
"""After this a batch call that nobody settled is forgotten, as its vendor has forgotten it."""
WINDOW: Final = 61.25
"""Seconds that a minute's limit counts over: at the provider one call arrives up to a second
later after its grant than another, and what we count by is rounded to quarters of a second."""
BURST: Final = 2.0
"""Seconds of the even flow that may be asked at once: whoever wakes late by that loses nothing."""
SHORTEST_WAIT: Final = 0.05
"""A trip for each single call would cost more than the call's share of the rate."""
POLL: Final = 0.1
"""Seconds to wait for others' calls to end: nobody can say when that will be."""
CUT: Final = 0.75
LEAST: Final = 0.05
"""The smallest share of the rates that 429s bring them down to."""
RECOVERY: Final = 60.0
"""Seconds of good replies that bring the rates from nothing to all."""
LONGEST_STEP: Final = 15.0
"""Seconds that one good reply can stand for: a pause proves nothing."""
FIRST_REST: Final = 1.0
LONGEST_REST: Final = 60.0
"""Seconds of rest after 429s that do not say how long."""
MOST_REST: Final = 86_400.0
"""Seconds of rest that a provider may ask for."""


def admit(
    state: State, limits: Limits, hold: Hold, now: datetime, *, hold_for: timedelta = HOLD_FOR
) -> tuple[State, Taken | Wait | Spent]:
    """Whether a call may be made now; what it takes at most is taken from the state if so.

    Raises ValueError for a hold that is no number or below 0: what a call can cost must be known.
    """
    if hold.tokens < 0 or not hold.usd.is_finite() or hold.usd < 0:
        raise ValueError("a hold is 0 or more, and finite")
    state = _moved(state, limits, now)
    word = _spent(state, limits, hold, now) or _wait(state, limits, hold)
    if word is not None:
        return state, word
    newest = state.quarters[-1].quarter if state.quarters else 0
    quarter = max(math.floor(state.at * QUARTERS), newest)
    expires = math.ceil(state.at + hold_for.total_seconds())
    state = replace(
        state,
        quarters=_counted(state.quarters, Quarter(quarter, 1, hold.tokens)),
        ahead_requests=state.ahead_requests + 1 if limits.rpm else 0.0,
        ahead_tokens=state.ahead_tokens + hold.tokens if limits.tpm else 0.0,
        flying=_changed(state.flying, expires, 1),
        counted=state.counted + 1,
        counted_at=state.at,
        calls=state.calls + 1,
        held=EXACT.add(state.held, hold.usd),
    )
    return state, Taken(quarter=quarter, expires=expires, tokens=hold.tokens, usd=hold.usd)


def admit_batch(
    state: State, limits: Limits, hold: Hold, now: datetime
) -> tuple[State, Taken | Wait | Spent]:
    """Whether a batch call may be made now: vendors count them apart, so only money decides.

    It is held until somebody settles it: a batch lives on at the vendor without any process.
    """
    if not hold.usd.is_finite() or hold.usd < 0:
        raise ValueError("a hold is 0 or more, and finite")
    state = _moved(state, limits, now)
    budget = limits.budget_usd
    if budget is not None and _with_held(state, hold) > budget:
        never = EXACT.add(state.spent, hold.usd) > budget or not (state.flying or state.batches)
        if never:
            return state, Spent(reason=_of_budget(state, hold, budget))
        reason = "calls in flight hold the rest of the budget"
        return state, Wait(seconds=POLL, reason=reason, for_others=True)
    state = replace(
        state,
        calls=state.calls + 1,
        batches=state.batches + 1,
        held=EXACT.add(state.held, hold.usd),
    )
    expires = math.ceil(state.at + BATCH_FOR.total_seconds())
    return state, Taken(quarter=0, expires=expires, tokens=0, usd=hold.usd)


def settled(
    state: State, limits: Limits, taken: Taken, *, tokens: int, cost: Decimal, now: datetime
) -> State:
    """The state when a call has ended: what it really took stands for what was held for it."""
    state = _moved(state, limits, now)
    if taken.of_batch:
        return replace(
            state,
            batches=max(0, state.batches - 1),
            tokens=state.tokens + tokens,
            spent=EXACT.add(state.spent, cost),
            held=max(EXACT.subtract(state.held, taken.usd), ZERO),
        )
    more = tokens - taken.tokens
    return replace(
        state,
        quarters=tuple(
            q._replace(tokens=max(0, q.tokens + more)) if q.quarter == taken.quarter else q
            for q in state.quarters
        ),
        ahead_tokens=max(0.0, state.ahead_tokens + more) if limits.tpm else 0.0,
        flying=_changed(state.flying, taken.expires, -1),
        tokens=state.tokens + tokens,
        spent=EXACT.add(state.spent, cost),
        held=max(EXACT.subtract(state.held, taken.usd), ZERO),
    )


def abandoned(state: State, limits: Limits, taken: Taken, now: datetime) -> State:
    """The state when whoever made a call is gone: in flight no more, and spent all the same."""
    state = _moved(state, limits, now)
    return replace(state, flying=_changed(state.flying, taken.expires, -1))


def hinted(state: State, limits: Limits, hints: Hints, now: datetime) -> State:
    """The state when the headers of a reply say what is left: others may use the same key."""
    state = _moved(state, limits, now)
    requests, tokens = state.ahead_requests, state.ahead_tokens
    if limits.rpm and hints.requests_left is not None:
        requests = max(requests, _burst_requests(state, limits.rpm) - hints.requests_left)
    if limits.tpm and hints.tokens_left is not None:
        tokens = max(tokens, _burst_tokens(state, limits.tpm) - hints.tokens_left)
    return replace(state, ahead_requests=requests, ahead_tokens=tokens)


def limited(
    state: State, limits: Limits, taken: Taken, hints: Hints | None, now: datetime
) -> State:
    """The state when a provider has answered 429: less from now on, and a rest first.

    A call from before the last cut is no news: of eight in flight that all come back so, the
    first brings the rates down, once. It can only make the rest longer. A lone one at full rates,
    with its rest told, costs that rest alone: it is an edge of the two minutes, theirs and ours.
    """
    state = _moved(state, limits, now)
    asked = hints.retry_after.total_seconds() if hints and hints.retry_after else 0.0
    news = taken.quarter > math.floor(state.cut_at * QUARTERS)
    own = min(LONGEST_REST, FIRST_REST * 2.0 ** min(state.strikes, 10)) if news else 0.0
    until = state.at + min(MOST_REST, asked if asked > 0 else own)
    state = replace(state, rest_until=max(state.rest_until, until))
    if not news:
        return state
    rated = limits.rpm is not None or limits.tpm is not None
    lone = rated and asked > 0 and state.share >= 1 and state.at - state.cut_at > RECOVERY
    return replace(
        state,
        share=state.share if lone else max(LEAST, state.share * CUT),
        cut_at=state.at,
        raised_at=state.rest_until,
        strikes=state.strikes + (not lone),
    )


def succeeded(state: State, limits: Limits, taken: Taken, now: datetime) -> State:
    """The state when a call got its answer: a little more again, by the time since the last."""
    state = _moved(state, limits, now)
    if state.share >= 1 or taken.quarter <= math.floor(state.cut_at * QUARTERS):
        return state
    step = min(LONGEST_STEP, max(0.0, state.at - state.raised_at)) / RECOVERY
    raised_at = max(state.raised_at, state.at)
    return replace(state, share=min(1.0, state.share + step), raised_at=raised_at, strikes=0)


def spending(provider: str, state: State, limits: Limits, now: datetime) -> Spending:
    """What the provider was asked so far."""
    state = _moved(state, limits, now)
    # The least that can be asked for: whatever keeps that waiting keeps everybody waiting.
    _, word = admit(state, limits, Hold(), now)
    minute = [q for q in state.quarters if q.quarter > (state.at - 60) * QUARTERS]
    return Spending(
        provider=provider,
        calls=state.calls,
        tokens=state.tokens,
        usd=state.spent,
        held_usd=state.held,
        today=state.counted,
        minute=sum(q.requests for q in minute),
        minute_tokens=sum(q.tokens for q in minute),
        flying=sum(n for _, n in state.flying),
        waits=word.reason if isinstance(word, Wait) else "",
        until=word.until if isinstance(word, Spent) else None,
    )


def neared(used: Decimal | int, before: Decimal | int, of: Decimal | int | None) -> bool:
    """Whether four fifths of a limit were passed just now: once, whoever shares it."""
    return of is not None and before * 5 < of * 4 <= used * 5


def _moved(state: State, limits: Limits, now: datetime) -> State:
    """The state as time has gone on: what is over is forgotten."""
    at = now.timestamp()
    if at == state.at:
        return state
    if at < state.at:
        state = _set_back(state, state.at - at)
    passed, oldest = at - state.at, (at - WINDOW) * QUARTERS
    counted = state.counted
    if counted and next_reset(limits.resets_at, datetime.fromtimestamp(state.counted_at, UTC)) <= (
        now
    ):
        counted = 0
    drained = passed * state.share / WINDOW
    return replace(
        state,
        at=at,
        quarters=tuple(q for q in state.quarters if q.quarter > oldest),
        ahead_requests=max(0.0, state.ahead_requests - drained * (limits.rpm or 0)),
        ahead_tokens=max(0.0, state.ahead_tokens - drained * (limits.tpm or 0)),
        flying=tuple(f for f in state.flying if f[0] > at),
        counted=counted,
    )


def _set_back(state: State, by: float) -> State:
    """The state when the clock was set back: as if no time had passed, for nobody can say."""
    # Less than it was: what was asked then seems later, never earlier.
    whole = math.floor(by * QUARTERS)
    return replace(
        state,
        at=state.at - by,
        quarters=tuple(q._replace(quarter=q.quarter - whole) for q in state.quarters),
        counted_at=min(state.counted_at, state.at - by),
        rest_until=state.rest_until - by,
        cut_at=state.cut_at - by,
        raised_at=state.raised_at - by,
    )


def _spent(state: State, limits: Limits, hold: Hold, now: datetime) -> Spent | None:
    """Why waiting a little does not help."""
    least = min(n for n in (limits.rpm, limits.tpm, limits.concurrency, 1) if n is not None)
    if least < 1:
        return Spent(reason="its limits let no call through")
    if limits.tpm is not None and hold.tokens > limits.tpm:
        return Spent(
            reason=f"the call may take {hold.tokens:,} tokens, and tpm is {limits.tpm:,}: "
            "it can never be made",
            of_call=True,
        )
    budget = limits.budget_usd
    if budget is not None and EXACT.add(state.spent, hold.usd) > budget:
        return Spent(reason=_of_budget(state, hold, budget))
    if budget is not None and not state.flying and _with_held(state, hold) > budget:
        return Spent(reason=_of_budget(state, hold, budget))
    if limits.daily is not None and state.counted >= limits.daily:
        return Spent(
            reason=f"{state.counted:,} of {limits.daily:,} requests of the day are made",
            until=next_reset(limits.resets_at, now),
        )
    return None


def _wait(state: State, limits: Limits, hold: Hold) -> Wait | None:
    """What must pass first; the longest of all that must."""
    if state.rest_until > state.at:
        rest = state.rest_until - state.at
        return Wait(seconds=rest, reason="the provider asked for a rest (429)")
    flying, most = sum(n for _, n in state.flying), _most_flying(state, limits)
    if flying >= most:
        reason = f"{flying:,} calls are in flight, and {most:,} may be"
        return Wait(seconds=POLL, reason=reason, for_others=True)
    budget = limits.budget_usd
    if budget is not None and _with_held(state, hold) > budget:
        reason = "calls in flight hold the rest of the budget"
        return Wait(seconds=POLL, reason=reason, for_others=True)
    seconds, reason = 0.0, ""
    if limits.rpm is not None:
        window = _until_room(state, [q.requests for q in state.quarters], limits.rpm, 1)
        over = state.ahead_requests + 1 - _burst_requests(state, limits.rpm)
        seconds = max(window, _until_drained(over, limits.rpm, state))
        reason = f"rpm is {_of(limits.rpm, state)}"
    if limits.tpm is not None:
        window = _until_room(state, [q.tokens for q in state.quarters], limits.tpm, hold.tokens)
        burst = _burst_tokens(state, limits.tpm)
        # A call larger than a burst goes when all before it has drained, and is then in debt.
        over = state.ahead_tokens + min(hold.tokens, burst) - burst
        longer = max(window, _until_drained(over, limits.tpm, state))
        if longer > seconds:
            seconds, reason = longer, f"tpm is {_of(limits.tpm, state)}"
    return Wait(seconds=max(SHORTEST_WAIT, seconds), reason=reason) if seconds > 0 else None


def _until_room(state: State, counts: list[int], limit: int, more: int) -> float:
    """Seconds until enough of a window's counts, one for each of its quarters, are over."""
    total, until = sum(counts) + more, state.at
    for counted, n in zip(state.quarters, counts, strict=True):
        if total <= limit:
            break
        total, until = total - n, counted.quarter / QUARTERS + WINDOW
    return until - state.at


def _until_drained(over: float, limit: int, state: State) -> float:
    """Seconds until the even flow has caught up with what was asked ahead of it."""
    return over * WINDOW / (limit * state.share) if over > 1e-6 else 0.0


def _burst_requests(state: State, rpm: int) -> float:
    # The one more is what lets a call through where a burst is less than one.
    return 1 + BURST * rpm * state.share / WINDOW


def _burst_tokens(state: State, tpm: int) -> float:
    return BURST * tpm * state.share / WINDOW


def _most_flying(state: State, limits: Limits) -> int:
    """How many calls may be in flight; 429s bring it down where there are no rates."""
    if limits.rpm is not None or limits.tpm is not None:
        return limits.concurrency
    return max(1, int(limits.concurrency * state.share))


def _with_held(state: State, hold: Hold) -> Decimal:
    return EXACT.add(EXACT.add(state.spent, state.held), hold.usd)


def _of_budget(state: State, hold: Hold, budget: Decimal) -> str:
    return (
        f"of the budget of ${budget:f}, ${state.spent:f} are spent and ${state.held:f} held; "
        f"the call may cost ${hold.usd:f}"
    )


def _of(limit: int, state: State) -> str:
    lowered = f", brought down to {state.share:.0%} by 429s" if state.share < 1 else ""
    return f"{limit:,}{lowered}"


def _counted(quarters: tuple[Quarter, ...], new: Quarter) -> tuple[Quarter, ...]:
    if quarters and quarters[-1].quarter == new.quarter:
        last = quarters[-1]
        both = Quarter(new.quarter, last.requests + new.requests, last.tokens + new.tokens)
        return (*quarters[:-1], both)
    return (*quarters, new)


def _changed(flying: tuple[tuple[int, int], ...], at: int, by: int) -> tuple[tuple[int, int], ...]:
    """The calls in flight with one more or less of those that expire then; none below 0."""
    if flying and flying[-1][0] == at:
        flying, n = flying[:-1], flying[-1][1] + by
        return (*flying, (at, n)) if n > 0 else flying
    counts = dict(flying)
    if by > 0 or at in counts:
        counts[at] = counts.get(at, 0) + by
    return tuple(sorted((e, n) for e, n in counts.items() if n > 0))


__all__ = [
    "HOLD_FOR",
    "WINDOW",
    "State",
    "Taken",
    "abandoned",
    "admit",
    "admit_batch",
    "hinted",
    "limited",
    "neared",
    "settled",
    "spending",
    "succeeded",
]
