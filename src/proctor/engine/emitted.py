"""What units emit, as people see it: each row under the unit that gives it, before and after."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from proctor.core.same import text_of
from proctor.engine.show import images, masked, previews, shown_key
from proctor.engine.site import Site
from proctor.engine.snapshot import Preview
from proctor.model import Image, Key, Page, Settled, Spec
from proctor.model.keytext import key_text

AT_ONCE = 1_000
"""Rows looked up in one question."""


async def emitted_previews(
    site: Site, page: Page, settled: Settled, spec: Spec, columns: Collection[str]
) -> tuple[tuple[Preview, ...], int]:
    """Each unit with the rows that it would write, and how many of these exist.

    A field stands here for a row of the target, and its value for all that the row holds.
    """
    rows = dict(zip(settled.index, settled.emitted, strict=True))
    there = await standing(site, spec, [key for given in rows.values() for key, _ in given])
    shown = []
    for i, preview in enumerate(previews(page, settled, spec, columns)):
        given = rows.get(i, ())
        names = [key_text(shown_key(key, spec.written)) for key, _ in given]
        before = [_line(images(there.get(k), spec)) if k in there else None for k, _ in given]
        after = [_line(_values(values, spec)) for _, values in given]
        shown.append(
            replace(
                preview,
                before=dict(zip(names, before, strict=True)),
                after=dict(zip(names, after, strict=True)),
            )
        )
    return tuple(shown), len(there)


def _values(values: Sequence[Any], spec: Spec) -> dict[str, str | None]:
    return masked(((n, text_of(v)) for n, v in zip(spec.writes, values, strict=True)), spec)


def _line(fields: Mapping[str, str | None]) -> str:
    return ", ".join(f"{n}={'null' if v is None else v}" for n, v in fields.items())


async def standing(site: Site, spec: Spec, keys: Sequence[Key]) -> dict[Key, tuple[Image, ...]]:
    """The written fields of those rows of the target that exist."""
    found: dict[Key, tuple[Image, ...]] = {}
    for at in range(0, len(keys), AT_ONCE):
        page = await site.store.read_keys(spec.written, keys[at : at + AT_ONCE])
        pairs = zip(page.keys, page.images, strict=True)
        found |= {key: image for key, image in pairs if image is not None}
    return found
