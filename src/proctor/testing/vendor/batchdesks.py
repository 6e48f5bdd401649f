"""Batch calls in the words of Anthropic and Gemini."""

from __future__ import annotations

import json

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from proctor.testing.vendor.batches import Request, Work, Workshop
from proctor.testing.vendor.shapes import Invalid, Shape

SENT: Final = "/upload/v1beta/sent/"
"""Where the bytes of a file go, in the second of two steps."""
_RPC: Final = {400: 3, 500: 13}


@dataclass(frozen=True, slots=True)
class Told:
    """A reply whose headers say something, too."""

    body: Any
    headers: dict[str, str] = field(default_factory=dict)


class AnthropicDesk:
    """`/v1/messages/batches`."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def fits(self, path: str) -> bool:
        """All of them."""
        return path.startswith("/v1/messages/batches")

    def answer(self, request: Request, shop: Workshop) -> Any:
        """A batch is made of what came; its results are lines."""
        parts = request.path.strip("/").split("/")[3:]
        match (request.method, *parts):
            case ("POST",):
                asked = json.loads(request.body)["requests"]
                questions = [(one["custom_id"], one["params"]) for one in asked]
                return self._batch(shop.take(self.shape, "/v1/messages", questions), request)
            case ("GET",):
                works = [self._batch(one, request) for one in shop.newest(self.shape)]
                ends = {"first_id": None, "last_id": None, "has_more": False}
                return {"data": works, **ends}
            case ("GET", name):
                return self._batch(shop.look(self.shape, name), request)
            case ("POST", name, "cancel"):
                return self._batch(shop.cancel(self.shape, name), request)
            case ("GET", name, "results"):
                return "\n".join(map(json.dumps, _lines(shop.look(self.shape, name)))).encode()
        raise Invalid(404, "not_found", f"There is no {request.path}.")

    def _batch(self, work: Work, request: Request) -> dict[str, Any]:
        ended, made = work.state != "working", datetime.fromtimestamp(work.made_at, UTC)
        good = sum(status == 200 for _, status, _ in work.came)
        at = f"http://{request.headers['host']}/v1/messages/batches/{work.id}/results"
        left = "canceled" if work.state == "cancelled" else "expired"
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        if ended:
            counts |= {"succeeded": good, "errored": len(work.came) - good, left: len(work.left)}
        else:
            counts["processing"] = len(work.questions)
        return {
            "id": work.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": made.isoformat(),
            "expires_at": made.isoformat(),
            "ended_at": made.isoformat() if ended else None,
            "cancel_initiated_at": None,
            "archived_at": None,
            "results_url": at if ended else None,
        }


def _lines(work: Work) -> list[dict[str, Any]]:
    left = "canceled" if work.state == "cancelled" else "expired"
    lines = [{"custom_id": custom, "result": {"type": left}} for custom in work.left]
    for custom, status, body in work.came:
        result = {"type": "succeeded", "message": body}
        if status != 200:
            result = {"type": "errored", "error": body}
        lines.append({"custom_id": custom, "result": result})
    return lines


class GoogleDesk:
    """`/upload/v1beta/files`, `:batchGenerateContent` and `/v1beta/batches`."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._files: dict[str, bytes] = {}

    def fits(self, path: str) -> bool:
        """All of them."""
        named = path.endswith(":batchGenerateContent")
        return named or path.startswith(("/upload/v1beta/", "/v1beta/batches", "/v1beta/files/"))

    def answer(self, request: Request, shop: Workshop) -> Any:
        """A file comes in two steps; a batch is made of one."""
        filed = self._filed(request, shop)
        return self._worked(request, shop) if filed is None else filed

    def _filed(self, request: Request, shop: Workshop) -> Any:
        match (request.method, request.path.strip("/").split("/")):
            case ("POST", ["upload", "v1beta", "files"]):
                at = f"http://{request.headers['host']}{SENT}{next(shop.numbers)}"
                return Told({}, {"x-goog-upload-url": at, "x-goog-upload-status": "active"})
            case ("POST", ["upload", "v1beta", "sent", name]):
                self._files[f"files/{name}"] = request.body
                file = {"name": f"files/{name}", "mimeType": "application/jsonl"}
                return Told({"file": file}, {"x-goog-upload-status": "final"})
            case ("GET", ["v1beta", "files", name]):
                return self._files["files/" + name.removesuffix(":download")]
        return None

    def _worked(self, request: Request, shop: Workshop) -> Any:
        match (request.method, request.path.strip("/").split("/")):
            case ("POST", ["v1beta", "models", name]):
                return self._batch(self._made(name.partition(":")[0], request, shop))
            case ("GET", ["v1beta", "batches"]):
                return {"operations": [self._batch(one) for one in shop.newest(self.shape)]}
            case ("GET", ["v1beta", "batches", name]):
                return self._batch(shop.look(self.shape, name))
            case ("POST", ["v1beta", "batches", name]):
                shop.cancel(self.shape, name.removesuffix(":cancel"))
                return {}
        raise Invalid(404, "not_found", f"There is no {request.path}.")

    def _made(self, model: str, request: Request, shop: Workshop) -> Work:
        told = json.loads(request.body)["batch"]
        lines = self._files[told["inputConfig"]["fileName"]].decode().splitlines()
        asked = [json.loads(line) for line in lines]
        questions = [(one["key"], one["request"]) for one in asked]
        path = f"/v1beta/models/{model}:generateContent"
        return shop.take(self.shape, path, questions, name=told.get("displayName"))

    def _batch(self, work: Work) -> dict[str, Any]:
        states = {"working": "RUNNING", "done": "SUCCEEDED", "cancelled": "CANCELLED"}
        state = "EXPIRED" if work.state == "done" and work.left else states[work.state]
        told: dict[str, Any] = {
            "displayName": work.extra["name"],
            "state": f"BATCH_STATE_{state}",
            "createTime": datetime.fromtimestamp(work.made_at, UTC).isoformat(),
        }
        if work.came:
            # What was not worked on stands in no line.
            self._files[f"files/{work.id}"] = "\n".join(
                map(json.dumps, map(_row, work.came))
            ).encode()
            told["output"] = {"responsesFile": f"files/{work.id}"}
        return {"name": f"batches/{work.id}", "metadata": told}


def _row(one: tuple[str, int, Any]) -> dict[str, Any]:
    custom, status, body = one
    if status == 200:
        return {"key": custom, "response": body}
    return {"key": custom, "error": {"code": _RPC.get(status, 13), "message": "It broke."}}


__all__ = ["SENT", "AnthropicDesk", "GoogleDesk", "Told"]
