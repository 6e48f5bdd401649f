"""The nouns as the JSON that a target's own tables keep, and back."""

from __future__ import annotations

import json

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from proctor.adapters.stores.journal import squeeze, unsqueeze
from proctor.model import (
    OUTCOME_FIELDS,
    Bucket,
    Guard,
    Holder,
    Issue,
    Key,
    KeyPart,
    Outcome,
    Source,
    Span,
    Spec,
    Touch,
    Tuning,
    Undone,
)


def to_json(value: Any) -> str:
    """Compact JSON with stable order; text may hold lone surrogates, which it escapes."""
    return json.dumps(value, separators=(",", ":"))


def key_to_json(key: Key | None) -> str | None:
    """A key as a JSON list."""
    return None if key is None else to_json(key)


def key_from_json(text: str | None) -> Key | None:
    """A key from a JSON list."""
    return None if text is None else tuple(json.loads(text))


def keys_to_json(keys: Iterable[Key] | None) -> str | None:
    """Several keys as a JSON list of lists."""
    return None if keys is None else to_json(list(keys))


def keys_from_json(text: str | None) -> tuple[Key, ...] | None:
    """Several keys from a JSON list of lists."""
    return None if text is None else tuple(tuple(k) for k in json.loads(text))


def outcome_to_json(outcome: Outcome) -> str:
    """The buckets that are not empty."""
    return to_json({f: n for f, n in outcome.as_dict().items() if n})


def outcome_from_json(text: str | None) -> Outcome:
    """Books from JSON; empty ones where there is none."""
    return Outcome(**json.loads(text)) if text else Outcome()


def sum_outcomes(texts: Iterable[tuple[str | None, int]]) -> Outcome:
    """The books of a run from pairs (outcome JSON of an applied chunk, its `revisited`).

    A revisited row was counted as conflicted by an earlier chunk: it leaves that bucket.
    """
    total = dict.fromkeys(OUTCOME_FIELDS, 0)
    for text, revisited in texts:
        for name, count in (json.loads(text) if text else {}).items():
            total[name] += count
        total["read"] -= revisited
        total["conflicted"] -= revisited
    return Outcome(**total)


def pack_issues(issues: Sequence[Issue]) -> bytes | None:
    """Issues of one chunk, grouped by bucket and reason, with the place of each; None for none."""
    groups: dict[tuple[str, str], tuple[list[Key], list[int]]] = {}
    for place, issue in enumerate(issues):
        keys, places = groups.setdefault((issue.bucket.value, issue.reason), ([], []))
        keys.append(issue.key)
        places.append(place)
    return squeeze([[*name, *group] for name, group in groups.items()]) if groups else None


def unpack_issues(blob: bytes | None) -> list[Issue]:
    """Issues of one chunk, in the order in which they were packed."""
    found = [
        (place, Issue(key=tuple(key), bucket=Bucket(bucket), reason=reason))
        for bucket, reason, keys, *places in (unsqueeze(blob) if blob else ())
        for place, key in zip(places[0] if places else range(len(keys)), keys, strict=True)
    ]
    return [issue for _, issue in sorted(found, key=itemgetter(0))]


UNDONE_FIELDS = ("written", "restored", "changed", "gone", "blocked")


def undone_to_json(undone: Undone) -> str:
    """The counts of an undo; the rows that were left alone are packed beside them."""
    return to_json({name: getattr(undone, name) for name in UNDONE_FIELDS})


def undone_from_json(text: str | None, left: bytes | None = None) -> Undone:
    """Counts from JSON, with the rows that were left alone where they were read too."""
    return Undone(**(json.loads(text) if text else {}), left=tuple(unpack_issues(left)))


def span_to_json(span: Span) -> str:
    """A span as a JSON object."""
    return to_json(asdict(span))


def span_from_json(text: str) -> Span:
    """A span from a JSON object."""
    raw = json.loads(text)
    return Span(
        start=_key(raw.get("start")),
        stop=_key(raw.get("stop")),
        keys=tuple(tuple(k) for k in raw.get("keys", ())),
        limit=raw.get("limit"),
    )


def holder_to_json(holder: Holder) -> str:
    """A holder as a JSON object."""
    return to_json(asdict(holder))


def holder_from_json(text: str | None) -> Holder | None:
    """A holder from a JSON object."""
    return Holder(**json.loads(text)) if text else None


def tuning_to_json(tuning: Tuning) -> str:
    """The knobs that somebody turned; the pause in seconds."""
    raw = {name: value for name, value in asdict(tuning).items() if value is not None}
    if tuning.pause is not None:
        raw["pause"] = tuning.pause.total_seconds()
    return to_json(raw)


def tuning_from_json(text: str | None) -> Tuning:
    """Knobs from JSON."""
    raw = json.loads(text) if text else {}
    if "pause" in raw:
        raw["pause"] = timedelta(seconds=raw["pause"])
    return Tuning(**raw)


def spec_to_json(spec: Spec) -> str:
    """A spec as a JSON object; enough to roll back without the author's code."""
    return to_json(asdict(spec))


def spec_from_json(text: str) -> Spec:
    """A spec from JSON, also from one that an older Proctor wrote with fewer fields."""
    raw: dict[str, Any] = json.loads(text)
    known = {f.name for f in fields(Spec)}
    plain = {name: _deep_tuple(value) for name, value in raw.items() if name in known}
    plain["key"] = tuple(KeyPart(**part) for part in raw["key"])
    plain["kind"] = Source(raw["kind"])
    plain["touches"] = tuple(map(touch_from, raw.get("touches", ())))
    plain["guard"] = Guard(raw.get("guard", Guard.ROWS))
    return Spec(**plain)


def touch_from(raw: Mapping[str, Any]) -> Touch:
    """A table of a called service as JSON holds it."""
    return Touch(**{name: _deep_tuple(value) for name, value in raw.items()})


def counts_from_json(text: str | None) -> Mapping[str, int] | None:
    """Rows by reason."""
    return None if text is None else json.loads(text)


def time_to_text(moment: datetime | None) -> str | None:
    """An aware time as ISO text in UTC with microseconds, so that text sorts as time."""
    return None if moment is None else moment.isoformat(timespec="microseconds")


def time_from_text(text: str | None) -> datetime | None:
    """The other way round."""
    return None if text is None else datetime.fromisoformat(text)


def _key(raw: Sequence[Any] | None) -> Key | None:
    return None if raw is None else tuple(raw)


def _deep_tuple(value: Any) -> Any:
    return tuple(_deep_tuple(v) for v in value) if isinstance(value, list) else value
