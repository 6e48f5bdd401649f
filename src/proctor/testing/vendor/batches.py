"""Batch calls of the vendor: taken whole, worked on by its own clock, handed out in another order.

Three shapes of one thing. What a question comes to is what a direct call would have come to; its
books count it once, at half the price.
"""

from __future__ import annotations

import itertools
import json

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self
from urllib.parse import parse_qsl

from proctor.testing.vendor.books import Account, Timepiece
from proctor.testing.vendor.shapes import Invalid, Outcome, Question, Shape
from proctor.testing.vendor.terms import Fault, Flaw, Served


@dataclass(frozen=True, slots=True)
class Request:
    """One request about batch calls, taken apart."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, scope: Any, body: bytes) -> Self:
        """From what the server was given."""
        return cls(
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode())),
            headers={k.decode().lower(): v.decode() for k, v in scope["headers"]},
            body=body,
        )

    @property
    def text(self) -> str:
        """What a fault is matched with."""
        return f"{self.method} {self.path}"


@dataclass(slots=True, kw_only=True)
class Work:
    """A batch call that was taken."""

    id: str
    path: str
    """Where a direct call with one of its questions would go."""
    questions: list[tuple[str, Any]]
    """Custom name and body of each."""
    ready_at: float
    made_at: float
    extra: dict[str, Any] = field(default_factory=dict)
    state: Literal["working", "done", "cancelled"] = "working"
    came: list[tuple[str, int, Any]] = field(default_factory=list)
    """Name, status and body of each reply, in the order in which they were finished."""
    left: list[str] = field(default_factory=list)
    """Names of questions that were not worked on."""


@dataclass(slots=True)
class Workshop:
    """The batch calls of all shapes. `fault` says what is to go wrong with a question."""

    accounts: Mapping[str, Account]
    clock: Timepiece
    fault: Callable[[str, Iterable[str]], Fault | None]
    outcome: Callable[[Question, Served, Fault | None], Outcome]
    works: dict[str, Work] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def take(self, shape: Shape, path: str, questions: list[tuple[str, Any]], **extra: Any) -> Work:
        """Take a batch call; Invalid where its questions are of no model, or of several."""
        models = {shape.read(path, body).model for _, body in questions}
        if len(models) != 1 or not models <= set(self.accounts):
            message = f"A batch is of one model that is served, not of {sorted(models)}."
            raise Invalid(400, "invalid_request_error", message)
        account = self.accounts[models.pop()]
        account.tally.batches += 1
        now = self.clock.ticks()
        work = Work(
            id=f"batch_{next(self.numbers)}",
            path=path,
            questions=questions,
            ready_at=now + account.served.batch_s,
            made_at=self.clock.now().timestamp(),
            extra=extra,
        )
        self.works[work.id] = work
        return work

    def look(self, shape: Shape, name: str) -> Work:
        """A batch call as it is now: it is worked on when its time has come."""
        work = self.works.get(name)
        if work is None:
            raise Invalid(404, "not_found", f"There is no batch {name}.")
        if work.state == "working" and self.clock.ticks() >= work.ready_at:
            work.state = "done"
            for custom, body in reversed(work.questions):
                self._worked(shape, work, custom, body)
        return work

    def newest(self, shape: Shape) -> list[Work]:
        """All of them, the newest first."""
        return [self.look(shape, name) for name in reversed(list(self.works))]

    def cancel(self, shape: Shape, name: str) -> Work:
        """Work on nothing more of it."""
        work = self.look(shape, name)
        if work.state == "working":
            work.state = "cancelled"
            work.left = [custom for custom, _ in work.questions]
        return work

    def _worked(self, shape: Shape, work: Work, custom: str, body: Any) -> None:
        question = shape.read(work.path, body)
        account = self.accounts[question.model]
        fault = self.fault(question.model, question.texts)
        if fault and fault.flaw is Flaw.EXPIRED:
            work.left.append(custom)
        elif fault and not fault.flaw.paid:
            account.tally.failed += 1
            said = shape.error(500, "server_error", "The server had an error.")
            work.came.append((custom, 500, said))
        else:
            outcome = self.outcome(question, account.served, fault)
            account.charge_batched(question.texts, (outcome.input_tokens, outcome.output_tokens))
            work.came.append((custom, 200, shape.write(question, outcome)))


class Desk(Protocol):
    """One vendor's way of putting batch calls."""

    shape: Shape

    def fits(self, path: str) -> bool:
        """Whether a request is about its batch calls."""

    def answer(self, request: Request, shop: Workshop) -> Any:
        """The body of a good reply: JSON, or bytes."""


class OpenAIDesk:
    """`/v1/files` and `/v1/batches`."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._files: dict[str, bytes] = {}

    def fits(self, path: str) -> bool:
        """Both."""
        return path.startswith(("/v1/files", "/v1/batches"))

    def answer(self, request: Request, shop: Workshop) -> Any:
        """Files are kept; a batch is made of one."""
        parts = request.path.strip("/").split("/")[1:]
        match (request.method, *parts):
            case ("POST", "files"):
                name = f"file-{next(shop.numbers)}"
                self._files[name] = _uploaded(request)
                return _file(name, self._files[name])
            case ("GET", "files", name, "content") if name in self._files:
                return self._files[name]
            case ("POST", "batches"):
                return self._batch(self._made(json.loads(request.body), shop))
            case ("GET", "batches"):
                works = [self._batch(one) for one in shop.newest(self.shape)]
                return {"object": "list", "data": works, "has_more": False}
            case ("GET", "batches", name):
                return self._batch(shop.look(self.shape, name))
            case ("POST", "batches", name, "cancel"):
                return self._batch(shop.cancel(self.shape, name))
        raise Invalid(404, "not_found", f"There is no {request.path}.")

    def _made(self, told: Any, shop: Workshop) -> Work:
        lines = self._files[told["input_file_id"]].decode().splitlines()
        asked = [json.loads(line) for line in lines]
        questions = [(one["custom_id"], one["body"]) for one in asked]
        if len({custom for custom, _ in questions}) != len(questions):
            raise Invalid(400, "duplicate_custom_id", "Each custom_id stands in a batch once.")
        return shop.take(self.shape, told["endpoint"], questions, told=told)

    def _batch(self, work: Work) -> dict[str, Any]:
        """A batch, and the files of one that has ended."""
        ended = {"working": "in_progress", "done": "completed", "cancelled": "cancelled"}
        status = "expired" if work.state == "done" and work.left else ended[work.state]
        body = {
            "id": work.id,
            "object": "batch",
            "endpoint": work.path,
            "input_file_id": work.extra["told"]["input_file_id"],
            "completion_window": "24h",
            "status": status,
            "created_at": int(work.made_at),
            "metadata": work.extra["told"].get("metadata"),
        }
        if work.state != "working":
            good = [one for one in work.came if one[1] == 200]
            bad = [one for one in work.came if one[1] != 200]
            code = "batch_cancelled" if work.state == "cancelled" else "batch_expired"
            lines = [*map(_came, bad), *(_left(custom, code) for custom in work.left)]
            body["output_file_id"] = self._written(f"{work.id}-output", [*map(_came, good)])
            body["error_file_id"] = self._written(f"{work.id}-error", lines)
        return body

    def _written(self, name: str, lines: list[Any]) -> str | None:
        if not lines:
            return None
        self._files[name] = "\n".join(map(json.dumps, lines)).encode() + b"\n"
        return name


def _came(one: tuple[str, int, Any]) -> dict[str, Any]:
    custom, status, body = one
    response = {"status_code": status, "request_id": "req", "body": body}
    return {"id": f"line_{custom}", "custom_id": custom, "response": response, "error": None}


def _left(custom: str, code: str) -> dict[str, Any]:
    error = {"code": code, "message": "This request could not be executed in time."}
    return {"id": f"line_{custom}", "custom_id": custom, "response": None, "error": error}


def _file(name: str, content: bytes) -> dict[str, Any]:
    return {
        "id": name,
        "object": "file",
        "bytes": len(content),
        "created_at": 1_700_000_000,
        "filename": "proctor.jsonl",
        "purpose": "batch",
        "status": "processed",
    }


def _uploaded(request: Request) -> bytes:
    """The file in a form that came in parts."""
    _, _, boundary = request.headers.get("content-type", "").partition("boundary=")
    for part in request.body.split(b"--" + boundary.strip('"').encode()):
        head, _, content = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            return content.removesuffix(b"\r\n")
    raise Invalid(400, "invalid_request_error", "There is no file.")


__all__ = ["Desk", "OpenAIDesk", "Request", "Work", "Workshop"]
