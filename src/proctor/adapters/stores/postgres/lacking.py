"""Whether a filled column is null anywhere: what stands in the way of NOT NULL."""

from __future__ import annotations

from dataclasses import replace

from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.literal import ident
from proctor.adapters.stores.postgres.pool import Pool
from proctor.adapters.stores.postgres.stretches import asking, stretches
from proctor.model import Guard, Source, Spec


def whole(spec: Spec) -> Spec:
    """The target alone and all of it: no condition, and no source beside it."""
    if spec.emits:
        return spec.written
    names = spec.into_key or tuple(part.column for part in spec.key)
    return replace(
        spec,
        kind=Source.TABLE,
        source=spec.target,
        key=tuple(replace(p, column=n) for p, n in zip(spec.key, names, strict=True)),
        columns=None,
        where=None,
        missing=None,
        into=None,
        into_key=(),
        sql=(),
        guard=Guard.ROWS,
        row_version=None,
        params=(),
    )


async def lacking(pool: Pool, binding: Binding) -> tuple[str, ...]:
    """Filled columns that are null in any row, looked for until all of them are."""
    columns = [name for name in binding.spec.fills if "." not in name]
    ask = asking(pool)
    last = await ask(
        f"SELECT {binding.printed_key} FROM {binding.scanned} ORDER BY {binding.backwards} LIMIT 1"
    )
    if not last or not columns:
        return ()
    found: set[str] = set()
    nulls = ", ".join(f"bool_or({ident(name)} IS NULL)" for name in columns)
    within = pool.manners.statement_timeout
    async for part in stretches(ask, binding, inside="true", stop=tuple(last[0]), within=within):
        (row,) = await ask(f"SELECT {nulls} FROM {binding.scanned} WHERE {part}")
        found |= {name for name, null in zip(columns, row, strict=True) if null}
        if len(found) == len(columns):
            break
    return tuple(name for name in columns if name in found)
