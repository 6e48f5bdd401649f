"""Turns parameters as a person types them into a validated model and the store's values."""

from __future__ import annotations

import difflib
import json

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from proctor.errors import UsageError
from proctor.model import Scalar, Spec

if TYPE_CHECKING:
    import pydantic

STAND_INS: Final[Mapping[object, Any]] = {int: 1, float: 1.0, bool: True}


def bind(
    backfill: str, spec: Spec, model: type[pydantic.BaseModel] | None, values: Mapping[str, str]
) -> tuple[Spec, pydantic.BaseModel | None]:
    """The spec with its parameters, and the model; raises UsageError naming the parameter."""
    known = sorted(model.model_fields) if model is not None else []
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"{backfill} has no parameter {name}",
                found=f"its parameters: {', '.join(known) or 'none'}",
                fix=f"did you mean {near[0]}?" if near else "leave it out",
            )
    if model is None:
        return spec, None
    bound = _validate(backfill, model, values)
    dumped = bound.model_dump(mode="json")
    params = tuple((name, _scalar(dumped[name])) for name in known)
    return replace(spec, params=params), bound


def supposed(spec: Spec, model: type[pydantic.BaseModel] | None) -> tuple[Spec, tuple[str, ...]]:
    """The spec with defaults and stand-ins, to be held against a schema and never run.

    Second, the names of the parameters that must be given; each stands in by a number or truth
    value of its type, any other by null, which fits wherever SQL takes a parameter.
    """
    if model is None:
        return spec, ()
    fields = model.model_fields
    needed = tuple(sorted(name for name, field in fields.items() if field.is_required()))
    made = model.model_construct(**{n: STAND_INS.get(fields[n].annotation) for n in needed})
    dumped = made.model_dump(mode="json", warnings=False)
    params = tuple((name, _scalar(dumped[name])) for name in sorted(fields))
    return replace(spec, params=params), needed


def _validate(
    backfill: str, model: type[pydantic.BaseModel], values: Mapping[str, str]
) -> pydantic.BaseModel:
    structured = {n: json_of(v) for n, v in values.items() if v[:1] in ("[", "{")}
    try:
        if structured:
            return model.model_validate({**values, **structured})
        return model.model_validate_strings(dict(values))
    except ValueError as error:
        raise _refusal(backfill, error, model) from None


def _refusal(backfill: str, error: ValueError, model: type[pydantic.BaseModel]) -> UsageError:
    """The first complaint, without the value: a parameter may be a secret."""
    complaints: list[Any] = getattr(error, "errors", list)()
    where, what = "", type(error).__name__
    if complaints:
        where = str(complaints[0]["loc"][0]) if complaints[0]["loc"] else ""
        what = str(complaints[0]["msg"])
    subject = f"parameter {where} of {backfill}" if where else f"the parameters of {backfill}"
    if complaints and complaints[0]["type"] == "missing":
        return UsageError(f"{subject} is needed", found="none", fix=f"--param {where}=…")
    field = model.model_fields.get(where)
    kind = getattr(field.annotation, "__name__", str(field.annotation)) if field else ""
    return UsageError(
        f"{subject} is not right",
        found=what,
        fix=f"--param {where}=… takes {kind}" if where else "",
    )


def json_of(text: str) -> Any:
    """What a text holds when it is JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _scalar(value: Any) -> Scalar:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
