"""What a function asks HTTP services: `await ctx.http(provider="resolver", title=…)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from proctor.authoring.replies import Unanswered
from proctor.errors import DefinitionError
from proctor.ports import Asking

if TYPE_CHECKING:
    import pydantic

M = TypeVar("M", bound="pydantic.BaseModel")


@dataclass(frozen=True, slots=True)
class Http:
    """`ctx.http`: one call of a service, paid for at most once."""

    asking: Asking

    @overload
    async def __call__(
        self, *, provider: str | None = None, output: type[M], **values: Any
    ) -> M | None: ...

    @overload
    async def __call__(
        self, *, provider: str | None = None, output: None = None, **values: Any
    ) -> Any: ...

    async def __call__(
        self, *, provider: str | None = None, output: type[M] | None = None, **values: Any
    ) -> Any:
        """Call, and give the part of the reply that `json` names, or all of it.

        values: what the section's templates name, no more and no less. None comes back where the
        service answers with a status of `expect` other than 2xx. With `output=` the value is an
        instance of that pydantic model. Raises Unanswered where the reply has no such part, does
        not fit `output`, or the service cannot answer this one.
        """
        if output is not None and not _is_model(output):
            raise DefinitionError(
                "output= of ctx.http is a pydantic model",
                found=repr(output),
                fix="class Book(BaseModel): isbn: str; then output=Book",
            )
        value = await self.asking.http(provider, values)
        return value if output is None or value is None else _fitted(value, output)


def _is_model(output: object) -> bool:
    from pydantic import BaseModel  # noqa: PLC0415 - its import is long, and few ask

    return isinstance(output, type) and issubclass(output, BaseModel)


def _fitted(value: Any, output: type[M]) -> M:
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    try:
        return output.model_validate(value)
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in told["loc"]) or "the reply"
        why = f"the service's reply does not fit {output.__name__}: {where}: {told['msg']}"
        raise Unanswered(why) from None


__all__ = ["Http"]
