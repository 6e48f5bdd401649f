"""A question to an HTTP service: looked at before anything is sent, and its answer taken apart."""

from __future__ import annotations

import json

from collections.abc import Iterable, Mapping
from typing import Any

from proctor.authoring import Unanswered
from proctor.core.request import plain, rendered
from proctor.engine.desk import Desk
from proctor.errors import DefinitionError
from proctor.model import Ask, Kind, Reply, ServiceSettings, canonical


def ask_of(desk: Desk, values: Mapping[str, Any], again: int = 0) -> Ask:
    """The question that these values make of a service's templates.

    `again` counts how often what the service wrote was taken back: after that it is another
    question, with an idempotency key of its own, or nobody would do the work once more.

    Raises DefinitionError where they are not those that it wants; TypeError or ValueError, which
    are their row's, where one cannot be sent.
    """
    service = _service(desk)
    if values.keys() != service.values:
        raise DefinitionError(
            f"ctx.http does not give what provider {service.name} wants",
            found=f"given: {_listed(values)}; its templates name: {_listed(service.values)}",
            fix=f"await ctx.http({_call(service)})",
        )
    told = {name: plain(value) for name, value in values.items()}
    rendered(service, told, {})  # what cannot stand in its place is told before it is paid for
    sent = {
        "at": service.at,
        "method": service.method,
        "url": service.url,
        "headers": dict(service.headers),
        "body": service.body,
        "values": told,
    }
    if again:
        sent["again"] = again
    return Ask(
        kind=Kind.HTTP,
        provider=service.name,
        model=service.model,
        sent=canonical(sent),
        most_input=0,
    )


def value_of(desk: Desk, reply: Reply) -> Any:
    """What an answer gives the function; None where its status says that there is nothing.

    Raises Unanswered where it is no answer by what proctor.toml says today.
    """
    service, kept = _service(desk), json.loads(reply.raw)
    status, body = kept["status"], kept["body"]
    if not service.expects(status):
        raise Unanswered(f"{service.name} answered {status}, which its expect no longer names")
    if not 200 <= status < 300:
        return None
    if desk.pick is None:
        return body
    try:
        return desk.pick(body)
    except LookupError:
        raise Unanswered(f"the reply of {service.name} has nothing at {service.pick}") from None


def _service(desk: Desk) -> ServiceSettings:
    assert desk.service is not None  # noqa: S101 - desks are chosen by what is asked of them
    return desk.service


def _call(service: ServiceSettings) -> str:
    values = (f"{name}=…" for name in sorted(service.values))
    return ", ".join((f'provider="{service.name}"', *values))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


__all__ = ["ask_of", "value_of"]
