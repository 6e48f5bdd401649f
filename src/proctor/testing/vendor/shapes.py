"""The three wire shapes: requests are read into one Question, an Outcome is written as each."""

from __future__ import annotations

import base64
import json
import math

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol

from proctor.testing.vendor.books import Room
from proctor.testing.vendor.terms import Served


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, whichever vendor's words it came in."""

    model: str
    kind: Literal["chat", "embed"]
    texts: tuple[str, ...]
    """The last message of a chat, or the texts to embed."""
    whole: str = ""
    """All messages and the schema, for counting tokens."""
    schema: Mapping[str, Any] | None = None
    most_output: int | None = None
    dimensions: int | None = None
    packed: bool = False
    """Vectors are wanted as base64."""
    one: bool = False
    """Gemini's single form of an embedding request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the model came to."""

    text: str = ""
    vectors: tuple[tuple[float, ...], ...] = ()
    ended: Literal["stop", "length", "refused", "filtered"] = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
    told: bool = True
    """Whether the reply says what it took."""


class Invalid(Exception):
    """The request cannot be answered: the status and what is wrong with it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Shape(Protocol):
    """One vendor's way of putting things."""

    def key(self, headers: Mapping[str, str]) -> str:
        """The API key of a request; empty where there is none."""

    def read(self, path: str, body: Any) -> Question:
        """What a request asks; Invalid where it asks nothing that can be answered."""

    def write(self, question: Question, outcome: Outcome) -> Any:
        """The body of a good reply."""

    def error(self, status: int, code: str, message: str, retry_s: float | None = None) -> Any:
        """The body of a bad reply."""

    def headers(self, served: Served, room: Room) -> dict[str, str]:
        """The headers that tell of limits."""

    def waits(self, retry_s: float) -> dict[str, str]:
        """The headers that tell how long to wait."""

    def quota(self) -> tuple[int, str, str]:
        """Status, code and message of an account without money."""


class OpenAI:
    """`/v1/chat/completions` and `/v1/embeddings`."""

    def key(self, headers: Mapping[str, str]) -> str:
        """From `Authorization: Bearer …`."""
        return _bearer(headers)

    def read(self, path: str, body: Any) -> Question:
        """Both calls."""
        if path.endswith("/embeddings"):
            texts = body["input"]
            return Question(
                model=body["model"],
                kind="embed",
                texts=(texts,) if isinstance(texts, str) else tuple(texts),
                dimensions=body.get("dimensions"),
                packed=body.get("encoding_format") == "base64",
            )
        wanted = body.get("response_format") or {}
        schema = wanted["json_schema"]["schema"] if wanted.get("type") == "json_schema" else None
        return Question(
            model=body["model"],
            kind="chat",
            texts=(_said(body["messages"][-1]["content"]),),
            whole=_counted([_said(m["content"]) for m in body["messages"]], schema),
            schema=schema,
            most_output=body.get("max_completion_tokens") or body.get("max_tokens"),
        )

    def write(self, question: Question, outcome: Outcome) -> Any:
        """A chat completion, or a list of embeddings."""
        reply = _completion(question, outcome)
        if question.kind == "embed":
            data = [
                {"index": place, "embedding": _packed(vector) if question.packed else list(vector)}
                for place, vector in enumerate(outcome.vectors)
            ]
            used = {"prompt_tokens": outcome.input_tokens, "total_tokens": outcome.input_tokens}
            reply = {"object": "list", "data": data, "model": question.model, "usage": used}
        return reply if outcome.told else {k: v for k, v in reply.items() if k != "usage"}

    def error(self, status: int, code: str, message: str, retry_s: float | None = None) -> Any:
        """As OpenAI puts it; how long to wait stands in the headers."""
        del retry_s
        kind = {401: "invalid_request_error", 429: "tokens" if "token" in code else "requests"}
        kinds = kind.get(status, "server_error" if status >= 500 else "invalid_request_error")
        if code == "insufficient_quota":
            kinds = code
        return {"error": {"message": message, "type": kinds, "param": None, "code": code}}

    def headers(self, served: Served, room: Room) -> dict[str, str]:
        """`x-ratelimit-*`, with times as 1m2.5s."""
        told = {}
        for word, limit, left, reset_s in (
            ("requests", served.rpm, room.requests, room.requests_reset_s),
            ("tokens", served.tpm, room.tokens, room.tokens_reset_s),
        ):
            if limit is not None:
                told[f"x-ratelimit-limit-{word}"] = str(limit)
                told[f"x-ratelimit-remaining-{word}"] = str(left)
                told[f"x-ratelimit-reset-{word}"] = f"{reset_s:.3f}s"
        return told

    def waits(self, retry_s: float) -> dict[str, str]:
        """Whole seconds for all, and exactly for those who read it."""
        exact = str(math.ceil(retry_s * 1000))
        return {"retry-after": str(math.ceil(retry_s)), "retry-after-ms": exact}

    def quota(self) -> tuple[int, str, str]:
        """429, as for a rate: only the code tells."""
        return 429, "insufficient_quota", "You exceeded your current quota, check your plan."


class Anthropic:
    """`/v1/messages`."""

    def key(self, headers: Mapping[str, str]) -> str:
        """From `x-api-key`, or from `Authorization` as newer clients send it."""
        return headers.get("x-api-key") or _bearer(headers)

    def read(self, path: str, body: Any) -> Question:
        """Messages; an output cap is required, as it is there."""
        del path
        if "max_tokens" not in body:
            raise Invalid(400, "invalid_request_error", "max_tokens: Field required")
        wanted = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
        schema = wanted.get("schema")
        said = [_said(message["content"]) for message in body["messages"]]
        return Question(
            model=body["model"],
            kind="chat",
            texts=(said[-1],),
            whole=_counted([_said(body.get("system") or ""), *said], schema),
            schema=schema,
            most_output=body["max_tokens"],
        )

    def write(self, question: Question, outcome: Outcome) -> Any:
        """A message."""
        ended = {"stop": "end_turn", "length": "max_tokens"}.get(outcome.ended, "refusal")
        content = [] if ended == "refusal" else [{"type": "text", "text": outcome.text}]
        used = {"input_tokens": outcome.input_tokens, "output_tokens": outcome.output_tokens}
        return {
            "id": "msg_local",
            "type": "message",
            "role": "assistant",
            "model": question.model,
            "content": content,
            "stop_reason": ended,
            "stop_sequence": None,
            "usage": used if outcome.told else {"input_tokens": 0, "output_tokens": 0},
        }

    def error(self, status: int, code: str, message: str, retry_s: float | None = None) -> Any:
        """As Anthropic puts it."""
        del retry_s
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
        kinds |= {500: "api_error", 503: "api_error", 529: "overloaded_error"}
        kind = code if code == "billing_error" else kinds.get(status, "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}}

    def headers(self, served: Served, room: Room) -> dict[str, str]:
        """`anthropic-ratelimit-*`, with moments as RFC 3339."""
        told = {}
        now = datetime.now(UTC)
        for word, limit, left, reset_s in (
            ("requests", served.rpm, room.requests, room.requests_reset_s),
            ("tokens", served.tpm, room.tokens, room.tokens_reset_s),
        ):
            if limit is not None:
                at = now + timedelta(seconds=reset_s)
                told[f"anthropic-ratelimit-{word}-limit"] = str(limit)
                told[f"anthropic-ratelimit-{word}-remaining"] = str(left)
                told[f"anthropic-ratelimit-{word}-reset"] = at.isoformat()
        return told

    def waits(self, retry_s: float) -> dict[str, str]:
        """Whole seconds."""
        return {"retry-after": str(math.ceil(retry_s))}

    def quota(self) -> tuple[int, str, str]:
        """402, and a type of its own."""
        return 402, "billing_error", "Your credit balance is too low to access the API."


class Google:
    """`/v1beta/models/NAME:generateContent` and `:batchEmbedContents`."""

    def key(self, headers: Mapping[str, str]) -> str:
        """From `x-goog-api-key`."""
        return headers.get("x-goog-api-key", "")

    def read(self, path: str, body: Any) -> Question:
        """All three calls; the model stands in the path."""
        model, _, call = path.rpartition("/")[2].partition(":")
        if call in {"embedContent", "batchEmbedContents"}:
            asked = body["requests"] if call == "batchEmbedContents" else [body]
            return Question(
                model=model,
                kind="embed",
                texts=tuple(_parts(one["content"]) for one in asked),
                dimensions=asked[0].get("outputDimensionality"),
                one=call == "embedContent",
            )
        if call != "generateContent":
            raise Invalid(404, "NOT_FOUND", f"there is no {call}")
        told = body.get("generationConfig") or {}
        schema = told.get("responseJsonSchema") or told.get("responseSchema")
        said = [_parts(content) for content in body["contents"]]
        return Question(
            model=model,
            kind="chat",
            texts=(said[-1],),
            whole=_counted([_parts(body.get("systemInstruction") or {}), *said], schema),
            schema=schema,
            most_output=told.get("maxOutputTokens"),
        )

    def write(self, question: Question, outcome: Outcome) -> Any:
        """A generated content, or embeddings."""
        if question.kind == "embed":
            vectors = [{"values": list(vector)} for vector in outcome.vectors]
            return {"embedding": vectors[0]} if question.one else {"embeddings": vectors}
        ended = {"stop": "STOP", "length": "MAX_TOKENS"}.get(outcome.ended, "SAFETY")
        candidate: dict[str, Any] = {"index": 0, "finishReason": ended}
        if ended != "SAFETY":
            candidate["content"] = {"role": "model", "parts": [{"text": outcome.text}]}
        used = {
            "promptTokenCount": outcome.input_tokens,
            "candidatesTokenCount": outcome.output_tokens,
            "totalTokenCount": outcome.input_tokens + outcome.output_tokens,
        }
        reply = {"candidates": [candidate], "modelVersion": question.model}
        return {**reply, "usageMetadata": used} if outcome.told else reply

    def error(self, status: int, code: str, message: str, retry_s: float | None = None) -> Any:
        """As google.rpc.Status: how long to wait and which quota it is stand in the details."""
        words = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
        words |= {500: "INTERNAL", 503: "UNAVAILABLE", 529: "UNAVAILABLE"}
        details: list[dict[str, Any]] = []
        if status == 429:
            per = "Day" if code == "daily" else "Minute"
            kind = "type.googleapis.com/google.rpc."
            quota = {"quotaId": f"GenerateRequestsPer{per}PerProjectPerModel"}
            details.append({"@type": f"{kind}QuotaFailure", "violations": [quota]})
            if retry_s is not None:
                details.append({"@type": f"{kind}RetryInfo", "retryDelay": f"{retry_s:.3f}s"})
        word = words.get(status, "INVALID_ARGUMENT")
        return {"error": {"code": status, "status": word, "message": message, "details": details}}

    def headers(self, served: Served, room: Room) -> dict[str, str]:
        """Gemini tells nothing of its limits until one is reached."""
        del served, room
        return {}

    def waits(self, retry_s: float) -> dict[str, str]:
        """Nothing: it stands in the body's details."""
        del retry_s
        return {}

    def quota(self) -> tuple[int, str, str]:
        """The daily quota: the one that no wait of minutes helps against."""
        return 429, "daily", "You exceeded your current quota, please check your plan and billing."


def _completion(question: Question, outcome: Outcome) -> dict[str, Any]:
    refused = outcome.ended == "refused"
    said = {"content": None, "refusal": outcome.text} if refused else {"content": outcome.text}
    ended = {"refused": "stop", "filtered": "content_filter"}.get(outcome.ended, outcome.ended)
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": ended}
    return {
        "id": "chatcmpl-local",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": question.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": outcome.input_tokens,
            "completion_tokens": outcome.output_tokens,
            "total_tokens": outcome.input_tokens + outcome.output_tokens,
        },
    }


def _bearer(headers: Mapping[str, str]) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ")


def _said(content: Any) -> str:
    """The text of a message's content, given as a text or as parts."""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content or ())


def _parts(content: Mapping[str, Any]) -> str:
    return "\n".join(part.get("text", "") for part in content.get("parts", ()))


def _counted(texts: list[str], schema: Any) -> str:
    return "\n".join([*texts, json.dumps(schema)] if schema else texts)


def _packed(vector: tuple[float, ...]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()


SHAPES: Final[tuple[tuple[Callable[[str], bool], Shape], ...]] = (
    (lambda path: path in {"/v1/chat/completions", "/v1/embeddings"}, OpenAI()),
    (lambda path: path == "/v1/messages", Anthropic()),
    (lambda path: path.startswith("/v1beta/models/"), Google()),
)


__all__ = ["SHAPES", "Invalid", "Outcome", "Question", "Shape"]
