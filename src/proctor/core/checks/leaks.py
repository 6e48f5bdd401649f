"""Finds what a model says beside its answer: tags of its reasoning and its chat, its confidence."""

from __future__ import annotations

import functools
import re

from dataclasses import dataclass
from typing import ClassVar, Final

from proctor.core.checks.check import PASS, Finding, Given, TextCheck, fail
from proctor.core.checks.lazy import compiled

TAGS: Final = (
    "think", "thinking", "thought", "thoughts", "reasoning", "reason", "reflection", "scratchpad",
    "analysis", "inner_monologue", "antthinking", "tool_call", "tool_response", "function_call",
    "answer", "final_answer", "response",
)  # fmt: skip
"""Names of tags; none is an element of HTML."""
_MARKERS: Final = (
    ("<|…|>", r"<[|｜][\w▁ -]{1,40}[|｜]>|<[|｜](?:im_|end|eot|start|assistant|user)"),
    ("[INST]", r"\[/?INST\]|<</?SYS>>"),
    ("<start_of_turn>", r"<(?:start|end)_of_turn>"),
    ("◁think▷", r"◁/?think▷"),
    ("[confidence: …]",
     r"[\[({<]\s?/?(?:confidence|certainty|konfidenz|confianza|confiance|уверенность|置信度)"
     r"(?:[ _](?:score|level))?\s?[:=：]"),
    ("confidence: …",
     r"^[ \t]*\**confidence(?: score| level)?\**\s?:\s?\**\s?(?:\d|low|medium|high)"),
    ("assistant:",
     r"^[ \t]*(?:#+ *|\*\*)?(?:assistant|system|human|user|ai)(?:\*\*)?\s?:(?:\*\*)?(?=\s|$)"),
    ("###", r"^###\s?(?:instruction|response|input|assistant|user|system)\b"),
)  # fmt: skip
"""What is told of a marker, and how it is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakedTags(TextCheck):
    """No tag of a model's reasoning or chat, closed or not, cut off at the end, or escaped."""

    kind: ClassVar[str] = "leaked_tags"
    also: tuple[str, ...] = ()
    """More names of tags."""

    def text(self, text: str, given: Given) -> Finding:  # noqa: ARG002 - the seam of every check
        """Name the tag by our own word for it: nothing of the text is told."""
        if found := _tag(text, (*TAGS, *self.also)):
            return fail(f"holds <{found}>")
        for name, marker in _MARKERS:
            if compiled(marker, re.IGNORECASE | re.MULTILINE).search(text):
                return fail(f"holds {name}")
        return PASS


def _tag(text: str, names: tuple[str, ...]) -> str:
    """The tag that is there; only what looks like one: "<think of it" is none, "<think" is."""
    if "<" not in text and "&lt;" not in text and "[" not in text:
        return ""
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&#60;", "<")
    found = compiled(_opened(names), re.IGNORECASE).search(plain)
    if not found:
        return ""
    said = found[1] or found[2]
    # Compared as it was found: a dotless i fits "i" there, and lower() leaves it as it is.
    return next(n for n in names if re.fullmatch(re.escape(n), said, re.IGNORECASE))


@functools.cache
def _opened(names: tuple[str, ...]) -> str:
    """What finds a tag of these names, opened or closed, with attributes, or cut off at the end."""
    known = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return (
        rf"<\s{{0,3}}/?\s{{0,3}}({known})"
        r"(?:\s{0,3}/?\s{0,3}>|\s{1,3}[\w:-]{1,40}\s?=|\s*\Z)"
        r"|\[/?(think|thinking|reasoning)\]"
    )
