"""What was approved is what runs: digests by part, compared by name."""

from __future__ import annotations

import hashlib
import json

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from proctor.authoring import Backfill
from proctor.engine.changed import differing, facts_of, in_words
from proctor.engine.digest import digest_code, digest_of, digest_parts, identity
from proctor.engine.show import shown_span
from proctor.engine.site import Site, may_ask
from proctor.errors import PlanVoid, UsageError
from proctor.model import Shape, Span, Spec, Survey

DRIFT = 0.10
"""Share by which the count of eligible rows may have moved since the plan was made."""
ACCEPTABLE = ("code", "params", "schema", "limits", "providers")
"""Parts that `--accept-changes` may name; another table, key, fill or version is another run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Digests of code, params, spec, schema, target, environment, limits, providers; and evidence.

    `files` holds a digest for each file and distribution behind the code part, so that a
    refusal can name the one that changed, and `facts` in words what is behind others.
    `eligible` is the plan's count, None on a run, and `estimated` says that it was none.
    """

    parts: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    eligible: int | None = None
    estimated: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    """What a plan was made with, so that it can be run by its file alone."""
    span: Span | None = None
    """The part of the key space that a plan covers."""

    @property
    def digest(self) -> str:
        """One digest over all parts, and in a plan over the count that was looked at."""
        told = dict(self.parts)
        if self.eligible is not None:
            told["eligible rows"] = f"{'about ' if self.estimated else ''}{self.eligible}"
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def dump(self) -> str:
        """As the target keeps it."""
        facts = {part: dict(found) for part, found in self.facts.items()}
        kept = {"parts": dict(self.parts), "files": dict(self.files), "facts": facts}
        return json.dumps(kept, sort_keys=True)

    def on_target_of(self, begun: Approval) -> Approval:
        """The same, bound to the target that a run was begun on.

        For a run that was found beside its rows: whatever host or path led there, a row of the
        run's own is a better witness of the target than any name of it.
        """
        target = {"target": begun.parts["target"]} if "target" in begun.parts else {}
        return replace(self, parts={**self.parts, **target})

    @classmethod
    def parse(cls, text: str) -> Approval:
        """From a run's row or a plan file; UsageError when it is neither, PlanVoid if edited."""
        try:
            found = json.loads(text)
            survey = found.get("survey")
            eligible = survey["eligible"] if survey else None
            approval = cls(
                parts=_texts(found["parts"]),
                files=_texts(found.get("files", {})),
                facts={str(k): _texts(v) for k, v in found.get("facts", {}).items()},
                eligible=int(eligible) if eligible is not None else None,
                estimated=bool(survey and survey.get("estimated")),
                params={k: str(v) for k, v in (found.get("params") or {}).items()},
                span=span_of(found["span"]) if survey and found.get("span") else None,
            )
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UsageError(
                "this is not a plan",
                found="JSON without the digests of a plan",
                fix="make one with `proctor plan NAME --out FILE`",
            ) from error
        # Only a run's row comes without a digest of its own.
        if found.get("digest", "" if survey else approval.digest) != approval.digest:
            raise PlanVoid(
                "the plan file was changed after it was made",
                found="its digest does not match its parts",
                fix="make a new one with `proctor plan NAME --out FILE`",
            )
        return approval


def _texts(found: Mapping[Any, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in found.items()}


def span_of(found: Mapping[str, Any]) -> Span:
    """A part of the key space as a plan file holds it."""
    start, stop = found.get("start"), found.get("stop")
    return Span(
        start=tuple(start) if start is not None else None,
        stop=tuple(stop) if stop is not None else None,
        keys=tuple(tuple(key) for key in found.get("keys") or ()),
        limit=found.get("limit"),
    )


def differences(then: Approval, now: Approval) -> Iterator[str]:
    """The names of the parts that differ."""
    for name in sorted({*then.parts, *now.parts}):
        if then.parts.get(name) != now.parts.get(name):
            yield name


def hold_plan(plan: Approval, now: Approval, *, accept: Sequence[str]) -> None:
    """Raise PlanVoid unless what would run is what the plan was made of."""
    for name in ("backfill", "environment"):
        made, this = (facts.get(name, {}).get(name) for facts in (plan.facts, now.facts))
        if made and this and made != this:
            raise PlanVoid(
                f"the plan is of another {name}",
                found=f"it was made for {made}, and this is {this}",
                fix=f"make a plan for {this}: `proctor plan NAME --out FILE`",
            )
    fix = "make a new plan with `proctor plan NAME --out FILE` and have it looked at"
    hold(plan, now, accept=accept, since="the plan was made", fix=fix)


def hold(then: Approval, now: Approval, *, accept: Sequence[str], since: str, fix: str) -> None:
    """Raise PlanVoid unless every part is the same or its change was accepted by name.

    since, fix: the words for when it was otherwise, and for what to do beside accepting it.
    """
    wrong = [name for name in accept if name not in ACCEPTABLE]
    if wrong:
        raise UsageError(
            f"--accept-changes cannot take {', '.join(wrong)}",
            found=", ".join(accept),
            fix=f"it takes {', '.join(ACCEPTABLE)}, separated by commas",
        )
    changed = [name for name in differences(then, now) if name not in accept]
    if not changed:
        return
    named = "; ".join(_named(name, then, now) for name in changed)
    if set(changed) <= set(ACCEPTABLE):
        # All of them in one go: whoever types this must not be refused for another again.
        every = [name for name in differences(then, now) if name in (*changed, *accept)]
        fix += f", or go on with the change on record: --accept-changes {','.join(every)}"
    raise PlanVoid(f"{', '.join(changed)} changed since {since}", found=named, fix=fix)


def _named(part: str, then: Approval, now: Approval) -> str:
    if part == "code":
        files = differing(then.files, now.files)
        return f"changed: {', '.join(files)}" if files else "code is not what it was"
    return in_words(part, then.facts, now.facts)


def judges_drift(approval: Approval | None) -> bool:
    """Whether the rows to fill today are held against those of a plan: only counts can be."""
    return approval is not None and approval.eligible is not None and not approval.estimated


def refuse_drift(approval: Approval, found: Survey) -> None:
    """Raise PlanVoid when the rows to fill are no longer about as many as were approved.

    An estimate decides nothing, neither for nor against.
    """
    planned, eligible = approval.eligible, found.eligible
    if planned is None or not judges_drift(approval) or found.estimated:
        return
    if approval.span is not None and approval.span.keys and eligible <= planned:
        return  # each was approved by its key: those that are missing are filled by now
    if abs(eligible - planned) <= max(DRIFT * planned, 1):
        return
    raise PlanVoid(
        "there are not as many rows to fill as when the plan was made",
        found=f"{eligible:,} eligible now, {planned:,} in the plan: more than {DRIFT:.0%} off",
        fix="make a new plan with `proctor plan NAME --out FILE` and have it looked at",
    )


def approve(site: Site, backfill: Backfill, spec: Spec, shape: Shape, span: Span) -> Approval:
    """The digests of what would run now, part by part."""
    code = digest_code(backfill, site.root)
    limits = _limits(site)
    parts = digest_parts(
        code=code,
        spec=spec,
        shape=shape,
        env=site.env,
        limits=limits,
    )
    parts["part"] = digest_of(asdict(span))
    # What is named in words is read by many: the digest alone covers sensitive keys.
    facts = facts_of(spec, shape, shown_span(span, spec), site.env)
    facts |= {"spec": identity(spec), "limits": limits}
    if may_ask(backfill):
        facts["providers"] = dict(site.terms())
        parts["providers"] = digest_of(facts["providers"])
    return Approval(parts=parts, files=code.files, facts=facts)


def _limits(site: Site) -> dict[str, str]:
    """Where the run would stop: each signal's number."""
    settings = site.settings
    own = {f"signal {n} {name}": str(at) for n, (name, at) in enumerate(settings.own_limits)}
    return own | {name: str(value) for name, value in sorted(settings.limits.items())}
