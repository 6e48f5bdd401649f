"""The vendor as an ASGI application: key, model, limits, faults, answer, books, in that order."""

from __future__ import annotations

import asyncio
import json
import math

from collections.abc import Iterable, Mapping
from typing import Any

from proctor.testing.vendor.answers import right_answer, right_text, right_vector, tokens_of
from proctor.testing.vendor.batchdesks import SENT, AnthropicDesk, GoogleDesk, Told
from proctor.testing.vendor.batches import Desk, OpenAIDesk, Request, Workshop
from proctor.testing.vendor.books import Account, Over, Timepiece
from proctor.testing.vendor.service import PREFIX, Call, Services
from proctor.testing.vendor.shapes import SHAPES, Invalid, Outcome, Question, Shape
from proctor.testing.vendor.terms import Fault, Flaw, Served
from proctor.testing.vendor.wire import huge, reply, reset, send_bytes


class Vendor:
    """What it serves, what it counted, what is to go wrong. One event loop, so no lock."""

    def __init__(self, served: Iterable[Served], key: str) -> None:
        self._key = key
        self._clock = Timepiece()
        self._accounts = {one.name: Account(one, self._clock) for one in served}
        self._faults: list[list[Any]] = []
        self._services = Services(key, self._accounts, self.fault)
        openai, anthropic, google = (shape for _, shape in SHAPES)
        desks: tuple[Desk, ...] = OpenAIDesk(openai), AnthropicDesk(anthropic), GoogleDesk(google)
        self._desks = [
            (desk, Workshop(self._accounts, self._clock, self.fault, _outcome)) for desk in desks
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        body = await _body(receive)
        path = scope["path"]
        for desk, shop in self._desks:
            if desk.fits(path):
                await self._batch(desk, shop, Request.of(scope, body), send)
                return
        for fits, shape in SHAPES:
            if fits(path):
                headers = {k.decode(): v.decode() for k, v in scope["headers"]}
                await self._asked(shape, path, headers, body, send)
                return
        if path.startswith(PREFIX):
            await self._services(Call.of(scope, body), send)
            return
        await self._told(path, body, send)

    async def _told(self, path: str, body: bytes, send: Any) -> None:
        """The test's own requests."""
        told = json.loads(body) if body and path.startswith("/_") else {}
        if path == "/_faults":
            fault = Fault.of(told)
            self._faults.append([fault, fault.times])
        elif path == "/_serve":
            one = Served.of(told)
            if one.name in self._accounts:
                self._accounts[one.name].served = one
            else:
                self._accounts[one.name] = Account(one, self._clock)
        elif path == "/_advance":
            self._clock.advance(told["seconds"])
        elif path != "/_books":
            await reply(send, 404, {"error": {"message": f"there is no {path}"}}, {})
            return
        books = {name: account.tally.as_json() for name, account in self._accounts.items()}
        await reply(send, 200, books, {})

    async def _asked(
        self, shape: Shape, path: str, headers: dict[str, str], body: bytes, send: Any
    ) -> None:
        try:
            question, account = self._understood(shape, path, headers, body)
        except Invalid as fault:
            said = shape.error(fault.status, fault.code, fault.message)
            await reply(send, fault.status, said, {})
            return
        tally = account.tally
        tally.at_once += 1
        tally.most_at_once = max(tally.most_at_once, tally.at_once)
        try:
            await self._served(shape, question, account, send)
        finally:
            tally.at_once -= 1

    async def _batch(self, desk: Desk, shop: Workshop, request: Request, send: Any) -> None:
        """A request about batch calls; faults are matched with its method and path."""
        fault = self._fault_of(request.text)
        if fault and not fault.flaw.paid:
            await _spoiled(desk.shape, fault, send)
            return
        try:
            if not request.path.startswith(SENT):  # such an address is given to who has shown one
                self._check_key(desk.shape, request.headers)
            told = desk.answer(request, shop)
        except Invalid as wrong:
            said = desk.shape.error(wrong.status, wrong.code, wrong.message)
            await reply(send, wrong.status, said, {})
            return
        if isinstance(told, bytes):
            await send_bytes(send, 200, told, {"content-type": "application/octet-stream"})
        elif isinstance(told, Told):
            await _sent(send, told.body, told.headers, fault)
        else:
            await _sent(send, told, {}, fault)

    def _check_key(self, shape: Shape, headers: Mapping[str, str]) -> None:
        if shape.key(headers) != self._key:
            raise Invalid(401, "invalid_api_key", "Incorrect API key provided.")

    def _fault_of(self, text: str) -> Fault | None:
        named = any(fault.match and fault.match in text for fault, _ in self._faults)
        return self.fault("", [text]) if named else None

    def _understood(
        self, shape: Shape, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[Question, Account]:
        self._check_key(shape, headers)
        question = _read(shape, path, body)
        account = self._accounts.get(question.model)
        if account is None or account.served.kind != question.kind:
            message = f"The model `{question.model}` does not exist."
            raise Invalid(404, "model_not_found", message)
        wrong = _wrong(question, account.served)
        if wrong is not None:
            account.tally.refused += 1
            raise wrong
        return question, account

    async def _served(self, shape: Shape, question: Question, account: Account, send: Any) -> None:
        fault = self.fault(question.model, question.texts)
        if fault and not fault.flaw.paid:
            account.tally.failed += 1
            await _spoiled(shape, fault, send)
            return
        served = account.served
        most = question.most_output or served.most_output if question.kind == "chat" else 0
        most_tokens = _input_tokens(question) + most
        admitted = account.admit(most_tokens)
        if isinstance(admitted, Over):
            account.tally.limited += 1
            headers = shape.waits(admitted.retry_s) | shape.headers(served, account.room())
            await reply(send, 429, _limited(shape, admitted, served), headers)
            return
        if served.latency_s:
            await asyncio.sleep(served.latency_s)
        outcome = _outcome(question, served, fault)
        used = (outcome.input_tokens, outcome.output_tokens)
        account.charge(admitted, question.texts, used)
        headers = shape.headers(served, account.room())
        await _sent(send, shape.write(question, outcome), headers, fault)

    def fault(self, model: str, texts: Iterable[str]) -> Fault | None:
        """What is to go wrong with this call; it is used up by being asked for."""
        texts = list(texts)
        for told in self._faults:
            fault, left = told
            if fault.model in {"", model} and any(fault.match in text for text in texts):
                told[1] = left - 1
                if told[1] == 0:
                    self._faults.remove(told)
                return fault  # type: ignore[no-any-return] # a pair of a fault and a number
        return None


def _limited(shape: Shape, over: Over, served: Served) -> Any:
    if over.limit == "daily":
        message = f"Rate limit reached for {served.name} on requests per day (RPD)."
        return shape.error(429, "daily", message, over.retry_s)
    code = "rate_limit_exceeded"
    message = f"Rate limit reached for {served.name} on {over.limit} per min."
    return shape.error(429, code, message, over.retry_s)


def _read(shape: Shape, path: str, body: bytes) -> Question:
    try:
        return shape.read(path, json.loads(body))
    except (KeyError, TypeError, ValueError, IndexError) as fault:
        message = f"The request cannot be read: {type(fault).__name__} {fault}"
        raise Invalid(400, "invalid_request_error", message) from fault


def _wrong(question: Question, served: Served) -> Invalid | None:
    if question.kind == "embed" and (
        not 0 < len(question.texts) <= served.most_texts or "" in question.texts
    ):
        message = f"'input' must be 1 to {served.most_texts} texts, none of them empty."
        return Invalid(400, "invalid_request_error", message)
    texts = question.texts if question.kind == "embed" else (question.whole,)
    if max(map(tokens_of, texts)) > served.most_input:
        message = f"This model's maximum context length is {served.most_input} tokens."
        return Invalid(400, "context_length_exceeded", message)
    return None


def _input_tokens(question: Question) -> int:
    return sum(map(tokens_of, question.texts if question.kind == "embed" else (question.whole,)))


def _vector(text: str, size: int, fault: Fault | None) -> tuple[float, ...]:
    """A text's vector; of several that are asked together only what the fault fits is spoiled."""
    flaw = fault.flaw if fault and fault.match in text else None
    right = tuple(right_vector(text, size + (flaw is Flaw.WRONG_SHAPE)))
    if flaw is Flaw.NOT_A_NUMBER:
        return (math.nan, math.inf, *right[2:])
    return (0.0,) * size if flaw is Flaw.ZERO else right


def _outcome(question: Question, served: Served, fault: Fault | None) -> Outcome:
    """What the model says, and what is wrong with it."""
    taken, flaw = _input_tokens(question), fault.flaw if fault else None
    told = flaw is not Flaw.NO_USAGE
    if question.kind == "embed":
        size = question.dimensions or served.dimensions
        vectors = tuple(_vector(text, size, fault) for text in question.texts)
        return Outcome(vectors=vectors, input_tokens=taken, told=told)
    text, prompt = "", question.texts[0]
    if fault and flaw is Flaw.SAYS:
        text = fault.says
    elif flaw is Flaw.WRONG_SHAPE:
        text = json.dumps({"something": "else"})
    elif flaw is not Flaw.ZERO:
        answer = None if question.schema is None else right_answer(question.schema, prompt)
        text = right_text(prompt) if question.schema is None else json.dumps(answer)
    if flaw is Flaw.THINKING:
        text = f"<think>The user wants words.</think>{text}"
    elif flaw is Flaw.UNCLOSED:
        text = f"<think>The user wants words. {text}"
    if flaw is Flaw.REFUSAL:
        refusal = "I'm sorry, but I can't help with that."
        return Outcome(text=refusal, ended="refused", input_tokens=taken, output_tokens=10)
    if flaw is Flaw.FILTERED:
        return Outcome(ended="filtered", input_tokens=taken, output_tokens=1)
    most = question.most_output or served.most_output
    cut = tokens_of(text) > most
    if flaw is Flaw.CUT_OFF or cut:
        text = text[: len(text) // 2] if flaw is Flaw.CUT_OFF else _shortened(text, most)
    return Outcome(
        text=text,
        ended="length" if cut or flaw is Flaw.CUT_OFF else "stop",
        input_tokens=taken,
        output_tokens=max(tokens_of(text), 1),
        told=told,
    )


def _shortened(text: str, most: int) -> str:
    while tokens_of(text) > most:
        text = text[: len(text) * 9 // 10]
    return text


async def _sent(send: Any, body: Any, headers: dict[str, str], fault: Fault | None) -> None:
    """Send a reply that is charged, or spoil it on its way."""
    if fault and fault.flaw is Flaw.SILENT:
        await asyncio.sleep(fault.seconds)
    if fault and fault.flaw is Flaw.RESET_LATE:
        reset(send)
    elif fault and fault.flaw is Flaw.MALFORMED:
        await send_bytes(send, 200, b'{"choices": [{"mess', headers)
    elif fault and fault.flaw is Flaw.STRANGE:
        await reply(send, 200, {"ok": True}, headers)
    elif fault and fault.flaw is Flaw.PORTAL:
        page = b"<html><title>Please log in</title></html>"
        await send_bytes(send, 200, page, headers | {"content-type": "text/html"})
    elif fault and fault.flaw in {Flaw.HUGE, Flaw.HUGE_PACKED}:
        await huge(send, fault, headers)
    else:
        await reply(send, 200, body, headers)


async def _spoiled(shape: Shape, fault: Fault, send: Any) -> None:
    """A call that goes wrong before it is charged."""
    flaw = fault.flaw
    if flaw is Flaw.RESET_EARLY:
        reset(send)
        return
    if flaw is Flaw.REDIRECT:
        await send_bytes(send, 307, b"", {"location": fault.to})
        return
    headers: dict[str, str] = {}
    status, code, message = {
        Flaw.UNAVAILABLE: (503, "service_unavailable", "The service is unavailable."),
        Flaw.OVERLOADED: (529, "overloaded", "Overloaded"),
        Flaw.LIMITED: (429, "rate_limit_exceeded", "Rate limit reached for requests per min."),
    }.get(flaw, (500, "server_error", "The server had an error."))
    if flaw is Flaw.OUT_OF_QUOTA:
        status, code, message = shape.quota()
    elif flaw is Flaw.LIMITED:
        headers = shape.waits(fault.seconds)
    said = shape.error(status, code, message, fault.seconds if flaw is Flaw.LIMITED else None)
    await reply(send, status, said, headers)


async def _body(receive: Any) -> bytes:
    parts: list[bytes] = []
    while True:
        event = await receive()
        parts.append(event.get("body", b""))
        if not event.get("more_body"):
            return b"".join(parts)


__all__ = ["Vendor"]
