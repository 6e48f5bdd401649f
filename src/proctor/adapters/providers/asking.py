"""Our neutral question in a library's words, and the library's reply as ours."""

from __future__ import annotations

import json
import math

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_ai import messages as said
from pydantic_ai.embeddings import EmbeddingResult
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from proctor.model import Ask, Finish, Hints, Reply, Usage, canonical

_REFUSALS: Final = frozenset({"refusal"})


def messages_of(sent: Mapping[str, Any]) -> list[said.ModelMessage]:
    """The system's words first, then what both sides said."""
    history: list[said.ModelMessage] = []
    first: list[said.ModelRequestPart] = []
    if sent.get("system"):
        first.append(said.SystemPromptPart(sent["system"]))
    for message in sent["messages"]:
        role, content = message["role"], message["content"]
        if role == "assistant":
            history.append(said.ModelResponse(parts=[said.TextPart(content)]))
        elif role == "system":
            first.append(said.SystemPromptPart(content))
        else:
            history.append(said.ModelRequest(parts=[*first, said.UserPromptPart(content)]))
            first = []
    return history


def parameters_of(sent: Mapping[str, Any], model: Model) -> ModelRequestParameters:
    """The contract of the output: the vendor's own structured output, else asked for in words."""
    schema = sent.get("schema")
    if schema is None:
        return ModelRequestParameters()
    native = model.profile.get("supports_json_schema_output", False)
    return ModelRequestParameters(
        output_mode="native" if native else "prompted",
        output_object=OutputObjectDefinition(
            json_schema=schema,
            name=sent.get("schema_name") or "answer",
            # Strict needs every object closed; an open one would come back empty.
            strict=True if _closed(schema) else None,
        ),
    )


def settings_of(sent: Mapping[str, Any], most_output: int) -> ModelSettings:
    """Output cap and temperature; what was not said is left to the vendor."""
    told = ModelSettings(max_tokens=sent.get("max_tokens") or most_output)
    if sent.get("temperature") is not None:
        told["temperature"] = sent["temperature"]
    return told


def reply_of(ask: Ask, response: said.ModelResponse, hints: Hints) -> Reply:
    """The reply to a chat: text, and reasoning and refusal beside it where there are any."""
    details = response.provider_details or {}
    raw: dict[str, Any] = {"text": _joined(response, said.TextPart)}
    thought = _joined(response, said.ThinkingPart)
    if thought:
        raw["thinking"] = thought
    if details.get("refusal"):
        raw["refusal"] = details["refusal"]
    return Reply(
        raw=canonical(raw),
        finish=_finish(response.finish_reason, details),
        usage=usage_of(ask, response.usage),
        model=response.model_name or "",
        hints=hints,
    )


def replies_of(asks: Sequence[Ask], result: EmbeddingResult, hints: Hints) -> list[Reply]:
    """One reply for each embedded text; what the request took is shared out by their lengths."""
    shares = _shares(asks, result.usage)
    return [
        Reply(
            raw=_vector_text(vector),
            finish=Finish.STOP,
            usage=Usage(input_tokens=tokens),
            model=result.model_name,
            hints=hints,
        )
        for vector, tokens in zip(result.embeddings, shares, strict=True)
    ]


def usage_of(ask: Ask, told: RequestUsage) -> Usage:
    """What the provider counted; where it says nothing, the most that it can have been."""
    if told.input_tokens == 0 and told.output_tokens == 0:
        return Usage(input_tokens=ask.most_input, output_tokens=ask.most_output or 0)
    return Usage(
        input_tokens=told.input_tokens,
        output_tokens=told.output_tokens,
        cached_tokens=told.cache_read_tokens,
    )


def _vector_text(vector: Sequence[float]) -> str:
    """A vector as JSON. Vendors send 32-bit floats: nine digits bring those back, not seventeen.

    With NaN or Infinity in it, as Python writes and reads them: it is never kept.
    """
    told = array("f", vector).tolist()
    if told == list(vector) and all(map(math.isfinite, told)):
        return f"[{','.join([f'{number:.9g}' for number in told])}]"
    return canonical(list(vector))


def _shares(asks: Sequence[Ask], told: RequestUsage) -> list[int]:
    if told.input_tokens == 0:
        return [ask.most_input for ask in asks]
    sizes = [len(read(ask)["text"].encode()) for ask in asks]
    # Cut where the running sums fall, so that the shares add up to the whole.
    total, done, given, shares = sum(sizes), 0, 0, []
    for size in sizes:
        done += size
        upto = told.input_tokens * done // max(total, 1)
        shares.append(upto - given)
        given = upto
    return shares


def _joined(response: said.ModelResponse, kind: type[said.TextPart | said.ThinkingPart]) -> str:
    return "".join(part.content for part in response.parts if isinstance(part, kind))


def _finish(reason: str | None, details: Mapping[str, Any]) -> Finish:
    if reason == "length":
        return Finish.LENGTH
    if reason == "content_filter":
        refused = details.get("refusal") or details.get("finish_reason") in _REFUSALS
        return Finish.REFUSED if refused else Finish.FILTERED
    return Finish.STOP


def _closed(schema: Any) -> bool:
    """Whether every object in a schema lists its fields and every list says what is in it."""
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and (
        not schema.get("properties") or schema.get("additionalProperties", False) is not False
    ):
        return False
    if schema.get("type") == "array" and ("prefixItems" in schema or not schema.get("items")):
        return False
    return all(_closed(part) for name, part in schema.items() if name not in {"default", "enum"})


def read(ask: Ask) -> dict[str, Any]:
    """What is sent, taken apart again."""
    sent: dict[str, Any] = json.loads(ask.sent)
    return sent


__all__ = [
    "messages_of",
    "parameters_of",
    "read",
    "replies_of",
    "reply_of",
    "settings_of",
    "usage_of",
]
